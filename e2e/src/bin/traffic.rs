//! `traffic`: sends e-banking transactions to Kafka and computes the expected balances.

use std::process::ExitCode;
use std::time::Duration;

use balancefleet_e2e::oracle::{Ledger, Signs};
use balancefleet_e2e::stream::{Currency, Mix, Settings, Stream};
use balancefleet_e2e::traffic::{Day, Interrupt, Keying, Pace, Progress, SendError, Sender, create_topic};
use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};

/// Sends e-banking transactions to Kafka. A seed and a range of indexes reproduce a run.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send transactions at a fixed rate, or as fast as the broker accepts them
    Produce(Produce),
    /// Send a day of business: normal day 100/s, rush hour 300/s, Black Friday 600/s, night 20/s
    Day(DayArguments),
    /// Print the expected balances of a run: customer, currency, balance, the customer's transaction count
    Expected(Expected),
}

#[derive(Args)]
struct Produce {
    /// Number of transactions
    #[arg(long)]
    count: u64,
    /// Transactions per second; 0 means as fast as the broker accepts them
    #[arg(long, default_value_t = 0)]
    rate: u32,
    #[command(flatten)]
    run: Run,
}

#[derive(Args)]
struct DayArguments {
    /// Duration of the normal day (100/s), such as 5s or 2m
    #[arg(long, default_value = "5s", value_parser = duration)]
    normal: Duration,
    /// Duration of the rush hour (300/s)
    #[arg(long, default_value = "10s", value_parser = duration)]
    rush_hour: Duration,
    /// Duration of Black Friday (600/s)
    #[arg(long, default_value = "14s", value_parser = duration)]
    black_friday: Duration,
    /// Duration of the night (20/s)
    #[arg(long, default_value = "30s", value_parser = duration)]
    night: Duration,
    #[command(flatten)]
    run: Run,
}

#[derive(Args)]
struct Expected {
    /// Number of transactions the run sent, starting at its first index
    #[arg(long)]
    count: u64,
    /// Types whose sign differs from the default, such as Transfer=debit,Payment=ignore
    #[arg(long, default_value = "")]
    signs: Signs,
    #[command(flatten)]
    content: Content,
}

#[derive(Args)]
struct Run {
    /// Kafka bootstrap servers, host:port
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:19092")]
    bootstrap_servers: String,
    /// Topic; created if it does not exist
    #[arg(long, env = "KAFKA_TOPIC", default_value = "banking.transactions")]
    topic: String,
    /// Number of partitions of a topic that is created
    #[arg(long, default_value_t = 6)]
    partitions: u32,
    /// Key of each record
    #[arg(long, value_enum, default_value = "transaction")]
    key: Keying,
    /// Interval between progress lines
    #[arg(long, default_value = "1s", value_parser = duration)]
    progress: Duration,
    /// Unix time from which the printed clock counts; scripts share theirs [default: the start of the run]
    #[arg(long, env = "BALANCEFLEET_STARTED")]
    clock_from: Option<i64>,
    #[command(flatten)]
    content: Content,
}

#[derive(Args)]
struct Content {
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Index of the first transaction
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Part of every transaction id; distinguishes runs on one topic [default: seed-<SEED>]
    #[arg(long = "run-id")]
    run_id: Option<String>,
    /// Number of customers
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Zipf exponent: with 0 all customers are equally busy, with 1 a few are very busy
    #[arg(long, default_value_t = 0.0)]
    skew: f64,
    /// Currencies, the main one first, such as EUR,USD,JPY,KWD
    #[arg(long, value_delimiter = ',', default_value = "EUR")]
    currencies: Vec<Currency>,
    /// Let each customer use several currencies instead of one
    #[arg(long)]
    multi_currency: bool,
    /// Weight of each transaction type, such as Deposit=3,CardPayment=1 [default: a retail bank's day]
    #[arg(long)]
    types: Option<Mix>,
    /// Percentage of invalid records: broken JSON, too many decimals, 1e400, wrong types
    #[arg(long, default_value_t = 0.0)]
    poison: f64,
    /// Timestamp of the transaction with index 0; the others follow at the pace of the run, or every 10 ms if it has
    /// none
    #[arg(long, default_value = "2026-01-01T00:00:00Z")]
    first_timestamp: Timestamp,
}

impl Content {
    fn stream(&self, pace: Option<&Pace>) -> Stream {
        Stream::new(Settings {
            seed: self.seed,
            run: self.run_id.clone().unwrap_or_else(|| format!("seed-{}", self.seed)),
            uuids: false,
            customers: self.customers,
            skew: self.skew,
            currencies: self.currencies.clone(),
            multi_currency: self.multi_currency,
            mix: self.types.clone().unwrap_or_default(),
            poison: self.poison,
            optional_fields: true,
            first_timestamp: self.first_timestamp,
            pace: pace.cloned(),
        })
    }
}

/// Parses a duration such as `90s` or `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error| format!("{error}; write it as 12s or 2m"))?;
    duration.try_into().map_err(|_| "a duration is not negative".into())
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Produce(produce) => send(&produce.run, &Pace::steady(produce.rate, produce.count), produce.count),
        Command::Day(day) => {
            let DayArguments { normal, rush_hour, black_friday, night, run } = day;
            let pace = Day { normal, rush_hour, black_friday, night }.pace();
            send(&run, &pace, pace.count())
        }
        Command::Expected(expected) => {
            print_expected(&expected);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn send(run: &Run, pace: &Pace, count: u64) -> Result<(), SendError> {
    let interrupt = Interrupt::install()?;
    let partitions = create_topic(&run.bootstrap_servers, &run.topic, run.partitions)?;
    eprintln!("topic {} at {} has {partitions} partitions", run.topic, run.bootstrap_servers);
    let sender = Sender::new(&run.bootstrap_servers, &run.topic, run.key)?;
    let is_paced = pace.count() > 0;
    let (stream, first) = (run.content.stream(is_paced.then_some(pace)), run.content.first);
    let since = |from: i64| Timestamp::now().as_millisecond().saturating_sub(from.saturating_mul(1_000));
    let before = Duration::from_millis(run.clock_from.map_or(0, since).try_into().unwrap_or(0));
    let progress = Progress::new(run.progress, before);
    let sent = sender.run(&stream, first..first + count, pace, &interrupt, Some(progress))?;
    let Settings { seed, run, .. } = stream.settings();
    println!(
        "{}: sent {} transactions, {} acknowledged (run {run}: seed {seed}, indexes {first} to {})",
        if sent.interrupted { "interrupted" } else { "done" },
        sent.sent,
        sent.acknowledged,
        first + sent.sent,
    );
    Ok(())
}

fn print_expected(expected: &Expected) {
    let first = expected.content.first;
    let ledger = Ledger::of_run(&expected.content.stream(None), first..first + expected.count, &expected.signs);
    for (customer, account) in &ledger.accounts {
        for (currency, balance) in &account.balances {
            println!("{customer}\t{currency}\t{balance}\t{}", account.count);
        }
    }
    eprintln!(
        "{} customers, {} transactions, {} records that are none",
        ledger.accounts.len(),
        ledger.count(),
        ledger.refused
    );
}
