//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenario::Scenario;
use crate::subject::Store;

/// Measures the worker beside other ways to do the same. To be started by bench/run.sh.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Measure
    Run(Box<Run>),
    /// Be the peer that only counts
    #[command(hide = true)]
    Bare {
        /// Where Kafka answers, host:port
        brokers: String,
        /// The topic
        topic: String,
    },
}

#[derive(Args)]
pub(crate) struct Run {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    pub(crate) scenarios: Vec<Scenario>,
    /// The worker's stores to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["replay", "changelog"])]
    pub(crate) store: Vec<Store>,
    /// Transactions in the topic [default: 2000000, with --quick 200000]
    #[arg(long)]
    pub(crate) records: Option<u64>,
    /// How often each subject is measured [default: 3, with --former 7, with --quick 1]
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// Small and short: says whether everything works, not how fast it is
    #[arg(long)]
    pub(crate) quick: bool,
    /// The worker alone, nobody beside it: to look at it while it works
    #[arg(long)]
    pub(crate) alone: bool,
    /// A worker's binary to hold this one against: both in turn, nobody beside them, and the ratio of each pair
    #[arg(long, value_name = "WORKER", conflicts_with = "alone")]
    pub(crate) former: Option<PathBuf>,
    /// How the producer compresses: none, lz4, zstd, …
    #[arg(long, default_value = "none")]
    pub(crate) compression: String,
    /// Folder for table.md, results.jsonl and logs
    #[arg(long)]
    pub(crate) output: PathBuf,
    /// Where Kafka answers, host:port
    #[arg(long, env = "BALANCEFLEET_TEST_KAFKA")]
    pub(crate) brokers: String,
    /// Where PostgreSQL answers, for its store
    #[arg(long, env = "BALANCEFLEET_TEST_POSTGRES")]
    pub(crate) postgres: Option<String>,
    /// The worker to measure
    #[arg(long)]
    pub(crate) worker: PathBuf,
    /// What bench/peers/build.sh has built
    #[arg(long)]
    pub(crate) peers: PathBuf,
    /// Kafka's version, for the table
    #[arg(long)]
    pub(crate) kafka_version: String,
    /// What the reader types to get the same, for the table
    #[arg(long)]
    pub(crate) typed: String,
}
