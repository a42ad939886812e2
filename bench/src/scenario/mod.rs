//! The scenarios: each says which subjects it measures beside each other, and measures one of them once.

mod catch_up;
mod crash;
mod hand_over;
mod idle;
mod latency;
mod member;
pub(crate) mod memory;
mod moves;
mod rest;
mod restore;
mod watch;

use clap::ValueEnum;

use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::Figures;
use crate::subject::{Form, Ours, Store, Subject, Tuning};

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Scenario {
    /// From the first record of the topic to its end, nothing kept but offsets
    CatchUp,
    /// The same with the ledger kept exactly once outside the process
    ExactlyOnce,
    /// A second start of a group: until all partitions are at work again
    Restore,
    /// A worker joins and leaves: how long partitions stand still
    HandOver,
    /// A worker is killed: until its partitions are processed by another one
    Crash,
    /// Near the head at 10 000 records a second: produce → visible by REST
    Latency,
    /// 64 partitions and nothing to do
    Idle,
    /// One balance by REST under full load, alone and over 8 workers
    Rest,
    /// A ledger of many customers: how many bytes each of them takes
    Memory,
}

const STREAMS: [Subject; 4] = [
    Subject::Streams(Form::Processor, Tuning::Defaults),
    Subject::Streams(Form::Processor, Tuning::Tuned),
    Subject::Streams(Form::Dsl, Tuning::Defaults),
    Subject::Streams(Form::Dsl, Tuning::Tuned),
];

impl Scenario {
    /// Ours first: it is what the others are compared with.
    pub(crate) fn subjects(self, stores: &[Store]) -> Vec<Subject> {
        let ours = |wanted: &dyn Fn(Store) -> bool| {
            stores
                .iter()
                .copied()
                .filter(|store| wanted(*store))
                .map(Ours::current)
                .map(Subject::Worker)
                .collect::<Vec<_>>()
        };
        match self {
            Self::CatchUp => {
                [ours(&|store| store == Store::Replay), vec![Subject::Bare, Subject::BareBatch, Subject::JavaConsumer]]
                    .concat()
            }
            Self::ExactlyOnce => [ours(&|store| store != Store::Replay), STREAMS.to_vec()].concat(),
            Self::Restore => [ours(&|_| true), STREAMS[..2].to_vec()].concat(),
            Self::HandOver | Self::Crash => [ours(&|_| true), STREAMS[1..2].to_vec()].concat(),
            Self::Latency | Self::Idle | Self::Rest | Self::Memory => ours(&|_| true),
        }
    }

    /// Measures that subject once.
    pub(crate) fn measure(self, bench: &Bench, subject: Subject) -> Result<Figures, BenchError> {
        match (self, subject) {
            (Self::CatchUp | Self::ExactlyOnce, _) => Ok(catch_up::run(bench, subject)?.figures()),
            (Self::Restore, _) => restore::measure(bench, subject),
            (Self::HandOver, _) => hand_over::measure(bench, subject),
            (Self::Crash, _) => crash::measure(bench, subject),
            (Self::Latency, Subject::Worker(ours)) => latency::measure(bench, ours),
            (Self::Idle, Subject::Worker(ours)) => idle::measure(bench, ours),
            (Self::Rest, Subject::Worker(ours)) => rest::measure(bench, ours),
            (Self::Memory, Subject::Worker(ours)) => memory::measure(bench, ours),
            (_, Subject::Bare | Subject::BareBatch | Subject::JavaConsumer | Subject::Streams(..)) => {
                Err(BenchError::NoPart(subject))
            }
        }
    }

    /// Its name on the command line and in results.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
