//! Where the logs of partitions begin and end.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::Admin;
use super::values::{At, Isolation, TopicPartition};
use crate::Error;
use crate::error::partition_name;
use crate::failure::Circumstances;
use crate::native::{Answer, Queue, RawPartition};

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
    /// Where the logs of `partitions` begin or end, in the order asked for.
    ///
    /// # Errors
    /// The outer error is that of the whole call; a partition that does not exist or has no leader has its own. Asking
    /// twice for one partition is [`Invalid`](crate::ErrorKind::Invalid).
    pub fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        at: At,
        isolation: Isolation,
        timeout: Duration,
    ) -> Result<Vec<ListedOffset>, Error> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + timeout;
        let send = |queue: &Queue<'_>, limits| queue.ask_offsets(partitions, at, isolation, limits);
        let (answer, circumstances) = self.ask_once(timeout, send, Answer::offsets)?;
        match answer {
            Ok(found) => Ok(in_order(found, partitions, &circumstances)),
            Err(failure) if failure.is(Code::RD_KAFKA_RESP_ERR__NOENT) => {
                self.why_no_leader(partitions, deadline.saturating_duration_since(Instant::now()))
            }
            Err(failure) => Err(circumstances.error("the ends of the logs", failure)),
        }
    }

    /// If no leader is found, librdkafka fails the whole call without the reasons: unknown topics, unknown partitions
    /// and partitions without a leader look the same. So this asks for the topics.
    fn why_no_leader(&self, partitions: &[TopicPartition], timeout: Duration) -> Result<Vec<ListedOffset>, Error> {
        let topics: BTreeSet<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let described: HashMap<_, _> = self.describe_topics(&topics, timeout)?.into_iter().collect();
        let explain = |(topic, partition): &TopicPartition| {
            let what = partition_name(topic, *partition);
            let error = match described.get(topic) {
                Some(Err(error)) => error.clone(),
                Some(Ok(known)) if known.partitions.iter().all(|it| it.id != *partition) => {
                    Error::UnknownTopic { what }
                }
                _ => Error::Transient { what, detail: String::from("the partition has no leader") },
            };
            ListedOffset { topic: topic.clone(), partition: *partition, offset: Err(error) }
        };
        Ok(partitions.iter().map(explain).collect())
    }
}

fn in_order(found: Vec<RawPartition>, asked: &[TopicPartition], circumstances: &Circumstances) -> Vec<ListedOffset> {
    let mut found: HashMap<_, _> = found.into_iter().map(|raw| ((raw.topic.clone(), raw.partition), raw)).collect();
    let answer = |asked: &TopicPartition| {
        let raw = found.remove(asked).unwrap_or_else(|| RawPartition::unanswered(asked));
        let what = partition_name(&raw.topic, raw.partition);
        let offset = match raw.failure {
            Some(failure) => Err(circumstances.error(&what, failure)),
            None => Ok(raw.offset),
        };
        ListedOffset { topic: raw.topic, partition: raw.partition, offset }
    };
    asked.iter().map(answer).collect()
}
