//! What was measured so far, kept in memory for the table and written line by line for programs.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::BenchError;
use crate::figures::{Figures, Quantity};
use crate::machine::Facts;
use crate::scenario::Scenario;
use crate::statistics::{Summary, summary};
use crate::subject::Subject;

/// What came of one measurement.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Measured(Figures),
    /// Why there is no figure.
    Failed(String),
}

#[derive(Clone, Debug)]
struct Entry {
    scenario: Scenario,
    subject: Subject,
    round: u32,
    outcome: Outcome,
}

/// See the module.
pub(crate) struct Results {
    entries: Vec<Entry>,
    lines: File,
}

impl Results {
    /// Begins `path` with a line of facts.
    pub(crate) fn begin(path: &Path, facts: &Facts) -> Result<Self, BenchError> {
        let mut results = Self { entries: Vec::new(), lines: File::create(path)? };
        results.write(&json!({ "facts": facts }))?;
        Ok(results)
    }

    /// Notes a measurement.
    pub(crate) fn add(
        &mut self,
        scenario: Scenario,
        subject: Subject,
        round: u32,
        outcome: Outcome,
    ) -> Result<(), BenchError> {
        self.write(&Line { scenario: scenario.name(), subject: subject.to_string(), round, outcome: of(&outcome) })?;
        self.entries.push(Entry { scenario, subject, round, outcome });
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), BenchError> {
        Ok(writeln!(self.lines, "{}", serde_json::to_string(line)?)?)
    }

    /// The subjects of a scenario in the order they were first measured.
    pub(crate) fn subjects(&self, scenario: Scenario) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for entry in self.of_scenario(scenario) {
            if !subjects.contains(&entry.subject) {
                subjects.push(entry.subject);
            }
        }
        subjects
    }

    /// The quantities of a scenario in the order of their columns.
    pub(crate) fn quantities(&self, scenario: Scenario) -> Vec<Quantity> {
        let mut quantities = Vec::new();
        for (quantity, _) in self.of_scenario(scenario).flat_map(Entry::figures) {
            if !quantities.contains(quantity) {
                quantities.push(*quantity);
            }
        }
        quantities
    }

    /// That figure over all rounds.
    pub(crate) fn summary(&self, scenario: Scenario, subject: Subject, quantity: Quantity) -> Option<Summary> {
        let of_subject = self.of_scenario(scenario).filter(|entry| entry.subject == subject);
        let figures = of_subject.flat_map(Entry::figures).filter(|(known, _)| *known == quantity);
        summary(&figures.map(|(_, value)| *value).collect::<Vec<_>>())
    }

    /// That figure of `subject` divided by that of `other`, for each round that has both.
    pub(crate) fn ratios(&self, scenario: Scenario, subject: Subject, other: Subject, quantity: Quantity) -> Vec<f64> {
        let figure = |entry: &Entry| {
            let found = entry.figures().iter().find(|(known, _)| *known == quantity);
            found.map(|(_, value)| *value)
        };
        let of = |wanted: Subject| self.of_scenario(scenario).filter(move |entry| entry.subject == wanted);
        let pairs = of(subject).filter_map(|entry| Some((entry, of(other).find(|other| other.round == entry.round)?)));
        pairs.filter_map(|(entry, other)| Some(figure(entry)? / figure(other)?)).collect()
    }

    /// Why figures of a subject are missing: the first reason.
    pub(crate) fn missing(&self, scenario: Scenario, subject: Subject) -> Option<&str> {
        self.of_scenario(scenario).filter(|entry| entry.subject == subject).find_map(|entry| match &entry.outcome {
            Outcome::Measured(_) => None,
            Outcome::Failed(reason) => Some(reason.as_str()),
        })
    }

    /// Whether anything went wrong.
    pub(crate) fn has_failures(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.outcome, Outcome::Failed(_)))
    }

    fn of_scenario(&self, scenario: Scenario) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.scenario == scenario)
    }
}

impl Entry {
    fn figures(&self) -> &[(Quantity, f64)] {
        if let Outcome::Measured(figures) = &self.outcome { figures } else { &[] }
    }
}

#[derive(Serialize)]
struct Line {
    scenario: String,
    subject: String,
    round: u32,
    #[serde(flatten)]
    outcome: Value,
}

fn of(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Measured(figures) => {
            let figure = |(quantity, value): &(Quantity, f64)| {
                (quantity.name.to_owned(), json!({ "value": value, "unit": quantity.unit.name() }))
            };
            json!({ "figures": figures.iter().map(figure).collect::<Map<_, _>>() })
        }
        Outcome::Failed(reason) => json!({ "missing": reason }),
    }
}
