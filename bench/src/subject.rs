//! What is measured beside each other.

use std::fmt;

use clap::ValueEnum;

/// A program in one of its forms.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Subject {
    /// Ours, of that build and with that store.
    Worker(Ours),
    /// Counts what librdkafka's `BaseConsumer::poll` gives, and does nothing with it.
    Bare,
    /// Counts what librdkafka gives in batches.
    BareBatch,
    /// Counts what Java's `KafkaConsumer` gives.
    JavaConsumer,
    /// The same ledger in Kafka Streams, exactly once.
    Streams(Form, Tuning),
}

/// A worker to measure.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Ours {
    pub(crate) store: Store,
    pub(crate) build: Build,
}

/// Which binary.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Build {
    /// That of this checkout.
    Current,
    /// The one that it is held against.
    Former,
}

/// The worker's stores.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ValueEnum)]
pub(crate) enum Store {
    Replay,
    Changelog,
    Postgres,
}

/// How the Streams application is written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Form {
    /// Processor API, a store in memory, state per input partition: what the worker does.
    Processor,
    /// selectKey → groupByKey → aggregate with RocksDB: what a user writes.
    Dsl,
}

/// How much was done for its speed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Tuning {
    /// Settings as they come, JSON by annotated classes.
    Defaults,
    /// See `Settings.java` and `TunedLedger.java` of the peers.
    Tuned,
}

impl Store {
    /// The value of `BALANCE_STORE`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Changelog => "changelog",
            Self::Postgres => "postgres",
        }
    }
}

impl Ours {
    /// This checkout's, with that store.
    pub(crate) const fn current(store: Store) -> Self {
        Self { store, build: Build::Current }
    }

    /// The same with the former build.
    pub(crate) const fn former(self) -> Self {
        Self { build: Build::Former, ..self }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(Ours { store, build: Build::Current }) => write!(out, "balance-worker, {}", store.name()),
            Self::Worker(Ours { store, build: Build::Former }) => {
                write!(out, "balance-worker, {}, former", store.name())
            }
            Self::Bare => out.write_str("bare"),
            Self::BareBatch => out.write_str("bare-batch"),
            Self::JavaConsumer => out.write_str("java-consumer"),
            Self::Streams(form, tuning) => {
                out.write_str(match form {
                    Form::Processor => "streams-papi",
                    Form::Dsl => "streams-dsl",
                })?;
                out.write_str(if *tuning == Tuning::Tuned { ", tuned" } else { "" })
            }
        }
    }
}

impl Subject {
    /// The same worker of the former build; none of a peer.
    pub(crate) const fn former(self) -> Option<Self> {
        match self {
            Self::Worker(ours) => Some(Self::Worker(ours.former())),
            Self::Bare | Self::BareBatch | Self::JavaConsumer | Self::Streams(..) => None,
        }
    }

    /// The same for names of files and groups.
    pub(crate) fn slug(self) -> String {
        self.to_string().replace(", ", "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_fit_for_a_group_and_a_file() {
        assert_eq!(Subject::Worker(Ours::current(Store::Changelog)).slug(), "balance-worker-changelog");
        assert_eq!(Subject::Worker(Ours::current(Store::Replay).former()).slug(), "balance-worker-replay-former");
        assert_eq!(Subject::Streams(Form::Dsl, Tuning::Tuned).slug(), "streams-dsl-tuned");
        assert_eq!(Subject::Streams(Form::Processor, Tuning::Defaults).slug(), "streams-papi");
    }
}
