//! What the tools work with, and why a tool may fail.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::{Admin, Error, ErrorKind};
use tokio::runtime::Handle;

use crate::{
    cleanup_policy::{self, CleanupPolicy},
    config::{Config, StoreKind},
    domain::{ledger_rules::WorkerRules, rules::LedgerKind},
    not_ready::NotReady,
    postgres_error::DatabaseError,
    postgres_target::DatabaseTarget,
    preflight::{self, PreflightError},
    store::{CommitError, StoreInspector, StoredPartition},
    topic_facts::{TopicFacts, describe},
};

/// How long one question to the brokers may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a tool tries again while an error is likely to pass, and how often.
const RETRY_FOR: Duration = Duration::from_secs(10);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Why a tool failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpsError {
    #[error(transparent)]
    Refused(#[from] PreflightError),
    #[error(transparent)]
    Kafka(#[from] Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Some partitions are already rebuilt.
    #[error(
        "{0}; every partition is either rebuilt or unchanged: run balance-worker rebuild again; if it then asks for \
         --lose, add that option with the number that it names"
    )]
    Halfway(Box<OpsError>),
    /// The text says why, and what to do.
    #[error("{0}")]
    Impossible(String),
    #[error("cannot talk to the terminal: {0}")]
    Terminal(#[from] std::io::Error),
}

impl OpsError {
    /// Whether the same call is likely to succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            // If no broker can be reached, the address is usually wrong.
            Self::Kafka(error) | Self::NotReady(NotReady::Kafka(error)) => {
                error.is_transient() && error.kind() != ErrorKind::Unreachable
            }
            Self::Database(error) | Self::NotReady(NotReady::Database(error)) => error.is_transient(),
            Self::NotReady(NotReady::NoInitialOffsets { .. }) => true,
            _ => false,
        }
    }
}

/// Repeats what may be repeated while its error is likely to pass: for some time, not every broker knows a new topic.
pub(crate) fn retry_transient<T>(mut attempt: impl FnMut() -> Result<T, OpsError>) -> Result<T, OpsError> {
    let deadline = Instant::now() + RETRY_FOR;
    loop {
        match attempt() {
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                tracing::warn!(%error, "trying again");
                std::thread::sleep(RETRY_INTERVAL);
            }
            outcome => return outcome,
        }
    }
}

/// What both tools work with.
pub(super) struct ToolContext<'a> {
    pub(super) config: &'a Config,
    pub(super) worker_rules: Arc<WorkerRules>,
    pub(super) admin: &'a Admin,
    pub(super) topic: TopicFacts,
    pub(super) stored: StoredIn<'a>,
}

/// Where the balances are.
pub(super) enum StoredIn<'a> {
    /// In a changelog with this many partitions; 0 if there is no changelog.
    Changelog(i32),
    Postgres(&'a DatabaseTarget, Box<StoreInspector>),
}

impl<'a> StoredIn<'a> {
    pub(super) fn of(
        config: &'a Config,
        worker_rules: &Arc<WorkerRules>,
        admin: &Admin,
        runtime: &Handle,
    ) -> Result<Self, OpsError> {
        match (config.store, config.database_in_use()) {
            (StoreKind::Postgres, Some(database)) => {
                let inspector = StoreInspector::connect(config, worker_rules.clone(), database, runtime)?;
                Ok(Self::Postgres(database, Box::new(inspector)))
            }
            (StoreKind::Changelog, _) => match describe(admin, &config.changelog_topic, TIMEOUT) {
                Ok(changelog) => Ok(Self::Changelog(changelog.partition_count)),
                Err(error) if error.kind() == ErrorKind::UnknownTopic => Ok(Self::Changelog(0)),
                Err(error) => Err(error.into()),
            },
            // Without one, the configuration was refused.
            (StoreKind::Postgres, None) => Err(OpsError::Impossible("store postgres has no database".to_owned())),
            (StoreKind::Replay, _) => Err(keeps_nothing()),
        }
    }
}

impl<'a> ToolContext<'a> {
    /// Checks that everything the tool needs exists; creates nothing.
    pub(super) fn open(config: &'a Config, admin: &'a Admin, runtime: &Handle) -> Result<Self, OpsError> {
        retry_transient(|| Self::try_open(config, admin, runtime))
    }

    fn try_open(config: &'a Config, admin: &'a Admin, runtime: &Handle) -> Result<Self, OpsError> {
        if config.rules.ledger == LedgerKind::Count {
            return Err(OpsError::Impossible("ledger count keeps no balances: nothing to audit or rebuild".to_owned()));
        }
        if config.store == StoreKind::Replay {
            return Err(keeps_nothing());
        }
        let topic = preflight::check(config, admin, runtime, false)??;
        if let CleanupPolicy::Compacted { topic, policy } = cleanup_policy::look_up(admin, &config.topic)? {
            return Err(OpsError::Impossible(format!(
                "InputCompacted: topic {topic} is compacted (cleanup.policy={policy}) and does not keep every record: \
                 balances recomputed from it would differ from the stored ones without showing which are right; \
                 nothing was changed"
            )));
        }
        let worker_rules = Arc::new(WorkerRules::new(config.rules.clone()));
        let stored = StoredIn::of(config, &worker_rules, admin, runtime)?;
        Ok(Self { config, worker_rules, admin, topic, stored })
    }

    /// What is stored of a partition now.
    pub(super) fn inspect(&self, partition: i32) -> Result<StoredPartition, OpsError> {
        self.scan(partition, |_, _| {})
    }

    /// [`Self::inspect`]; `each_key` also gets every key of a changelog, and whether it has a value.
    pub(super) fn scan(&self, partition: i32, each_key: impl FnMut(&[u8], bool)) -> Result<StoredPartition, OpsError> {
        match &self.stored {
            StoredIn::Changelog(partitions) => self.changelog(*partitions, partition, each_key),
            StoredIn::Postgres(_, inspector) => Ok(inspector.inspect(partition, &self.topic.topic_id)?),
        }
    }
}

fn keeps_nothing() -> OpsError {
    let why = "store replay keeps nothing: its workers re-read the topic at every start; restart them instead";
    OpsError::Impossible(why.to_owned())
}

/// Writes one line of a report, at once.
pub(super) fn print_line(out: &mut impl Write, line: &str) -> Result<(), OpsError> {
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A count as people read it: `1,234,567`.
pub(super) fn grouped(count: impl TryInto<u64>) -> String {
    let digits = count.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0_u64, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_is_likely_to_pass_is_tried_again_and_nothing_else_is() {
        let new_topic =
            || OpsError::Kafka(Error::Transient { what: "topic t".to_owned(), detail: "just made".to_owned() });
        let mut answers = vec![Ok(3), Err(new_topic()), Err(new_topic())];
        assert_eq!(retry_transient(|| answers.pop().unwrap()).unwrap(), 3);
        let mut answers = vec![Ok(3), Err(OpsError::Impossible("no".to_owned()))];
        assert!(matches!(retry_transient(|| answers.pop().unwrap()), Err(OpsError::Impossible(_))));
    }
}
