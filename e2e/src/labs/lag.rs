//! Samples what Kafka itself says of a consumer group: lag, members and state, without a JVM for each sample.
//!
//! Lag is what Kafka's own tool shows: the end of each partition's log less the offset that the group has committed.

use std::collections::BTreeSet;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::traffic::Interrupt;

/// Every call to the broker ends after this.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why a group cannot be sampled.
#[derive(Debug, thiserror::Error)]
pub enum LagError {
    /// The client's own words.
    #[error("Kafka at {brokers}: {source}")]
    Kafka {
        /// The bootstrap servers.
        brokers: String,
        /// The client's error.
        source: KafkaError,
    },
    /// There is no such group.
    #[error("Kafka knows no group {group}; it knows {}", listed(known))]
    UnknownGroup {
        /// The group.
        group: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// Without a committed offset, nothing says what the group has read, or of which topic.
    #[error("the group {0} has committed no offset yet, so it has no lag")]
    NothingCommitted(String),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A group at one moment; what could not be read is absent.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Records that are not committed.
    pub lag: Option<i64>,
    /// Members of the group.
    pub members: Option<usize>,
    /// The state that Kafka gives the group.
    pub state: Option<String>,
}

impl Sample {
    /// The columns of what [`fmt::Display`] writes.
    pub const COLUMNS: &str = "# time                   lag      members  state";
}

impl fmt::Display for Sample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let (lag, members) = (self.lag.map(|lag| lag.to_string()), self.members.map(|members| members.to_string()));
        let (lag, members, state) = (or_none(lag), or_none(members), or_none(self.state.clone()));
        write!(out, "{:.3} {lag:<8} {members:<8} {state}", self.at)
    }
}

/// A group and the partitions it has committed in.
pub struct Sampler {
    consumer: BaseConsumer,
    brokers: String,
    group: String,
    partitions: Vec<(String, i32)>,
}

impl Sampler {
    /// The group's topics are those in which it has committed an offset.
    pub fn new(brokers: &str, group: &str) -> Result<Self, LagError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("group.id", group)
            .set("client.id", "balancefleet-lag")
            .set("enable.auto.commit", "false")
            // The end of the log, and not the last stable offset: as Kafka's own tool counts.
            .set("isolation.level", "read_uncommitted");
        let error = |source| LagError::Kafka { brokers: brokers.to_owned(), source };
        let consumer: BaseConsumer = config.create().map_err(error)?;
        let (brokers, group) = (brokers.to_owned(), group.to_owned());
        let mut sampler = Self { consumer, brokers, group, partitions: Vec::new() };
        // First: where no group has ever been, there is nobody to ask for offsets.
        let known = sampler.groups()?;
        if !known.contains(&sampler.group) {
            return Err(LagError::UnknownGroup { group: sampler.group, known });
        }
        sampler.partitions = sampler.committed_partitions()?;
        if sampler.partitions.is_empty() {
            return Err(LagError::NothingCommitted(sampler.group));
        }
        Ok(sampler)
    }

    /// Samples every `interval` for `length`, or until interrupted. `show` gets each sample; `complain` what could not
    /// be read, once until it can be read again.
    pub fn watch(
        &self,
        length: Duration,
        interval: Duration,
        interrupt: &Interrupt,
        mut show: impl FnMut(&Sample),
        mut complain: impl FnMut(&LagError),
    ) {
        let began = Instant::now();
        let mut has_complained = false;
        for number in 0.. {
            let due = interval * number;
            if due > length {
                return;
            }
            while began.elapsed() < due {
                if interrupt.is_raised() {
                    return;
                }
                thread::sleep((due - began.elapsed().min(due)).min(Duration::from_millis(50)));
            }
            let at = Timestamp::now();
            let sample = self.sample(at).unwrap_or_else(|error| {
                if !has_complained {
                    complain(&error);
                }
                Sample { at, ..Sample::default() }
            });
            has_complained = sample.lag.is_none();
            show(&sample);
        }
    }

    fn sample(&self, at: Timestamp) -> Result<Sample, LagError> {
        let lag = self.lag()?;
        let groups =
            self.consumer.fetch_group_list(Some(&self.group), DEADLINE).map_err(|source| self.error(source))?;
        let group = groups.groups().first();
        let (members, state) = (group.map(|group| group.members().len()), group.map(|group| group.state().to_owned()));
        Ok(Sample { at, lag: Some(lag), members, state })
    }

    /// Commits first: what is committed meanwhile would make the lag negative.
    fn lag(&self) -> Result<i64, LagError> {
        let committed = self.committed(&self.partitions)?;
        let mut lag = 0;
        for (topic, partition, offset) in committed {
            let watermarks = self.consumer.fetch_watermarks(&topic, partition, DEADLINE);
            let (first, end) = watermarks.map_err(|source| self.error(source))?;
            lag += (end - offset.unwrap_or(first)).max(0);
        }
        Ok(lag)
    }

    fn committed(&self, partitions: &[(String, i32)]) -> Result<Vec<(String, i32, Option<i64>)>, LagError> {
        let mut wanted = TopicPartitionList::new();
        for (topic, partition) in partitions {
            wanted.add_partition(topic, *partition);
        }
        let committed = self.consumer.committed_offsets(wanted, DEADLINE).map_err(|source| self.error(source))?;
        let offset = |raw: Option<i64>| raw.filter(|offset| *offset >= 0);
        let elements = committed.elements();
        Ok(elements.iter().map(|it| (it.topic().to_owned(), it.partition(), offset(it.offset().to_raw()))).collect())
    }

    /// All partitions of the topics in which the group has committed.
    fn committed_partitions(&self) -> Result<Vec<(String, i32)>, LagError> {
        let metadata = self.consumer.fetch_metadata(None, DEADLINE).map_err(|source| self.error(source))?;
        let of_topic = |topic: &rdkafka::metadata::MetadataTopic| {
            let name = topic.name().to_owned();
            topic.partitions().iter().map(|partition| (name.clone(), partition.id())).collect::<Vec<_>>()
        };
        let all: Vec<_> = metadata.topics().iter().flat_map(of_topic).collect();
        let committed = self.committed(&all)?;
        let topics: BTreeSet<_> =
            committed.into_iter().filter(|(_, _, offset)| offset.is_some()).map(|(topic, ..)| topic).collect();
        Ok(all.into_iter().filter(|(topic, _)| topics.contains(topic)).collect())
    }

    fn groups(&self) -> Result<Vec<String>, LagError> {
        let groups = self.consumer.fetch_group_list(None, DEADLINE).map_err(|source| self.error(source))?;
        let mut known: Vec<_> = groups.groups().iter().map(|group| group.name().to_owned()).collect();
        known.sort_unstable();
        Ok(known)
    }

    fn error(&self, source: KafkaError) -> LagError {
        LagError::Kafka { brokers: self.brokers.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_line_of_four_words_whatever_is_known() {
        let at = "2026-11-30T13:05:12.004711Z".parse().unwrap();
        let known = Sample { at, lag: Some(520), members: Some(3), state: Some("Stable".into()) };
        let words = |sample: &Sample| sample.to_string().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&known), ["2026-11-30T13:05:12.004Z", "520", "3", "Stable"]);
        assert_eq!(words(&Sample { at, ..Sample::default() }), ["2026-11-30T13:05:12.004Z", "-", "-", "-"]);
    }
}
