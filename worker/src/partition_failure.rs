//! Why a partition has failed: it stays assigned, but its records are no longer processed.

use crate::domain::money::Currency;

/// A reason that only a user or a new assignment can clear; `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PartitionFailure {
    #[error(
        "records {start_offset} to {log_start} are needed to rebuild the balances, but retention has removed them: \
         keep the topic longer than the group lives, or start a new group"
    )]
    RetentionPassedStartOffset { start_offset: i64, log_start: i64 },
    #[error(
        "offset {committed} is committed but the log ends at {log_end}: the topic lost records, or was deleted and \
         recreated; check the brokers, then reset the group's offsets"
    )]
    CommittedBeyondEnd { committed: i64, log_end: i64 },
    #[error(
        "offset {offset} is no longer in the log: records were removed before they were processed, or the log was truncated"
    )]
    OffsetOutOfRange { offset: i64 },
    #[error(
        "the log was cut off below offset {offset}, which was read under leader epoch {leader_epoch}, and may have grown again \
         since: a replica that lacked records became leader, so the balances hold records that are gone; check the brokers \
         (unclean.leader.election.enable), then rebuild the group's balances from the log as it is now, or with store replay \
         restart the workers"
    )]
    LogTruncated {
        offset: i64,
        /// The leader epoch of the record before it.
        leader_epoch: i32,
    },
    /// The log has the offset (again), but the client gave it up. Its category is `NotFetched`.
    #[error(
        "the Kafka client lost its place at offset {offset}, although the log has that offset: after a broker failed \
         the log was probably cut and has grown since, so the balances may hold records that are gone; check the \
         brokers, then rebuild the group's balances from the log as it is now, or with store replay restart the worker"
    )]
    FetchPositionLost { offset: i64 },
    /// The metadata of the committed offset, or a record of the changelog, is not understood.
    #[error("the committed progress cannot be read: {reason}; a newer release may have written it")]
    UnreadableProgress { reason: String },
    #[error(
        "the store holds customers without any progress, so something else has written to it, or progress was deleted: give \
         the group a changelog topic of its own, or rebuild the group's balances (balance-worker rebuild)"
    )]
    CustomersWithoutProgress,
    #[error(
        "the group has committed offset {committed}, but the store has no progress of this partition, and an offset alone \
         says nothing of balances: it may be another log's. Stop the workers. Of a mirrored group, or one that another \
         program began: delete its offsets (kafka-consumer-groups --delete-offsets), and the workers begin with the first \
         record. Of a group that comes from the store replay, or has lost its store: run balance-worker rebuild, which folds \
         the records below that offset"
    )]
    CommitWithoutProgress { committed: i64 },
    #[error(
        "the kept balances are torn: their progress counts {expected} customers, found are {found} that do not add up to its \
         checksum; rebuild the group's balances"
    )]
    Torn { expected: u64, found: u64 },
    #[error("the changelog belongs to group {group} on topic {topic}: give this group a changelog topic of its own")]
    ForeignChangelog { group: String, topic: String },
    #[error(transparent)]
    LedgerSettingsChanged(#[from] SettingsChange),
    #[error(
        "the changelog stands at offset {changelog}, but the group has committed {committed}: somebody moved the group's \
         offsets; set them back to {changelog}, or delete them without workers (kafka-consumer-groups --delete-offsets) and \
         every partition goes on from its changelog; rebuild the group's balances only to follow {committed}"
    )]
    OffsetsMoved { changelog: i64, committed: i64 },
    #[error("the balances are being rebuilt, or a rebuild was interrupted: run it again to the end")]
    Rebuilding,
    #[error(
        "topic {topic} is compacted (cleanup.policy={policy}), and the balances have to be folded again from its records, of \
         which some may be gone: nothing is guessed; go on with the store that has the balances, or begin a new group with a \
         topic that keeps every record (cleanup.policy=delete)"
    )]
    InputCompacted { topic: String, policy: String },
    #[error(
        "the topic was deleted and recreated, or these are another cluster's brokers (its id was {expected}, now it is \
         {found}): balances of the one topic cannot be continued with the other; go back to the brokers of before, give the \
         other topic a group of its own, or replace the balances by what it gives (balance-worker rebuild, which first counts \
         what both give)"
    )]
    TopicRecreated { expected: String, found: String },
    /// The replay store: no commit on this log can have such a first offset.
    #[error(
        "the group has committed offset {committed}, with {start_offset} as the first offset of its ledger, in a log that \
         begins at {log_start}: with the store replay a first offset is never above its commit, nor above the log's start, \
         which never goes back. So the offset is another log's: the topic was deleted and recreated, or these are another \
         cluster's brokers; or the group began at the end of the log with another store. Stop the workers and delete the \
         group's offsets (kafka-consumer-groups --delete-offsets): they begin with the first record"
    )]
    StartOfAnotherLog { start_offset: i64, log_start: i64, committed: i64 },
}

/// The setting by which this worker would compute other balances than a stored ledger has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsChange {
    #[error(
        "the balances were made with other signs or another ledger kind ({}, and this worker has {}): set those again, or \
         rebuild the group's balances with the new ones",
        words(held),
        words(ours)
    )]
    KindOrSigns {
        /// Those of the stored balances, see [`crate::domain::rules::Rules::non_default_rules`].
        held: String,
        ours: String,
    },
    /// The first release made the balances, with settings that its hash does not reveal.
    #[error(
        "the balances were made with other signs, minor units or another ledger kind: set those again, or rebuild the \
         group's balances with the new ones"
    )]
    Unknown,
    #[error(
        "the balances hold {currency} with {held} decimals, and this worker counts it with {ours}: set minor units \
         {currency}={held} again, or rebuild the group's balances with the new ones"
    )]
    Decimals { currency: Currency, held: u8, ours: u8 },
    #[error(
        "the balances hold {currency} with {held} decimals, and this worker does not know it: set minor units \
         {currency}={held} again"
    )]
    Forgotten { currency: Currency, held: u8 },
}

fn words(non_default_rules: &str) -> &str {
    if non_default_rules.is_empty() { "those of the default" } else { non_default_rules }
}

impl PartitionFailure {
    /// Whether the stored balances may hold records that the log no longer has.
    pub(crate) const fn is_of_stored_balances(&self) -> bool {
        matches!(self, Self::LogTruncated { .. } | Self::FetchPositionLost { .. })
    }

    /// A bounded name for logs and metrics.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::RetentionPassedStartOffset { .. } => "RetentionPassedBase",
            Self::CommittedBeyondEnd { .. } => "CommittedBeyondEnd",
            Self::OffsetOutOfRange { .. } => "OffsetOutOfRange",
            Self::LogTruncated { .. } => "LogTruncated",
            Self::FetchPositionLost { .. } => "NotFetched",
            Self::UnreadableProgress { .. } => "UnreadableProgress",
            Self::CustomersWithoutProgress | Self::CommitWithoutProgress { .. } => "NoProgress",
            Self::Torn { .. } => "Torn",
            Self::ForeignChangelog { .. } => "ForeignChangelog",
            Self::LedgerSettingsChanged(_) => "LedgerSettingsChanged",
            Self::OffsetsMoved { .. } => "OffsetsMoved",
            Self::Rebuilding => "Rebuilding",
            Self::InputCompacted { .. } => "InputCompacted",
            Self::TopicRecreated { .. } | Self::StartOfAnotherLog { .. } => "TopicRecreated",
        }
    }
}
