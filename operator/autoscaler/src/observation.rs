//! What one poll of Kafka saw of one group, in plain numbers.

/// The committed offset of one partition, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The next record to be read.
    At(i64),
    /// The group has never committed this partition.
    None,
    /// It could not be read, so the group may have committed or not.
    Unknown,
}

/// The work a worker reports for one partition since its assignment, from the commit's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Records processed: applied, ignored and bad ones. Starts at 0 again when the partition is reassigned.
    pub records: u64,
    /// Time spent on them, in microseconds.
    pub busy_micros: u64,
}

/// One partition. Read the committed offset before the two ends: otherwise lag could be negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReading {
    /// The partition's number.
    pub partition: i32,
    /// The first offset the log still holds; `None` if it could not be read.
    pub earliest: Option<i64>,
    /// The offset after the last readable record, in the worker's isolation level; `None` if it could not be read.
    pub latest: Option<i64>,
    /// How far the group has come.
    pub committed: Committed,
    /// What the commit says about the work done, if a balance worker wrote it.
    pub usage: Option<Usage>,
}

/// One live member of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Kafka's member id: unique, stable while the member stays.
    pub id: String,
    /// The partitions of the watched topic that it owns, ascending.
    pub partitions: Vec<i32>,
}

/// What one poll saw of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Kafka's id of the topic. A different one means that the topic was recreated and old offsets mean nothing.
    pub topic_id: String,
    /// How many partitions the topic has. A partition in this range without a usable reading makes the lag partial.
    pub partition_count: i32,
    /// The readings, in any order.
    pub partitions: Vec<PartitionReading>,
    /// The live members; `None` if the group could not be described.
    pub members: Option<Vec<Member>>,
    /// Whether the group was stable: no member was joining, leaving or waiting for an assignment.
    pub stable: bool,
}
