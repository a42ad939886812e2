//! The operator's binary: arguments in, `run` does the rest.

use std::process::ExitCode;

use balancefleet_operator::{args::Args, run};
use clap::Parser;

fn main() -> ExitCode {
    match run::run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging itself may have failed to start, so the reason goes to standard error as well.
            eprintln!("balancefleet-operator: {error}");
            ExitCode::FAILURE
        }
    }
}
