//! The compacted topic: its settings, and how it grows with the input.

use std::time::Duration;

use balancefleet_kafka::{Admin, Error, ErrorKind, PartitionDescription, Settings, TopicSettings};

use super::batches::limit_of;
use crate::{config::Config, topic_facts::describe};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// From so many replicas on, a write has to reach two.
const SAFE_REPLICAS: usize = 3;
/// How many of them have to have a write then.
const MIN_IN_SYNC: usize = 2;

/// So many tenths of a second a new topic may take until every broker knows it.
const KNOWN_AFTER: usize = 50;

/// The progress of a partition without the names in it, compressed or not, has more.
const PROGRESS_BYTES: usize = 200;
/// The headers of a dead letter without the names in them, compressed or not, have more.
const DEAD_LETTER_BYTES: usize = 200;

/// The settings of a changelog. Only the newest value of each customer is needed, and that for ever.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("delete.retention.ms", "60000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.3"),
    ("max.compaction.lag.ms", "600000"),
];

/// Why a topic cannot be the changelog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// It would lose balances, or never shrink.
    #[error(
        "topic {topic} has cleanup.policy={policy}: a changelog needs compact and nothing else, or balances would be deleted; \
         change the topic (kafka-configs --alter --add-config cleanup.policy=compact) or name another one"
    )]
    Policy { topic: String, policy: String },
    /// Nothing could ever be written to it.
    #[error(
        "topic {topic} takes no batch of more than {limit} bytes (max.message.bytes, segment.bytes), but {what} has {needed}: \
         nothing could ever be committed; let it take more (kafka-configs --alter --entity-type topics --entity-name {topic} \
         --add-config max.message.bytes=1048588)"
    )]
    Limit { topic: String, limit: usize, what: &'static str, needed: usize },
    /// It may pass, or somebody has to allow it.
    #[error(transparent)]
    Kafka(#[from] Error),
}

/// Whether a topic with these settings of its own is as a worker makes it that ended before it had set `min.insync.replicas`.
/// What somebody else has made keeps the settings it was given.
fn is_unfinished(own: &Settings) -> bool {
    own.len() == SETTINGS.len() && SETTINGS.iter().all(|(name, value)| own.get(*name).is_some_and(|it| it == value))
}

pub(super) struct Topic {
    pub(super) name: String,
    replication: Option<i32>,
    /// Of the shortest batches that are ever written to the topic and to that of the dead letters.
    progress_bytes: usize,
    dead_letter_bytes: usize,
}

/// Whether a topic with these settings takes a batch of so many bytes.
fn takes(topic: &str, settings: &Settings, what: &'static str, needed: usize) -> Result<(), Unfit> {
    match limit_of(settings) {
        Some(limit) if limit < needed => Err(Unfit::Limit { topic: topic.to_owned(), limit, what, needed }),
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

    /// Looks at the topic; with `make` it is made, or grown, to have `partitions`.
    pub(super) fn prepare(&self, admin: &Admin, partitions: i32, make: bool) -> Result<(), Unfit> {
        let is_new = match describe(admin, &self.name, TIMEOUT) {
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::UnknownTopic && make => self.create(admin, partitions)?,
            Err(error) if error.kind() == ErrorKind::UnknownTopic => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Also after making it: somebody else may have been first, with other settings.
        let TopicSettings { own, in_effect: mut settings } =
            admin.topic_settings(&self.name, TIMEOUT).map_err(|error| match error {
                // It is there, but too new for the broker that was asked.
                Error::UnknownTopic { .. } => self.just_made(),
                error => error,
            })?;
        if make && is_unfinished(&own) {
            self.finish(admin, is_new)?;
        }
        let policy = settings.remove("cleanup.policy").unwrap_or_default();
        if policy != "compact" {
            return Err(Unfit::Policy { topic: self.name.clone(), policy });
        }
        takes(&self.name, &settings, "the progress of a partition", self.progress_bytes)?;
        if make { Ok(self.grow_to(admin, partitions)?) } else { Ok(()) }
    }

    /// Adds partitions until there are at least as many as the input has.
    pub(super) fn grow_to(&self, admin: &Admin, partitions: i32) -> Result<(), Error> {
        let found = describe(admin, &self.name, TIMEOUT)?.partition_count;
        if found >= partitions {
            return Ok(());
        }
        tracing::info!(topic = self.name, from = found, to = partitions, "adding partitions to the changelog");
        // Of several owners of new partitions, one is first.
        admin.grow_topic(&self.name, partitions, TIMEOUT)
    }

    /// Makes a plain topic of that name with as many partitions, unless there is one.
    pub(super) fn make_beside(&self, admin: &Admin, name: &str, partitions: i32) -> Result<(), Error> {
        match describe(admin, name, TIMEOUT) {
            Err(error) if error.kind() == ErrorKind::UnknownTopic => {}
            known => return known.map(drop),
        }
        if admin.create_topic(name, partitions, self.replication, &[], TIMEOUT)? {
            tracing::info!(topic = name, partitions, "created the dead letter topic");
        }
        Ok(())
    }

    /// Whether the topic of the dead letters, if it is there, takes at least one that is cut.
    pub(super) fn prepare_dead_letter_topic(&self, admin: &Admin, name: &str) -> Result<(), Unfit> {
        match admin.topic_settings(name, TIMEOUT) {
            Ok(settings) => {
                takes(name, &settings.in_effect, "a dead letter without its record", self.dead_letter_bytes)
            }
            Err(error) if error.is_transient() => Err(error.into()),
            // It is still to be made, or not everybody who may write to it may look at its settings.
            Err(error) => {
                tracing::debug!(topic = name, %error, "what the topic of the dead letters takes is not known");
                Ok(())
            }
        }
    }

    /// Whether there was none.
    fn create(&self, admin: &Admin, partitions: i32) -> Result<bool, Error> {
        // Workers that start together all try.
        let is_new = admin.create_topic(&self.name, partitions, self.replication, SETTINGS, TIMEOUT)?;
        if is_new {
            tracing::info!(topic = self.name, partitions, "created the changelog");
        }
        Ok(is_new)
    }

    /// What is missing of a topic that a worker has made: only afterwards it is known how many replicas the cluster gave it.
    fn finish(&self, admin: &Admin, is_new: bool) -> Result<(), Error> {
        match self.raise_min_insync(admin) {
            // Workers have worked with it as it is, and it may be somebody's who has set just the same.
            Err(error) if !is_new => {
                tracing::warn!(topic = self.name, %error, "the changelog keeps the cluster's min.insync.replicas");
                Ok(())
            }
            finished => finished,
        }
    }

    /// With three replicas or more an acknowledged write shall survive the loss of any one broker.
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
            least(|it| it.replicas).zip(least(|it| it.in_sync)).ok_or_else(|| self.just_made())?;
        // Where one alone is in sync it would end all writing.
        if replicas < SAFE_REPLICAS || in_sync < MIN_IN_SYNC {
            return Ok(());
        }
        let min_in_sync = MIN_IN_SYNC.to_string();
        let settings: Vec<_> =
            SETTINGS.iter().copied().chain([("min.insync.replicas", min_in_sync.as_str())]).collect();
        admin.configure_topic(&self.name, &settings, TIMEOUT)
    }

    /// None while the broker that was asked does not know the topic yet.
    fn partitions(&self, admin: &Admin) -> Result<Vec<PartitionDescription>, Error> {
        let described = admin.describe_topics(&[&self.name], TIMEOUT)?.pop();
        match described.ok_or_else(|| self.just_made())?.1 {
            Ok(topic) => Ok(topic.partitions),
            Err(error) if matches!(error.kind(), ErrorKind::UnknownTopic | ErrorKind::Transient) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn just_made(&self) -> Error {
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
