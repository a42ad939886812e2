//! Topics: their identity and their partitions.

use std::time::Duration;

use super::Admin;
use crate::{Error, TopicId};

/// A topic as the brokers know it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Changes when the topic is deleted and created again.
    pub id: TopicId,
    /// Sorted by partition number.
    pub partitions: Vec<PartitionDescription>,
}

/// One partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionDescription {
    /// The partition's number.
    pub id: i32,
    /// The broker that leads it; `None` while there is no leader.
    pub leader: Option<i32>,
}

impl Admin {
    /// Describes topics, in the order asked for.
    ///
    /// # Errors
    /// The outer error is that of the whole call; each topic has its own, above all
    /// [`UnknownTopic`](crate::ErrorKind::UnknownTopic).
    pub fn describe_topics(
        &self,
        topics: &[&str],
        timeout: Duration,
    ) -> Result<Vec<(String, Result<TopicDescription, Error>)>, Error> {
        let _ = (topics, timeout);
        Err(Error::invalid("DescribeTopics is not connected yet"))
    }
}
