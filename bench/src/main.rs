//! `balancefleet-bench`: how fast the worker is, beside other ways to do the same, on the broker of `bench/run.sh`.
//!
//! A [`Scenario`](scenario::Scenario) names its [subjects](subject::Subject) and measures one of them once. Rounds go
//! through all subjects in turn, so that whatever else the machine does hits all alike. A figure counts only when the
//! subject's own result is that of the topic.

mod arguments;
mod bare;
mod bench;
mod error;
mod feed;
mod figures;
mod goals;
mod http;
mod java;
mod machine;
mod peer;
mod process;
mod progress;
mod results;
mod run;
mod scenario;
mod statistics;
mod subject;
mod table;
mod topic;
mod wait;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Bare { batch, brokers, topic } => bare::count(&brokers, &topic, batch).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
