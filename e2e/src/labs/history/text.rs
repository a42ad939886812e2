//! Recordings as tables for people. All times are UTC.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::rebalances::{Rebalance, in_order};
use super::recording::Recording;

/// What each worker has now, and since when its history goes back.
pub fn table_of_workers(recording: &Recording) -> String {
    let header = ["WORKER", "STARTED", "PARTITIONS NOW", "EVENTS"].map(str::to_owned).to_vec();
    let row = |worker: &super::Worker| {
        let partitions = ranges(&worker.current_partitions);
        vec![worker.name.clone(), moment(worker.started_at), partitions, worker.total_rebalancing_events.to_string()]
    };
    table(&std::iter::once(header).chain(recording.workers.iter().map(row)).collect::<Vec<_>>())
}

/// Every event of every worker, oldest first; those before `since` are left out.
pub fn timeline(recording: &Recording, since: Timestamp) -> String {
    let header = ["TIME", "WORKER", "EVENT", "PARTITIONS", "GENERATION", "DETAILS"].map(str::to_owned).to_vec();
    let events = in_order(recording).into_iter().filter(|(_, event)| event.timestamp >= since);
    let row = |(worker, event): (&super::Worker, &super::Event)| {
        let (kind, partitions) = (format!("{:?}", event.event_type), ranges(&event.partitions));
        let generation = if event.generation < 0 { "-".to_owned() } else { event.generation.to_string() };
        vec![moment(event.timestamp), worker.name.clone(), kind, partitions, generation, event.details.clone()]
    };
    table(&std::iter::once(header).chain(events.map(row)).collect::<Vec<_>>())
}

/// One row per rebalance of all these recordings.
pub fn table_of_rebalances(recordings: &[(Recording, Vec<Rebalance>)]) -> String {
    let header =
        ["BEGAN", "TOOK", "ASSIGNOR", "GENERATION", "MOVED", "CAME BACK", "STAYED", "STOOD STILL: LONGEST", "SUM"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (recording, rebalances) in recordings {
        let assignor = recording.assignor.as_deref().unwrap_or("-");
        rows.extend(rebalances.iter().map(|rebalance| row(rebalance, assignor)));
    }
    table(&rows)
}

fn row(rebalance: &Rebalance, assignor: &str) -> Vec<String> {
    let about = if rebalance.began_about { "~" } else { "" };
    let at_least = if rebalance.may_be_longer { "≥ " } else { "" };
    let (longest, sum) = still(rebalance);
    vec![
        format!("{about}{}", moment(rebalance.began)),
        rebalance.took().map_or_else(|| "not over".to_owned(), |took| format!("{at_least}{about}{}", seconds(took))),
        assignor.to_owned(),
        rebalance.generations.map_or_else(|| "-".to_owned(), generations),
        counted(&rebalance.moved()),
        counted(&rebalance.returned()),
        counted(&rebalance.stayed),
        longest,
        sum,
    ]
}

/// The longest pause of a partition, and all together; what is unknown is said.
fn still(rebalance: &Rebalance) -> (String, String) {
    let known: Vec<_> = rebalance.stopped.iter().filter_map(|it| Some((it.still_millis?, it.about))).collect();
    let unknown = rebalance.stopped.len() - known.len();
    let about = if known.iter().any(|(_, about)| *about) { "~" } else { "" };
    let text = |millis: u64| format!("{about}{}", seconds(Duration::from_millis(millis)));
    let sum = text(known.iter().map(|(millis, _)| millis).sum());
    let longest = known.iter().map(|(millis, _)| *millis).max().map(text);
    match (longest, unknown) {
        (None, 0) => ("-".to_owned(), "-".to_owned()),
        (None, _) => ("?".to_owned(), "?".to_owned()),
        (Some(longest), 0) => (longest, sum),
        (Some(longest), _) => (longest, format!("{sum}, and {unknown} unknown")),
    }
}

fn generations((first, last): (i32, i32)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn counted(partitions: &[i32]) -> String {
    if partitions.is_empty() { "0".to_owned() } else { format!("{} ({})", partitions.len(), ranges(partitions)) }
}

/// `0-2,5`; `-` for none.
fn ranges(partitions: &[i32]) -> String {
    let mut sorted = partitions.to_vec();
    sorted.sort_unstable();
    let runs: Vec<_> = sorted
        .chunk_by(|one, next| one + 1 == *next)
        .map(|run| match run {
            [only] => only.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        })
        .collect();
    if runs.is_empty() { "-".to_owned() } else { runs.join(",") }
}

/// What a reader must know of a recording to trust it.
pub fn notes(recording: &Recording) -> Vec<String> {
    let mut notes = Vec::new();
    let oldest = recording.workers.iter().map(|worker| worker.started_at).min();
    let younger: Vec<_> = recording.workers.iter().filter(|worker| Some(worker.started_at) > oldest).collect();
    if let Some(youngest) = younger.iter().map(|worker| worker.started_at).max() {
        let names: Vec<_> = younger.iter().map(|worker| worker.name.as_str()).collect();
        notes.push(format!(
            "A worker's history is lost with its process. Younger than others: {}. Before {}, events of workers that have \
             ended may be missing.",
            names.join(", "),
            moment(youngest)
        ));
    }
    for ended in &recording.ended {
        notes.push(format!("A process of {} ended at {}.", ended.name, clock(ended.at, "%H:%M:%S")));
    }
    for worker in recording.workers.iter().filter(|worker| worker.has_forgotten()) {
        let (kept, all) = (worker.history.len(), worker.total_rebalancing_events);
        notes.push(format!("{} keeps the newest {kept} of its {all} events.", worker.name));
    }
    if !recording.unanswered.is_empty() {
        notes.push(format!("No answer, so not here: {}.", recording.unanswered.join(", ")));
    }
    notes
}

/// What the signs in the table of rebalances mean, of those that are there.
pub fn legend(recordings: &[(Recording, Vec<Rebalance>)]) -> Vec<String> {
    let mut notes = Vec::new();
    let rebalances = || recordings.iter().flat_map(|(_, rebalances)| rebalances);
    let stopped = || rebalances().flat_map(|rebalance| &rebalance.stopped);
    if stopped().any(|stopped| stopped.still_millis.is_none()) {
        notes.push(
            "?, unknown: nobody had the partition before, or whoever had it is gone with its history.".to_owned(),
        );
    }
    if rebalances().any(|rebalance| rebalance.may_be_longer) {
        notes
            .push("≥: counted between the events that are known; it may have begun earlier or ended later.".to_owned());
    }
    if stopped().any(|stopped| stopped.about) {
        notes.push("~: counted from the end of a process, which is known to the second.".to_owned());
    }
    notes
}

fn moment(timestamp: Timestamp) -> String {
    clock(timestamp, "%H:%M:%S.%3f")
}

fn clock(timestamp: Timestamp, format: &str) -> String {
    timestamp.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

/// Columns as wide as what they hold.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}
