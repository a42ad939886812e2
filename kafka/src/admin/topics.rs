//! Topics: their ids and their partitions.

use std::collections::HashMap;
use std::time::Duration;

use super::client::Admin;
use super::values::Named;
use crate::failure::Failure;
use crate::native::{Answer, Queue, RawTopic, RawTopicPartition};
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
    /// How many brokers have it, the leader among them.
    pub replicas: usize,
    /// How many of them are in sync.
    pub in_sync: usize,
}

impl Admin {
    /// Describes topics, in the order asked for.
    ///
    /// # Errors
    /// The outer error is that of the whole call; each topic has its own, above all
    /// [`UnknownTopic`](crate::ErrorKind::UnknownTopic).
    pub fn describe_topics(&self, topics: &[&str], timeout: Duration) -> Result<Vec<Named<TopicDescription>>, Error> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let send = |queue: &Queue<'_>, limits| queue.ask_topics(topics, limits);
        let (answer, circumstances) = self.ask_once(timeout, send, Answer::topics)?;
        let mut found: HashMap<_, _> =
            answer.map_err(|failure| circumstances.error("topics", failure))?.into_iter().collect();
        let describe = |topic: &&str| {
            let raw = found.remove(*topic).unwrap_or_else(|| Err(Failure::unanswered()));
            let described = raw.map(TopicDescription::from);
            (String::from(*topic), described.map_err(|failure| circumstances.error(&format!("topic {topic}"), failure)))
        };
        Ok(topics.iter().map(describe).collect())
    }
}

impl From<RawTopic> for TopicDescription {
    fn from(raw: RawTopic) -> Self {
        let describe = |RawTopicPartition { id, leader, replicas, in_sync }| {
            let leader = (leader >= 0).then_some(leader);
            PartitionDescription { id, leader, replicas, in_sync }
        };
        let mut partitions: Vec<_> = raw.partitions.into_iter().map(describe).collect();
        partitions.sort_unstable_by_key(|partition| partition.id);
        Self { id: raw.id, partitions }
    }
}
