//! The results as Markdown that also reads well in a terminal.

use std::fmt::Write;

use crate::figures::{PER_CPU, Quantity};
use crate::goals;
use crate::machine::Facts;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::statistics::{Interval, Summary, median_interval};
use crate::subject::Subject;
use crate::topic::Data;

/// All scenarios after one another, under the facts.
pub(crate) fn report(facts: &Facts, data: Option<&Data>, scenarios: &[Scenario], results: &Results) -> String {
    let mut text = preface(facts, data);
    for scenario in scenarios {
        // Writing to a string does not fail.
        let _ = write!(text, "\n### {}\n{}", scenario.name(), table(*scenario, results));
        for line in verdicts(*scenario, results) {
            let _ = writeln!(text, "- goal: {line}");
        }
        if let Some(pairs) = pairs(*scenario, results) {
            let _ =
                write!(text, "\nThis build : the former one, median of the rounds' ratios (95 % interval):\n\n{pairs}");
        }
    }
    text
}

fn preface(facts: &Facts, data: Option<&Data>) -> String {
    let Facts { date, command, commit, cores, cpu, kernel, kafka, librdkafka, java, load_before } = facts;
    let messages = data.map_or(String::new(), |data| {
        let mean = data.bytes as f64 / data.records.max(1) as f64;
        format!(" {} messages of {mean:.0} bytes on average in {} partitions.", data.records, data.ends.len())
    });
    format!(
        "`{command}` at {commit}, {date}: {cores} cores of {cpu}, Linux {kernel}, load before {load_before}. Kafka {kafka} on the same \
         cores, librdkafka {librdkafka}, {java}.{messages}\nMedian (least–most) of the rounds; CPU-s is user and system \
         time of the measured process.\n"
    )
}

fn table(scenario: Scenario, results: &Results) -> String {
    let (subjects, quantities) = (results.subjects(scenario), results.quantities(scenario));
    let reference = subjects.iter().copied().find(|subject| is_measured(scenario, *subject, results));
    let has_ratio = quantities.contains(&PER_CPU) && matches!(reference, Some(Subject::Worker(_)));
    let mut header = vec![String::new()];
    header.extend(quantities.iter().map(|quantity| quantity.name.to_owned()));
    header.extend(has_ratio.then(|| "first row : this, msg/CPU-s".to_owned()));
    let mut rows = vec![header];
    for subject in subjects {
        let mut row = vec![subject.to_string()];
        row.extend(quantities.iter().map(|quantity| cell(scenario, subject, *quantity, results)));
        if has_ratio {
            row.push(ratio(scenario, reference, subject, results));
        }
        if let Some(reason) = results.missing(scenario, subject) {
            row[0] = format!("{subject} ({})", reason.lines().next().unwrap_or_default());
        }
        rows.push(row);
    }
    padded(&rows)
}

fn is_measured(scenario: Scenario, subject: Subject, results: &Results) -> bool {
    results.quantities(scenario).iter().any(|quantity| results.summary(scenario, subject, *quantity).is_some())
}

fn cell(scenario: Scenario, subject: Subject, quantity: Quantity, results: &Results) -> String {
    let show = |value| quantity.unit.show(value);
    match results.summary(scenario, subject, quantity) {
        None => "–".to_owned(),
        Some(Summary { median, rounds: 1, .. }) => show(median),
        Some(Summary { median, least, most, .. }) => format!("{} ({}–{})", show(median), show(least), show(most)),
    }
}

fn ratio(scenario: Scenario, reference: Option<Subject>, subject: Subject, results: &Results) -> String {
    let median = |subject| results.summary(scenario, subject, PER_CPU).map(|summary| summary.median);
    match (reference.and_then(median), median(subject)) {
        (Some(ours), Some(this)) if reference != Some(subject) => format!("{:.2}", ours / this),
        _ => "–".to_owned(),
    }
}

fn verdicts(scenario: Scenario, results: &Results) -> Vec<String> {
    let median = |subject, quantity| results.summary(scenario, subject, quantity).map(|summary| summary.median);
    let subjects = results.subjects(scenario);
    let ours = subjects.iter().filter(|subject| matches!(subject, Subject::Worker(_)));
    let goals = goals::of(scenario);
    ours.flat_map(|ours| goals.iter().filter_map(move |goal| goal.verdict(*ours, median))).collect()
}

/// A worse median than this, and an interval that lies wholly beyond it, is a build that has become worse.
const WORSE_BY: f64 = 0.03;

/// This build's figures divided by the former one's; none when there was none.
fn pairs(scenario: Scenario, results: &Results) -> Option<String> {
    let subjects = results.subjects(scenario);
    let both = |subject: &Subject| Some((*subject, subject.former().filter(|former| former != subject)?));
    let both: Vec<_> = subjects.iter().filter_map(both).filter(|(_, former)| subjects.contains(former)).collect();
    let header = ["", "figure", "ratio", "pairs", "verdict"].map(str::to_owned).to_vec();
    let rows = both.iter().flat_map(|(subject, former)| {
        results.quantities(scenario).into_iter().map(move |quantity| {
            let ratios = results.ratios(scenario, *subject, *former, quantity);
            let interval = median_interval(&ratios);
            let shown = interval
                .map_or("–".to_owned(), |Interval { median, low, high }| format!("{median:.3} ({low:.3}–{high:.3})"));
            let verdict = interval.map_or("too few pairs", |interval| verdict_of(interval, quantity));
            vec![subject.to_string(), quantity.name.to_owned(), shown, ratios.len().to_string(), verdict.to_owned()]
        })
    });
    (!both.is_empty()).then(|| padded(&std::iter::once(header).chain(rows).collect::<Vec<_>>()))
}

fn verdict_of(Interval { low, high, .. }: Interval, quantity: Quantity) -> &'static str {
    // For a figure that is to be small, worse is more.
    let (best, worst) = if quantity.unit.more_is_better() { (high, low) } else { (1.0 / low, 1.0 / high) };
    if best < 1.0 - WORSE_BY {
        "worse"
    } else if worst > 1.0 - WORSE_BY {
        "not worse by 3 %"
    } else {
        "not shown to be worse by 3 %"
    }
}

/// A Markdown table whose columns stand below each other.
fn padded(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..).map_while(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect::<String>();
    let mut lines = rows.iter().map(line);
    let header = lines.next().unwrap_or_default();
    format!("{header}|{rule}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::RATE;
    use crate::results::Outcome;
    use crate::subject::{Ours, Store};

    const OURS: Subject = Subject::Worker(Ours::current(Store::Replay));

    fn facts() -> Facts {
        let text = || "x".to_owned();
        Facts {
            date: text(),
            command: text(),
            commit: text(),
            cores: 2,
            cpu: text(),
            kernel: text(),
            kafka: "4.1.0".into(),
            librdkafka: text(),
            java: text(),
            load_before: text(),
        }
    }

    fn results(outcomes: &[(Subject, Outcome)]) -> (Results, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::begin(&folder.path().join("results.jsonl"), &facts()).unwrap();
        for (subject, outcome) in outcomes {
            results.add(Scenario::CatchUp, *subject, 1, outcome.clone()).unwrap();
        }
        (results, folder)
    }

    fn measured(rate: f64, per_cpu: f64) -> Outcome {
        Outcome::Measured(vec![(RATE, rate), (PER_CPU, per_cpu)])
    }

    #[test]
    fn a_table_has_medians_ranges_and_how_many_times_a_peer_ours_is() {
        let (results, _folder) = results(&[
            (OURS, measured(900_000.0, 1_000_000.0)),
            (OURS, measured(800_000.0, 1_200_000.0)),
            (Subject::BareBatch, measured(1_500_000.0, 2_200_000.0)),
        ]);
        let text = table(Scenario::CatchUp, &results);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains("| 850 k (800 k–900 k) | 1.10 M (1.00 M–1.20 M) | –"), "{text}");
        assert!(lines[3].contains("| 1.50 M") && lines[3].contains("| 0.50"), "{text}");
        assert_eq!(
            verdicts(Scenario::CatchUp, &results)[1],
            "balance-worker, replay: msg/CPU-s ≥ 0.6 × bare-batch: 0.50 ×, not met"
        );
    }

    #[test]
    fn two_builds_are_compared_round_by_round() {
        let former = OURS.former().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::begin(&folder.path().join("results.jsonl"), &facts()).unwrap();
        // The machine becomes slower from round to round; the ratio stays.
        for round in 1..=7 {
            let speed = 1e6 / f64::from(round);
            results.add(Scenario::CatchUp, OURS, round, measured(speed, speed * 0.9)).unwrap();
            results.add(Scenario::CatchUp, former, round, measured(speed, speed)).unwrap();
        }
        let text = pairs(Scenario::CatchUp, &results).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[2].contains("| msg/s     | 1.000 (1.000–1.000) | 7     | not worse by 3 %"), "{text}");
        assert!(lines[3].contains("| msg/CPU-s | 0.900 (0.900–0.900) | 7     | worse"), "{text}");
        assert_eq!(lines.len(), 4, "{text}");
        let (alone, _folder) = self::results(&[(OURS, measured(1.0, 1.0))]);
        assert_eq!(pairs(Scenario::CatchUp, &alone), None);
    }

    #[test]
    fn what_is_missing_is_said_and_is_no_number() {
        let ours = Subject::Worker(Ours::current(Store::Changelog));
        let (results, _folder) = results(&[
            (ours, Outcome::Failed("gone\nfor good".into())),
            (Subject::Bare, measured(1_500_000.0, 2_000_000.0)),
        ]);
        let text = table(Scenario::CatchUp, &results);
        assert!(text.contains("| balance-worker, changelog (gone) | –"), "{text}");
        assert!(!text.contains("first row"), "{text}");
        assert!(verdicts(Scenario::CatchUp, &results).is_empty());
    }

    #[test]
    fn each_measurement_is_a_line_of_json() {
        let (_results, folder) =
            results(&[(OURS, measured(1.0, 2.0)), (Subject::Bare, Outcome::Failed("gone".into()))]);
        let text = std::fs::read_to_string(folder.path().join("results.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["facts"]["kafka"], "4.1.0");
        assert_eq!(lines[1]["figures"]["msg/CPU-s"]["value"], 2.0);
        assert_eq!((&lines[2]["subject"], &lines[2]["missing"]), (&"bare".into(), &"gone".into()));
    }
}
