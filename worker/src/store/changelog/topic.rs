//! The compacted topic: its settings, and how it grows with the input.

use std::time::Duration;

use balancefleet_kafka::{Admin, Error, ErrorKind, PartitionDescription, Settings, TopicSettings};

use super::batches::limit_of;
use crate::{config::Config, topic_facts::describe};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// With this many replicas or more, a write must reach two.
const SAFE_REPLICAS: usize = 3;
/// The replicas that must have a write then.
const MIN_IN_SYNC: usize = 2;

/// Attempts, 100 ms apart, until every broker knows a new topic.
const KNOWN_AFTER: usize = 50;

/// The progress of a partition has more bytes than this even without its names, compressed or not.
const PROGRESS_BYTES: usize = 200;
/// The headers of a dead letter have more bytes than this even without their names, compressed or not.
const DEAD_LETTER_BYTES: usize = 200;

/// The settings of a changelog. Only the newest value of each customer is needed, and it is needed forever.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("delete.retention.ms", "60000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.3"),
    ("max.compaction.lag.ms", "600000"),
];

/// Why a topic cannot be the changelog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableTopic {
    /// The topic would lose balances, or never shrink.
    #[error(
        "topic {topic} has cleanup.policy={policy}: a changelog needs compact and nothing else, or balances would be deleted; \
         change the topic (kafka-configs --alter --add-config cleanup.policy=compact) or name another one"
    )]
    Policy { topic: String, policy: String },
    /// Nothing can be written to the topic.
    #[error(
        "topic {topic} takes no batch of more than {limit} bytes (max.message.bytes, segment.bytes), but {what} has {needed}: \
         nothing could ever be committed; let it take more (kafka-configs --alter --entity-type topics --entity-name {topic} \
         --add-config max.message.bytes=1048588)"
    )]
    Limit { topic: String, limit: usize, what: &'static str, needed: usize },
    /// The error may pass, or an administrator must grant a right.
    #[error(transparent)]
    Kafka(#[from] Error),
}

/// Whether a topic with these settings looks like one from a worker that stopped before it had set
/// `min.insync.replicas`. A topic that somebody else created keeps its settings.
fn is_unfinished(own: &Settings) -> bool {
    own.len() == SETTINGS.len() && SETTINGS.iter().all(|(name, value)| own.get(*name).is_some_and(|it| it == value))
}

pub(super) struct Topic {
    pub(super) name: String,
    replication: Option<i32>,
    /// The bytes of the shortest batches that are ever written to the changelog and to the dead letter topic.
    progress_bytes: usize,
    dead_letter_bytes: usize,
}

/// Whether a topic with these settings accepts a batch of this many bytes.
fn takes(topic: &str, settings: &Settings, what: &'static str, needed: usize) -> Result<(), UnusableTopic> {
    match limit_of(settings) {
        Some(limit) if limit < needed => Err(UnusableTopic::Limit { topic: topic.to_owned(), limit, what, needed }),
        _ => Ok(()),
    }
}

impl Topic {
    pub(super) fn new(config: &Config) -> Self {
        let names = config.group_id.len().max(config.topic.len());
        Self {
            progress_bytes: PROGRESS_BYTES + names,
            dead_letter_bytes: DEAD_LETTER_BYTES + names,
            name: config.changelog_topic.clone(),
            replication: config.changelog_replication,
        }
    }

    /// Checks the topic; with `create`, creates it or grows it to `partitions`.
    pub(super) fn prepare(&self, admin: &Admin, partitions: i32, create: bool) -> Result<(), UnusableTopic> {
        let is_new = match describe(admin, &self.name, TIMEOUT) {
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::UnknownTopic && create => self.create(admin, partitions)?,
            Err(error) if error.kind() == ErrorKind::UnknownTopic => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Checked even after it was created: somebody else may have been first, with other settings.
        let TopicSettings { own, in_effect: mut settings } =
            admin.topic_settings(&self.name, TIMEOUT).map_err(|error| match error {
                // The topic exists, but the broker that was asked does not know it yet.
                Error::UnknownTopic { .. } => self.just_created(),
                error => error,
            })?;
        if create && is_unfinished(&own) {
            self.finish(admin, is_new)?;
        }
        let policy = settings.remove("cleanup.policy").unwrap_or_default();
        if policy != "compact" {
            return Err(UnusableTopic::Policy { topic: self.name.clone(), policy });
        }
        takes(&self.name, &settings, "the progress of a partition", self.progress_bytes)?;
        if create { Ok(self.grow_to(admin, partitions)?) } else { Ok(()) }
    }

    /// Adds partitions until there are at least as many as the input has.
    pub(super) fn grow_to(&self, admin: &Admin, partitions: i32) -> Result<(), Error> {
        let found = describe(admin, &self.name, TIMEOUT)?.partition_count;
        if found >= partitions {
            return Ok(());
        }
        tracing::info!(topic = self.name, from = found, to = partitions, "adding partitions to the changelog");
        // Several owners of new partitions may try; one is first.
        admin.create_partitions(&self.name, partitions, TIMEOUT)
    }

    /// Creates a plain topic of that name with as many partitions, unless it exists.
    pub(super) fn create_dead_letter_topic(&self, admin: &Admin, name: &str, partitions: i32) -> Result<(), Error> {
        match describe(admin, name, TIMEOUT) {
            Err(error) if error.kind() == ErrorKind::UnknownTopic => {}
            known => return known.map(drop),
        }
        if admin.create_topic(name, partitions, self.replication, &[], TIMEOUT)? {
            tracing::info!(topic = name, partitions, "created the dead letter topic");
        }
        Ok(())
    }

    /// Checks that the dead letter topic, if it exists, accepts at least a cut dead letter.
    pub(super) fn prepare_dead_letter_topic(&self, admin: &Admin, name: &str) -> Result<(), UnusableTopic> {
        match admin.topic_settings(name, TIMEOUT) {
            Ok(settings) => {
                takes(name, &settings.in_effect, "a dead letter without its record", self.dead_letter_bytes)
            }
            Err(error) if error.is_transient() => Err(error.into()),
            // It does not exist yet, or this user may write to it but not read its settings.
            Err(error) => {
                tracing::debug!(topic = name, %error, "what the topic of the dead letters takes is not known");
                Ok(())
            }
        }
    }

    /// Creates the topic; returns false if it existed.
    fn create(&self, admin: &Admin, partitions: i32) -> Result<bool, Error> {
        // Several workers may start at the same time and try.
        let is_new = admin.create_topic(&self.name, partitions, self.replication, SETTINGS, TIMEOUT)?;
        if is_new {
            tracing::info!(topic = self.name, partitions, "created the changelog");
        }
        Ok(is_new)
    }

    /// Completes a topic that a worker has created: only afterwards it is known how many replicas the cluster gave it.
    fn finish(&self, admin: &Admin, is_new: bool) -> Result<(), Error> {
        match self.raise_min_insync(admin) {
            // Workers have used the topic as it is, and its settings may be an administrator's choice.
            Err(error) if !is_new => {
                tracing::warn!(topic = self.name, %error, "the changelog keeps the cluster's min.insync.replicas");
                Ok(())
            }
            finished => finished,
        }
    }

    /// With three replicas or more, an acknowledged write must survive the loss of any one broker.
    fn raise_min_insync(&self, admin: &Admin) -> Result<(), Error> {
        let mut partitions = self.partitions(admin)?;
        for _ in 0..KNOWN_AFTER {
            if !partitions.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            partitions = self.partitions(admin)?;
        }
        let least = |count: fn(&PartitionDescription) -> usize| partitions.iter().map(count).min();
        let (replicas, in_sync) =
            least(|it| it.replicas).zip(least(|it| it.in_sync)).ok_or_else(|| self.just_created())?;
        // With only one replica in sync, the setting would block all writes.
        if replicas < SAFE_REPLICAS || in_sync < MIN_IN_SYNC {
            return Ok(());
        }
        let min_in_sync = MIN_IN_SYNC.to_string();
        let settings: Vec<_> =
            SETTINGS.iter().copied().chain([("min.insync.replicas", min_in_sync.as_str())]).collect();
        admin.alter_topic(&self.name, &settings, TIMEOUT)
    }

    /// Empty while the broker that was asked does not know the topic yet.
    fn partitions(&self, admin: &Admin) -> Result<Vec<PartitionDescription>, Error> {
        let described = admin.describe_topics(&[&self.name], TIMEOUT)?.pop();
        match described.ok_or_else(|| self.just_created())?.1 {
            Ok(topic) => Ok(topic.partitions),
            Err(error) if matches!(error.kind(), ErrorKind::UnknownTopic | ErrorKind::Transient) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn just_created(&self) -> Error {
        Error::Transient { what: format!("topic {}", self.name), detail: "just made".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_worker_left_behind_is_unfinished() {
        let settings = |more: &[(&str, &str)]| -> Settings {
            SETTINGS.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(is_unfinished(&settings(&[])));
        let finished = settings(&[("min.insync.replicas", &MIN_IN_SYNC.to_string())]);
        let by_hand = Settings::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        for own in [finished, settings(&[("segment.bytes", "1048576")]), by_hand] {
            assert!(!is_unfinished(&own), "{own:?}");
        }
    }
}
