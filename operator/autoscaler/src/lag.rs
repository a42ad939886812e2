//! What is unread.

use std::time::Duration;

/// How old the oldest unread record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Interpolated from our own samples.
    Exactly(Duration),
    /// Older than our oldest sample.
    AtLeast(Duration),
}

/// The lag of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition's number.
    pub partition: i32,
    /// Unread records, never negative; `None` if unknown.
    pub lag: Option<i64>,
    /// How old the oldest of them is; `None` if unknown.
    pub age: Option<Age>,
    /// Records that were deleted before the group read them.
    pub lost: i64,
    /// The group's offset lies beyond the end of the log: it was truncated, or the topic created anew.
    pub ahead_of_log: bool,
}

/// The lag of a group, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lag {
    /// All partitions of the topic, ascending.
    pub partitions: Vec<PartitionLag>,
    /// Partitions that were not there at the previous poll.
    pub added: Vec<i32>,
}

/// Unknown is a value of its own and never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LagReading {
    /// Every partition was read.
    Known(Lag),
    /// Some partitions were read.
    Partial(Lag),
    /// Nothing was read.
    Unknown,
}
