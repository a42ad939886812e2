//! The size of the batches in which the producer sends its records.
//!
//! A broker refuses a batch that is larger than its topic accepts, even if it would accept every record alone. After
//! that it refuses everything from this producer in that partition. So batches are limited by the topics' settings. If
//! a setting is unknown, or was changed meanwhile, each refusal halves the size, until the largest record is sent
//! alone.

use std::{fmt, time::Duration};

use balancefleet_kafka::{Admin, Settings};
use rdkafka::ClientConfig;

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// librdkafka's own size, which is below a topic's default limit.
const DEFAULT_SIZE: usize = 1_000_000;
/// A batch of one record has no more bytes beside key, value and headers.
pub(super) const OVERHEAD: usize = 61 + 36;
/// Topic settings that bound a batch: one of the topic, and the size of the file that it has to fit into.
const LIMITS: [&str; 2] = ["max.message.bytes", "segment.bytes"];

/// Bytes of the largest batch that a topic with these settings accepts, if they say so.
pub(super) fn limit_of(settings: &Settings) -> Option<usize> {
    LIMITS.iter().filter_map(|name| settings.get(*name)?.parse().ok()).min()
}

pub(super) struct Batches {
    admin: Admin,
    /// The topics, each with its last known limit: the changelog, then the dead letter topic.
    topics: Vec<(String, Option<usize>)>,
    /// `None` before the topics were asked.
    size: Option<usize>,
}

/// The largest record that one transaction has for a topic. Its text does not name the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LargestRecord {
    pub(super) partition: i32,
    pub(super) what: RecordKind,
    /// The bytes of key, value and headers.
    pub(super) bytes: usize,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordKind {
    Progress,
    /// A customer, and the offset of its last transaction in the input.
    Customer(i64),
    /// The dead letter of the input's record at this offset, as short as it may be.
    DeadLetter(i64),
}

/// A record that its topic does not accept even alone. It is not lost: the commit is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Oversized {
    record: LargestRecord,
    topic: String,
    limit: Option<usize>,
}

impl fmt::Display for Oversized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record: LargestRecord { partition, what, bytes }, topic, limit } = self;
        match what {
            RecordKind::Progress => write!(f, "the progress of partition {partition}")?,
            RecordKind::Customer(offset) => write!(
                f,
                "the row of one customer of partition {partition} (the one whose last transaction is the record at offset \
                 {offset})"
            )?,
            RecordKind::DeadLetter(offset) => {
                write!(f, "what is kept of the bad record of partition {partition} at offset {offset}")?;
            }
        }
        write!(f, " has {bytes} bytes and does not fit into a batch for topic {topic}, ")?;
        match limit {
            Some(limit) => write!(f, "which takes {limit} bytes")?,
            None => f.write_str("which does not say how many bytes it takes")?,
        }
        write!(
            f,
            " (max.message.bytes): nothing is lost, and the worker goes on by itself once the topic takes more \
             (kafka-configs --alter --entity-type topics --entity-name {topic} --add-config max.message.bytes=1048588)"
        )
    }
}

/// The next step after a refusal.
#[derive(Debug, PartialEq, Eq)]
enum NextStep {
    /// Try batches of this size.
    Shrink(usize),
    /// The largest record for the topic at this index does not fit even alone.
    TooLargeAlone(usize),
}

/// `topics` has for each topic its limit, and the bytes of a batch of its largest record alone.
fn next(size: usize, topics: &[(Option<usize>, usize)]) -> NextStep {
    let limit = topics.iter().filter_map(|(limit, _)| *limit).min();
    if let Some(limit) = limit.filter(|limit| *limit < size) {
        return NextStep::Shrink(limit);
    }
    if let Some(place) = topics.iter().position(|(limit, alone)| limit.is_some_and(|limit| *alone > limit)) {
        return NextStep::TooLargeAlone(place);
    }
    let (place, largest) = topics.iter().map(|(_, alone)| *alone).enumerate().max_by_key(|it| it.1).unwrap_or_default();
    if largest < size { NextStep::Shrink((size / 2).max(largest)) } else { NextStep::TooLargeAlone(place) }
}

impl Batches {
    /// The batch size for a producer that writes to these topics.
    pub(super) fn for_topics<'a>(admin: &Admin, topics: impl IntoIterator<Item = &'a String>) -> Self {
        Self {
            admin: admin.clone(),
            topics: topics.into_iter().map(|topic| (topic.clone(), None)).collect(),
            size: None,
        }
    }

    /// Sets the size; the first time the topics are asked.
    pub(super) fn apply(&mut self, client: &mut ClientConfig) {
        if self.size.is_none() {
            self.ask();
            self.size = Some(self.limit().map_or(DEFAULT_SIZE, |limit| limit.min(DEFAULT_SIZE)));
        }
        let usual = client.get("batch.size").and_then(|size| size.parse().ok()).unwrap_or(DEFAULT_SIZE);
        client.set("batch.size", self.size().min(usual).max(1).to_string());
    }

    /// The batch size in bytes.
    pub(super) fn size(&self) -> usize {
        self.size.unwrap_or(DEFAULT_SIZE)
    }

    /// The limit of the dead letter topic, if known.
    pub(super) fn limit_for_dead_letters(&self) -> Option<usize> {
        self.topics.get(1).and_then(|(_, limit)| *limit)
    }

    /// Asks the topics again; returns whether they accept less than the current size.
    pub(super) fn refresh_limits(&mut self) -> bool {
        self.ask();
        let Some(limit) = self.limit().filter(|limit| *limit < self.size()) else { return false };
        self.cut(limit);
        true
    }

    /// Handles a batch that was refused for its size although the topics were asked: the next producer uses smaller
    /// batches. `largest` has the largest record per topic.
    ///
    /// # Errors
    /// A record does not fit even alone.
    pub(super) fn refused(&mut self, largest: &[LargestRecord]) -> Result<(), Oversized> {
        let limits = self.topics.iter().map(|(_, limit)| *limit);
        let topics: Vec<_> = limits.zip(largest.iter().map(|it| it.bytes + OVERHEAD)).collect();
        match next(self.size(), &topics) {
            NextStep::Shrink(size) => {
                self.cut(size);
                Ok(())
            }
            NextStep::TooLargeAlone(place) => match (self.topics.get(place), largest.get(place)) {
                (Some((topic, limit)), Some(record)) => {
                    Err(Oversized { record: *record, topic: topic.clone(), limit: *limit })
                }
                // Nothing was to be written.
                _ => Ok(()),
            },
        }
    }

    fn cut(&mut self, size: usize) {
        let topics: Vec<_> = self.topics.iter().map(|(topic, _)| topic.as_str()).collect();
        tracing::warn!(bytes = size, ?topics, "a batch was larger than its topic takes: batches are cut");
        self.size = Some(size);
    }

    fn limit(&self) -> Option<usize> {
        self.topics.iter().filter_map(|(_, limit)| *limit).min()
    }

    fn ask(&mut self) {
        for (topic, limit) in &mut self.topics {
            match self.admin.topic_settings(topic, TIMEOUT) {
                Ok(settings) => *limit = limit_of(&settings.in_effect),
                // Unknown then: refusals find the limit.
                Err(error) => tracing::warn!(topic, %error, "cannot look up how large a batch the topic takes"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_to_what_the_topics_say_and_else_halved_down_to_the_largest_record() {
        assert_eq!(next(DEFAULT_SIZE, &[(Some(20_000), 300), (Some(50_000), 400)]), NextStep::Shrink(20_000));
        assert_eq!(next(DEFAULT_SIZE, &[(None, 300)]), NextStep::Shrink(500_000));
        let (mut size, mut sizes) = (4000, Vec::new());
        while let NextStep::Shrink(smaller) = next(size, &[(None, 300), (None, 700)]) {
            sizes.push(smaller);
            size = smaller;
        }
        assert_eq!(sizes, [2000, 1000, 700]);
        assert_eq!(next(700, &[(None, 300), (None, 700)]), NextStep::TooLargeAlone(1));
    }

    #[test]
    fn a_record_that_its_own_topic_cannot_take_is_named() {
        assert_eq!(next(20_000, &[(Some(20_000), 20_001), (Some(50_000), 400)]), NextStep::TooLargeAlone(0));
        // Each is compared with its own topic.
        assert_eq!(next(20_000, &[(Some(50_000), 20_001), (Some(20_000), 20_001)]), NextStep::TooLargeAlone(1));
        // Not every broker has heard of another limit yet.
        assert_eq!(next(20_000, &[(Some(20_000), 300)]), NextStep::Shrink(10_000));
    }

    #[test]
    fn the_words_say_what_to_do_and_nothing_of_the_customer() {
        let record = LargestRecord { partition: 3, what: RecordKind::Customer(41), bytes: 1234 };
        let words = Oversized { record, topic: "log".to_owned(), limit: Some(1000) }.to_string();
        for part in ["partition 3", "offset 41", "1234 bytes", "takes 1000 bytes", "--entity-name log"] {
            assert!(words.contains(part), "{part}: {words}");
        }
    }

    #[test]
    fn a_topic_takes_no_batch_that_does_not_fit_into_a_segment() {
        let settings = |all: &[(&str, &str)]| -> Settings {
            all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(limit_of(&settings(&[("max.message.bytes", "9"), ("segment.bytes", "7")])), Some(7));
        assert_eq!(limit_of(&settings(&[("max.message.bytes", "9")])), Some(9));
        assert_eq!(limit_of(&settings(&[("retention.ms", "9")])), None);
    }
}
