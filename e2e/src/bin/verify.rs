//! `verify`: compares every customer's balance and count in the REST API with the topic itself.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use balancefleet_e2e::oracle::{Signs, Topic};
use balancefleet_e2e::verify::{AnswerError, Http, Verdict, VerifyError, verify};
use clap::Parser;
use jiff::SignedDuration;

/// Recomputes every balance from the topic and compares it, the count and the last transaction with the REST API.
/// Exit status: 0 if all are equal, 1 if some differ, 2 if they could not be compared.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Base URL of the API, without a path
    #[arg(long, default_value = "http://127.0.0.1:18080")]
    api: String,
    /// Kafka bootstrap servers, host:port
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:19092")]
    bootstrap_servers: String,
    /// Topic that the fleet consumes
    #[arg(long, env = "KAFKA_TOPIC", default_value = "banking.transactions")]
    topic: String,
    /// Types whose sign differs from the default, such as Transfer=debit,Payment=ignore
    #[arg(long, default_value = "")]
    signs: Signs,
    /// Maximum time for the fleet to catch up, such as 90s or 2m
    #[arg(long, default_value = "2m")]
    patience: SignedDuration,
    /// Maximum number of differences to print
    #[arg(long, default_value_t = 20)]
    show: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(verdict) => report(&verdict, arguments.show),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Verdict, VerifyError> {
    let topic = Topic::new(&arguments.bootstrap_servers, &arguments.topic);
    let http = Http::new(&arguments.api);
    let ask = || match &http {
        Ok(http) => http.balances(),
        Err(error) => Err(AnswerError::Other(error.to_string())),
    };
    let patience = Duration::try_from(arguments.patience).unwrap_or_default();
    let mut printed: Option<Instant> = None;
    verify(&topic, &arguments.signs, patience, ask, |state| {
        if printed.is_none_or(|printed| printed.elapsed() > Duration::from_secs(1)) {
            eprintln!("{state}");
            printed = Some(Instant::now());
        }
    })
}

fn report(verdict: &Verdict, show: usize) -> ExitCode {
    let Verdict { customers, transactions, refused, as_of, differences } = verdict;
    for difference in differences.iter().take(show) {
        println!("{difference}");
    }
    let records: i64 = as_of.values().sum();
    let summary = format!(
        "{customers} customers, {transactions} transactions in {records} records of {} partitions, {refused} refused",
        as_of.len()
    );
    if differences.is_empty() {
        println!("every balance and every count is right: {summary}");
        ExitCode::SUCCESS
    } else {
        println!("{} differences: {summary}", differences.len());
        ExitCode::FAILURE
    }
}
