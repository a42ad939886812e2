//! The whole run: scenarios, rounds, subjects; then the table.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::arguments::Run;
use crate::bench::{Bench, Scale};
use crate::error::BenchError;
use crate::figures::Figures;
use crate::java::Java;
use crate::machine::Facts;
use crate::progress::progress;
use crate::results::{Outcome, Results};
use crate::scenario::Scenario;
use crate::subject::Subject;
use crate::table;
use crate::worker::Launch;

/// So many rounds a comparison of two builds takes: with fewer the interval says little.
const PAIRS: u32 = 7;

/// Measures what was asked for; fails when a figure could not be had.
pub(crate) fn run(arguments: &Run) -> Result<ExitCode, BenchError> {
    let facts = Facts::gather(arguments.typed.clone(), arguments.kafka_version.clone());
    let bench = prepare(arguments)?;
    let mut results = Results::begin(&arguments.output.join("results.jsonl"), &facts)?;
    // In the order in which they are declared, whatever the command line says.
    let all = Scenario::value_variants().iter().copied();
    let wanted = |scenario: &Scenario| arguments.scenarios.is_empty() || arguments.scenarios.contains(scenario);
    let scenarios: Vec<_> = all.filter(wanted).collect();
    for scenario in &scenarios {
        measure(&bench, *scenario, arguments, &mut results)?;
    }
    let report = table::report(&facts, bench.data.get(), &scenarios, &results);
    fs::write(arguments.output.join("table.md"), &report)?;
    println!("{report}");
    progress(&format!("table.md, results.jsonl and logs are in {}", arguments.output.display()));
    Ok(if results.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn prepare(arguments: &Run) -> Result<Bench, BenchError> {
    let logs = arguments.output.join("logs");
    fs::create_dir_all(&logs)?;
    let scale = if arguments.quick { Scale::QUICK } else { Scale::FULL };
    let launch = Launch {
        program: arguments.worker.clone(),
        former: arguments.former.clone(),
        brokers: arguments.brokers.clone(),
        postgres: arguments.postgres.clone(),
        logs: logs.clone(),
    };
    Ok(Bench {
        brokers: arguments.brokers.clone(),
        launch,
        java: Java {
            folder: arguments.peers.clone(),
            brokers: arguments.brokers.clone(),
            streams: arguments.streams.clone(),
        },
        program: std::env::current_exe()?,
        scale: Scale {
            records: arguments.records.unwrap_or(scale.records),
            rounds: arguments.rounds.unwrap_or(if arguments.former.is_some() && !arguments.quick {
                PAIRS
            } else {
                scale.rounds
            }),
            ..scale
        },
        customers: arguments.customers,
        compression: arguments.compression.clone(),
        logs,
        scratch: tempfile::tempdir()?,
        data: OnceCell::new(),
        moving: OnceCell::new(),
        of_customers: OnceCell::new(),
        finished: RefCell::new(HashMap::new()),
        names: RefCell::new(0),
    })
}

fn measure(bench: &Bench, scenario: Scenario, arguments: &Run, results: &mut Results) -> Result<(), BenchError> {
    let mut subjects = scenario.subjects(&arguments.store);
    if arguments.alone || arguments.former.is_some() {
        subjects.retain(|subject| matches!(subject, Subject::Worker(_)));
    }
    if arguments.former.is_some() {
        subjects = subjects.into_iter().flat_map(|subject| [Some(subject), subject.former()]).flatten().collect();
    }
    for round in 1..=bench.scale.rounds {
        // In turn also who of a pair comes first: the machine may become slower or faster meanwhile.
        if round > 1 && arguments.former.is_some() {
            subjects.chunks_exact_mut(2).for_each(<[_]>::reverse);
        }
        for subject in &subjects {
            progress(&format!("{}, round {round} of {}: {subject}", scenario.name(), bench.scale.rounds));
            results.add(scenario, *subject, round, outcome(scenario.measure(bench, *subject)))?;
        }
    }
    Ok(())
}

/// A failure is shown and kept; the other subjects are measured all the same.
fn outcome(measured: Result<Figures, BenchError>) -> Outcome {
    match measured {
        Ok(figures) => {
            let shown =
                figures.iter().map(|(quantity, value)| format!("{} {}", quantity.name, quantity.unit.show(*value)));
            progress(&format!("  {}", shown.collect::<Vec<_>>().join(", ")));
            Outcome::Measured(figures)
        }
        Err(error) => {
            progress(&format!("  failed: {error}"));
            Outcome::Failed(error.to_string())
        }
    }
}
