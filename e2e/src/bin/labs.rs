//! `labs`: what the scripts in e2e/labs leave to a program.

use std::error::Error;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use balancefleet_e2e::labs::history::{self, Rebalance, Recording};
use balancefleet_e2e::labs::lag::{LagError, Sample, Sampler};
use balancefleet_e2e::labs::send::{SendError, complaint, send};
use balancefleet_e2e::oracle::TopicError;
use balancefleet_e2e::traffic::Interrupt;
use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// The programs behind the scripts in e2e/labs, which find the fleet and its Kafka.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send the lines of standard input, one message each; blank lines are left out
    Send(Send),
    /// Sample a group's lag, members and state, and print one line for each sample
    Lag(Lag),
    /// Print the rebalances of recorded histories, oldest first
    History(History),
}

#[derive(Args)]
struct Send {
    /// Kafka bootstrap servers, host:port
    #[arg(long)]
    bootstrap_servers: String,
    /// Topic, which must exist
    #[arg(long)]
    topic: String,
    /// Key of every message; without one, Kafka's client chooses the partitions
    #[arg(long)]
    key: Option<String>,
    /// Do not say which lines are no JSON objects
    #[arg(long)]
    any: bool,
}

#[derive(Args)]
struct Lag {
    /// Kafka bootstrap servers, host:port
    #[arg(long)]
    bootstrap_servers: String,
    /// Consumer group
    #[arg(long)]
    group: String,
    /// How long, such as 60s or 2m
    #[arg(long = "for", default_value = "60s", value_parser = duration)]
    length: Duration,
    /// Time between two samples
    #[arg(long, default_value = "1s", value_parser = duration)]
    interval: Duration,
}

#[derive(Args)]
struct History {
    /// Recordings, as --json prints them and history.sh makes them [default: standard input]
    files: Vec<PathBuf>,
    /// Leave out what was over before
    #[arg(long, default_value_t = Timestamp::MIN)]
    since: Timestamp,
    /// Print each recording with its rebalances as JSON, one after the other
    #[arg(long)]
    json: bool,
}

/// Parses a duration such as `90s` or `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error| format!("{error}; write it as 12s or 2m"))?;
    Duration::try_from(duration).ok().filter(|it| !it.is_zero()).ok_or_else(|| "must be more than 0".into())
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Send(arguments) => send_lines(&arguments),
        Command::Lag(arguments) => watch_lag(&arguments),
        Command::History(arguments) => print_history(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(next) = next_step(&*error) {
                eprintln!(" next: {next}");
            }
            ExitCode::FAILURE
        }
    }
}

fn next_step(error: &(dyn Error + 'static)) -> Option<String> {
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(SendError::Topic(TopicError::Unknown(topic))), _) => Some(format!("e2e/labs/topic.sh --topic {topic}")),
        (_, Some(LagError::UnknownGroup { .. })) => Some("choose one of these, or start its workers".to_owned()),
        (_, Some(LagError::NothingCommitted(_))) => Some("try again when its workers have read something".to_owned()),
        _ => None,
    }
}

fn send_lines(arguments: &Send) -> Result<(), Box<dyn Error>> {
    let mut values = Vec::new();
    for (index, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| format!("line {}: {error}", index + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        if let Some(complaint) = complaint(&line).filter(|_| !arguments.any) {
            eprintln!(
                "line {} {complaint}: workers that keep balances count it in processingErrors, and it changes no balance",
                index + 1
            );
        }
        values.push(line);
    }
    if values.is_empty() {
        return Err("there is no message: every line is blank".into());
    }
    let acknowledged = send(&arguments.bootstrap_servers, &arguments.topic, arguments.key.as_deref(), &values)?;
    println!("{acknowledged}");
    Ok(())
}

fn watch_lag(arguments: &Lag) -> Result<(), Box<dyn Error>> {
    let interrupt = Interrupt::install()?;
    let sampler = Sampler::new(&arguments.bootstrap_servers, &arguments.group)?;
    println!("{}", Sample::COLUMNS);
    let (mut seen, mut broken) = (false, Ok(()));
    let show = |sample: &Sample| {
        seen |= sample.lag.is_some();
        // Whoever reads the lines may have seen enough.
        if broken.is_ok() {
            broken = writeln!(std::io::stdout(), "{sample}");
        }
    };
    sampler.watch(arguments.length, arguments.interval, &interrupt, show, |error| eprintln!("{error}"));
    if seen { Ok(()) } else { Err("the lag could not be read once".into()) }
}

fn print_history(arguments: &History) -> Result<(), Box<dyn Error>> {
    let with_rebalances = |recording: Recording| {
        let rebalances = rebalances(&recording, arguments.since);
        (recording, rebalances)
    };
    let recordings: Vec<_> = read_recordings(&arguments.files)?.into_iter().map(with_rebalances).collect();
    if arguments.json {
        for (recording, rebalances) in &recordings {
            let notes = history::notes(recording);
            println!("{}", serde_json::to_string_pretty(&Report { recording, rebalances, notes })?);
        }
        return Ok(());
    }
    let mut notes = history::legend(&recordings);
    if let [(recording, _)] = recordings.as_slice() {
        println!("{}\n{}", history::table_of_workers(recording), history::timeline(recording, arguments.since));
        notes.extend(history::notes(recording));
    }
    println!("{}", history::table_of_rebalances(&recordings));
    notes.iter().for_each(|note| println!("{note}"));
    Ok(())
}

fn rebalances(recording: &Recording, since: Timestamp) -> Vec<Rebalance> {
    let all = history::rebalances(recording).into_iter();
    all.filter(|rebalance| rebalance.ended.is_none_or(|ended| ended >= since)).collect()
}

/// A recording that was read, and what it says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(flatten)]
    recording: &'a Recording,
    rebalances: &'a [Rebalance],
    notes: Vec<String>,
}

fn read_recordings(files: &[PathBuf]) -> Result<Vec<Recording>, Box<dyn Error>> {
    if files.is_empty() {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(vec![recording("standard input", &text)?]);
    }
    let read = |file: &PathBuf| {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        recording(&name, &text)
    };
    files.iter().map(read).collect()
}

fn recording(name: &str, text: &str) -> Result<Recording, Box<dyn Error>> {
    serde_json::from_str(text).map_err(|error| format!("{name} is no recording of history.sh --json: {error}").into())
}
