//! Kafka's APIs by name.

macro_rules! apis {
    ($($name:ident = $key:literal,)*) => {
        /// What a request asks for.
        #[allow(missing_docs, reason = "the names are Kafka's own")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Api {
            $($name,)*
            /// One that has no name here, by its key.
            Other(i16),
        }

        impl From<i16> for Api {
            fn from(key: i16) -> Self {
                match key {
                    $($key => Self::$name,)*
                    other => Self::Other(other),
                }
            }
        }
    };
}

apis! {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    DescribeGroups = 15,
    ListGroups = 16,
    SaslHandshake = 17,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    AddPartitionsToTxn = 24,
    AddOffsetsToTxn = 25,
    EndTxn = 26,
    TxnOffsetCommit = 28,
    DescribeConfigs = 32,
    SaslAuthenticate = 36,
    CreatePartitions = 37,
    DescribeCluster = 60,
    GetTelemetrySubscriptions = 71,
    PushTelemetry = 72,
    DescribeTopicPartitions = 75,
}
