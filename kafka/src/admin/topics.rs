//! Topics: their identity and their partitions.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::client::Admin;
use super::values::Named;
use crate::failure::Failure;
use crate::native::{Answer, Queue, RawTopic};
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

    /// The settings of a topic by their names, the brokers' defaults among them.
    ///
    /// # Errors
    /// [`Authorization`](crate::ErrorKind::Authorization) where the user may not see them, and
    /// [`UnknownTopic`](crate::ErrorKind::UnknownTopic) also where the broker that was asked has not heard of a new topic yet.
    pub fn topic_settings(&self, topic: &str, timeout: Duration) -> Result<BTreeMap<String, String>, Error> {
        let (answer, circumstances) =
            self.ask_once(timeout, |queue, limits| queue.ask_settings(topic, limits), Answer::settings)?;
        let what = format!("the settings of topic {topic}");
        answer.map_err(|failure| match circumstances.error(&what, failure) {
            Error::Authorization { operation, detail, .. } => {
                Error::Authorization { operation, needs: "DescribeConfigs on that topic", detail }
            }
            Error::UnknownTopic { .. } => Error::UnknownTopic { what: format!("topic {topic}") },
            error => error,
        })
    }
}

impl From<RawTopic> for TopicDescription {
    fn from(raw: RawTopic) -> Self {
        let describe = |(id, leader): (i32, i32)| PartitionDescription { id, leader: (leader >= 0).then_some(leader) };
        let mut partitions: Vec<_> = raw.partitions.into_iter().map(describe).collect();
        partitions.sort_unstable_by_key(|partition| partition.id);
        Self { id: raw.id, partitions }
    }
}
