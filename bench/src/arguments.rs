//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenario::Scenario;
use crate::subject::Store;

/// Benchmarks the worker against other ways to do the same job. Started by bench/run.sh.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the benchmarks
    Run(Box<Run>),
    /// Run the peer that only counts records
    #[command(hide = true)]
    Bare {
        /// Take them in batches
        #[arg(long)]
        batch: bool,
        /// Kafka bootstrap servers, host:port
        brokers: String,
        /// Topic to read
        topic: String,
    },
}

#[derive(Args)]
pub(crate) struct Run {
    /// Scenarios to measure [default: all]
    #[arg(value_enum)]
    pub(crate) scenarios: Vec<Scenario>,
    /// Worker stores to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["replay", "changelog"])]
    pub(crate) store: Vec<Store>,
    /// Number of transactions in the topic [default: 2000000, with --quick 200000]
    #[arg(long)]
    pub(crate) records: Option<u64>,
    /// Number of customers in the topic
    #[arg(long, default_value_t = crate::topic::CUSTOMERS)]
    pub(crate) customers: u32,
    /// Number of measurements per subject [default: 3, with --former 7, with --quick 1]
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// Use little data and time: shows whether everything works, not how fast it is
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure only the worker, without peers, to observe it at work
    #[arg(long)]
    pub(crate) alone: bool,
    /// Binary of a former worker: measure both in turn, without other peers, and print the ratio of each pair
    #[arg(long, value_name = "WORKER", conflicts_with = "alone")]
    pub(crate) former: Option<PathBuf>,
    /// Further setting of the Streams peers, KEY=VALUE; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) streams: Vec<String>,
    /// Compression of the producer: none, lz4, zstd, …
    #[arg(long, default_value = "none")]
    pub(crate) compression: String,
    /// Directory for table.md, results.jsonl and logs
    #[arg(long)]
    pub(crate) output: PathBuf,
    /// Kafka bootstrap servers, host:port
    #[arg(long, env = "BALANCEFLEET_TEST_KAFKA")]
    pub(crate) brokers: String,
    /// PostgreSQL server, for the store postgres
    #[arg(long, env = "BALANCEFLEET_TEST_POSTGRES")]
    pub(crate) postgres: Option<String>,
    /// Worker binary to measure
    #[arg(long)]
    pub(crate) worker: PathBuf,
    /// Path printed by bench/peers/build.sh
    #[arg(long)]
    pub(crate) peers: PathBuf,
    /// Kafka version, for the table
    #[arg(long)]
    pub(crate) kafka_version: String,
    /// Command that reproduces the run, for the table
    #[arg(long)]
    pub(crate) typed: String,
}

fn key_and_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
