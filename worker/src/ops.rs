//! Tools for a person at night: compare the balances with the log they were made of, and make them anew.
//!
//! Both read one partition after the other, so they need no more memory than the largest one.

mod audit;
mod differences;
mod member;
mod progress;
mod reading;
mod rebuild;

use std::{io::Write, time::Duration};

use balancefleet_kafka::{Admin, Error, ErrorKind, TransactionError};
use tokio::runtime::Handle;

pub(crate) use audit::audit;
pub(crate) use rebuild::rebuild;

use crate::{
    config::Config,
    consumer::describe,
    hindrance::Hindrance,
    preflight::{self, Refusal},
    rules::LedgerKind,
    store::StoreKind,
    view::TopicFacts,
};

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a tool did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpsError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Kafka(#[from] Error),
    #[error(transparent)]
    Hindered(#[from] Hindrance),
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// Some partitions are marked already.
    #[error("{0}; workers refuse the partitions that are not complete (Rebuilding): run balance-worker rebuild again")]
    Interrupted(Box<OpsError>),
    /// With what to do.
    #[error("{0}")]
    Impossible(String),
    #[error("cannot talk to the terminal: {0}")]
    Terminal(#[from] std::io::Error),
}

/// What both tools work with.
struct Tools<'a> {
    config: &'a Config,
    admin: &'a Admin,
    topic: TopicFacts,
    /// How many partitions the changelog has, 0 if there is none.
    stored: i32,
}

impl<'a> Tools<'a> {
    /// Looks whether everything is there; nothing is made.
    fn take_up(config: &'a Config, admin: &'a Admin, runtime: &Handle) -> Result<Self, OpsError> {
        if config.rules.ledger == LedgerKind::Count {
            return Err(OpsError::Impossible("ledger count keeps no balances: there is nothing to look at".to_owned()));
        }
        let impossible = match config.store {
            StoreKind::Changelog => None,
            StoreKind::Replay => {
                Some("store replay keeps nothing: its workers fold the topic anew at every start; restart them instead")
            }
            StoreKind::Postgres => Some("this release audits and rebuilds the store changelog only"),
        };
        if let Some(why) = impossible {
            return Err(OpsError::Impossible(why.to_owned()));
        }
        let topic = preflight::check(config, admin, runtime, false)??;
        let stored = match describe(admin, &config.changelog_topic, TIMEOUT) {
            Ok(changelog) => changelog.partition_count,
            Err(error) if error.kind() == ErrorKind::UnknownTopic => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { config, admin, topic, stored })
    }
}

/// Writes one line of a report, at once.
fn say(out: &mut impl Write, line: &str) -> Result<(), OpsError> {
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A count as people read it: `1,234,567`.
fn grouped(count: impl TryInto<u64>) -> String {
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
    use super::grouped;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0_u64, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
