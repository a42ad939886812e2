//! Checks before the group is joined: the brokers answer, the topic exists, and the store can work with it.
//!
//! The worker waits for problems that may pass, with a log line that says what to do. It exits on those that cannot.

use std::time::Duration;

use balancefleet_kafka::{Admin, At, Error, ErrorKind, Isolation, Settings, TopicId};
use tokio::runtime::Handle;

use crate::{
    cleanup_policy::{self, CleanupPolicy},
    config::{Config, StoreKind},
    domain::rules::LedgerKind,
    not_ready::NotReady,
    postgres_error::DatabaseError,
    stop::Stop,
    store::{UnusableTopic, database_has_progress, prepare_changelog, prepare_postgres},
    topic_facts::{TopicFacts, describe},
    view::View,
};

/// Short enough that a stop is not delayed.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The broker that is asked for its settings may be one that no connection exists to yet.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two attempts.
const AGAIN: Duration = Duration::from_secs(1);

/// Brokers have it since Kafka 3.6 (KIP-890). Without it, a write that was delayed in the network could land in the
/// next transaction of the same producer, or stay open forever.
const VERIFICATION: &str = "transaction.partition.verification.enable";

/// Why this worker can never start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreflightError {
    /// A recreated topic could not be told from the old one.
    #[error(
        "the brokers give topic {0} no id, so it could not be told from one of the same name that is made after it: Kafka \
         3.1 or later is needed, and its inter.broker.protocol.version, where it is set, must be 2.8 or later"
    )]
    NoTopicId(String),
    /// Balances are folded from every record, and some are gone.
    #[error(
        "InputCompacted: topic {topic} is compacted (cleanup.policy={policy}), so it does not keep every record: the replay \
         store needs a topic with cleanup.policy=delete that keeps its records longer than the group lives"
    )]
    CompactedReplay { topic: String, policy: String },
    /// The topic is compacted, and the group has no progress yet.
    #[error(
        "InputCompacted: topic {topic} is compacted (cleanup.policy={policy}), so it does not keep every record, and a \
         balance is the sum of all: the group has nothing stored that it could go on from, and cannot begin with it; name a \
         topic that has had cleanup.policy=delete since it was made (what compaction has removed does not come back), or \
         only count records (WORKER_LEDGER=count)"
    )]
    Compacted { topic: String, policy: String },
    /// A late write could end up in a transaction that it does not belong to.
    #[error(
        "store changelog needs brokers that verify transactions (broker setting {VERIFICATION}), and {0}; or choose \
         store replay"
    )]
    Brokers(&'static str),
    /// The changelog would not keep what is written to it.
    #[error(transparent)]
    Changelog(UnusableTopic),
    /// The database can never hold the balances.
    #[error(transparent)]
    Database(DatabaseError),
    /// The connection's settings cannot work.
    #[error(transparent)]
    Connection(Error),
}

/// Waits until the group can be joined; `None` if `stop` was ordered first.
pub(crate) fn pass(
    config: &Config,
    admin: &Admin,
    view: &View,
    runtime: &Handle,
    stop: &Stop,
) -> Result<Option<TopicFacts>, PreflightError> {
    while !stop.is_ordered() {
        view.mark_alive();
        match check(config, admin, runtime, true)? {
            Ok(facts) => {
                view.set_waiting_for(None);
                return Ok(Some(facts));
            }
            Err(error) => view.set_waiting_for(Some(&error)),
        }
        runtime.block_on(async { tokio::time::timeout(AGAIN, stop.ordered()).await.ok() });
    }
    Ok(None)
}

/// One check: returns the topic, why the worker must wait, or why it can never start. With `create`, creates the
/// store's missing topics or tables.
pub(crate) fn check(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    create: bool,
) -> Result<Result<TopicFacts, NotReady>, PreflightError> {
    // The group is read only to check that it is allowed.
    let group = |facts| admin.committed_offsets(&config.group_id, None, false, TIMEOUT).map(|_| facts);
    let facts = match describe(admin, &config.topic, TIMEOUT).and_then(group) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::Invalid => return Err(PreflightError::Connection(error)),
        Err(error) => return Ok(Err(error.into())),
    };
    identified(&config.topic, &facts)?;
    if config.rules.ledger == LedgerKind::Count {
        return Ok(Ok(facts));
    }
    match cleanup_policy::look_up(admin, &config.topic) {
        Err(error) => return Ok(Err(error.into())),
        // Checked before anything is created.
        Ok(found) => {
            if let Err(error) = may_fold(config, admin, runtime, &found)? {
                return Ok(Err(error));
            }
        }
    }
    match config.store {
        StoreKind::Changelog => {
            match admin.broker_settings(BROKER_TIMEOUT) {
                Ok(settings) => verifies(&settings).map_err(PreflightError::Brokers)?,
                Err(error) if error.kind() == ErrorKind::Authorization => tracing::warn!(
                    %error,
                    "make sure yourself that all brokers run Kafka 3.6 or later with {VERIFICATION}=true"
                ),
                Err(error) => return Ok(Err(error.into())),
            }
            match prepare_changelog(config, admin, facts.partition_count, create) {
                Ok(()) => Ok(Ok(facts)),
                Err(UnusableTopic::Kafka(error)) => Ok(Err(error.into())),
                Err(unfit) => Err(PreflightError::Changelog(unfit)),
            }
        }
        StoreKind::Postgres => {
            let prepared = config.database_in_use().map_or(Ok(()), |target| prepare_postgres(target, runtime, create));
            match prepared {
                Ok(()) => Ok(Ok(facts)),
                Err(error) if error.is_permanent() => Err(PreflightError::Database(error)),
                Err(error) => Ok(Err(error.into())),
            }
        }
        StoreKind::Replay => Ok(Ok(facts)),
    }
}

/// Checks that a group may work with such an input. With a compacted one it may only continue from what its store has.
fn may_fold(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    found: &CleanupPolicy,
) -> Result<Result<(), NotReady>, PreflightError> {
    let CleanupPolicy::Compacted { topic, policy } = found else {
        if *found == CleanupPolicy::Unknown {
            tracing::warn!("{}", CleanupPolicy::unknown(&config.topic));
        }
        return Ok(Ok(()));
    };
    let (topic, policy) = (topic.clone(), policy.clone());
    let has_progress: Result<bool, NotReady> = match (config.store, config.database_in_use()) {
        (StoreKind::Replay, _) => return Err(PreflightError::CompactedReplay { topic, policy }),
        (StoreKind::Changelog, _) => changelog_has_records(config, admin).map_err(NotReady::from),
        (StoreKind::Postgres, Some(target)) => database_has_progress(config, target, runtime).map_err(NotReady::from),
        // Without one, the configuration was refused.
        (StoreKind::Postgres, None) => Ok(false),
    };
    match has_progress {
        Ok(true) => {
            if let Some(warning) = found.warning() {
                tracing::warn!(kind = "InputCompacted", "{warning}");
            }
            Ok(Ok(()))
        }
        Ok(false) => Err(PreflightError::Compacted { topic, policy }),
        Err(error) => Ok(Err(error)),
    }
}

/// Whether anything was ever committed: only commits write to a changelog.
fn changelog_has_records(config: &Config, admin: &Admin) -> Result<bool, Error> {
    let topic = &config.changelog_topic;
    let partitions = match describe(admin, topic, TIMEOUT) {
        Err(error) if error.kind() == ErrorKind::UnknownTopic => return Ok(false),
        known => known?.partition_count,
    };
    let asked: Vec<_> = (0..partitions).map(|partition| (topic.clone(), partition)).collect();
    for end in admin.list_offsets(&asked, At::Latest, Isolation::ReadUncommitted, TIMEOUT)? {
        if end.offset? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn identified(topic: &str, facts: &TopicFacts) -> Result<(), PreflightError> {
    let has_id = facts.topic_id != TopicId::NONE.to_string();
    if has_id { Ok(()) } else { Err(PreflightError::NoTopicId(topic.to_owned())) }
}

/// Whether the brokers keep a late request of an ended transaction out of the next one.
fn verifies(brokers: &Settings) -> Result<(), &'static str> {
    match brokers.get(VERIFICATION).map(String::as_str) {
        Some("true") => Ok(()),
        Some(_) => Err("it is switched off: set it to true"),
        None => Err("they do not know it: upgrade them to 3.6 or later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_an_id_is_refused() {
        let facts = |id: TopicId| TopicFacts { topic_id: id.to_string(), partition_count: 1 };
        assert!(identified("payments", &facts(TopicId::from_halves(0, 1))).is_ok());
        let refusal = identified("payments", &facts(TopicId::from_halves(0, 0))).unwrap_err().to_string();
        assert!(refusal.contains("payments") && refusal.contains("3.1"), "{refusal}");
    }

    #[test]
    fn brokers_that_do_not_verify_transactions_are_told_apart_from_those_that_cannot() {
        let settings = |value: &str| Settings::from([(VERIFICATION.to_owned(), value.to_owned())]);
        assert_eq!(verifies(&settings("true")), Ok(()));
        assert!(verifies(&settings("false")).unwrap_err().contains("switched off"));
        assert!(verifies(&Settings::new()).unwrap_err().contains("3.6"));
    }
}
