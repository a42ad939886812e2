//! `verify`: compares every customer's balance and count of the REST API with the topic itself.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use balancefleet_e2e::oracle::{Signs, Topic};
use balancefleet_e2e::verify::{AnswerError, Http, Verdict, VerifyError, verify};
use clap::Parser;
use jiff::SignedDuration;

/// Folds the topic on its own and compares every customer's balance, count and last transaction with the REST API.
/// Exit status: 0 when all are equal, 1 when not, 2 when it could not be compared.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The API, without a path
    #[arg(long, default_value = "http://127.0.0.1:18080")]
    api: String,
    /// Where Kafka answers, host:port
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:19092")]
    bootstrap_servers: String,
    /// The topic the fleet reads
    #[arg(long, env = "KAFKA_TOPIC", default_value = "banking.transactions")]
    topic: String,
    /// Types whose sign is not the labs' default, as Transfer=debit,Payment=ignore
    #[arg(long, default_value = "")]
    signs: Signs,
    /// How long the fleet may take to catch up, as 90s or 2m
    #[arg(long, default_value = "2m")]
    patience: SignedDuration,
    /// Print at most so many differences
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
