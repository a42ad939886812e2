//! Plain values that go into admin calls and come out of them.

use crate::Error;

/// A topic's name and a partition's number.
pub type TopicPartition = (String, i32);

/// The answer for one of the names asked for.
pub type Named<T> = (String, Result<T, Error>);

/// Which end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// The log start: the first offset that can still be read.
    Earliest,
    /// The offset the next record will get; with [`Isolation::ReadCommitted`] the last stable offset.
    Latest,
}

/// Which records count when the end of the log is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// All: the high watermark.
    ReadUncommitted,
    /// Those before the first open transaction: the last stable offset.
    ReadCommitted,
}

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id the coordinator gave it.
    pub member_id: String,
    /// The `client.id` it chose itself.
    pub client_id: String,
    /// The address it connects from, as the coordinator writes it (`/10.0.0.7`).
    pub host: String,
    /// The partitions it has been given; empty while a rebalance is under way.
    pub assignment: Vec<TopicPartition>,
}
