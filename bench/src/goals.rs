//! What the worker is to reach, and whether it did.

use crate::figures::{
    BYTES_A_CUSTOMER, CORE, CRASH_GAP, FLEET_P99, JOIN_MOVED_P50, JOIN_MOVED_P99, JOIN_STAYED, LEAVE_MOVED_P50,
    LEAVE_MOVED_P99, LEAVE_STAYED, LOCAL_P99, MEMORY, P50, P99, PEAK_MEMORY, PER_CPU, Quantity, RESTORE_RATE,
};
use crate::scenario::Scenario;
use crate::subject::{Form, Subject, Tuning};

/// One goal of one scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) quantity: Quantity,
    pub(crate) limit: Limit,
}

/// What a figure of ours is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
    /// So many times a peer's figure at least.
    TimesAtLeast(f64, Subject),
    /// So many times a peer's figure at most.
    TimesAtMost(f64, Subject),
}

const PROCESSOR: Subject = Subject::Streams(Form::Processor, Tuning::Defaults);
const TUNED_PROCESSOR: Subject = Subject::Streams(Form::Processor, Tuning::Tuned);
const DSL: Subject = Subject::Streams(Form::Dsl, Tuning::Defaults);

const fn goal(quantity: Quantity, limit: Limit) -> Goal {
    Goal { quantity, limit }
}

/// The goals of that scenario.
pub(crate) fn of(scenario: Scenario) -> Vec<Goal> {
    use Limit::{AtLeast, AtMost, TimesAtLeast, TimesAtMost};
    match scenario {
        Scenario::CatchUp => {
            vec![goal(PER_CPU, AtLeast(900_000.0)), goal(PER_CPU, TimesAtLeast(0.6, Subject::BareBatch))]
        }
        Scenario::ExactlyOnce => vec![
            goal(PER_CPU, TimesAtLeast(15.0, PROCESSOR)),
            goal(PER_CPU, TimesAtLeast(25.0, DSL)),
            goal(PEAK_MEMORY, TimesAtMost(0.2, TUNED_PROCESSOR)),
        ],
        Scenario::Restore => vec![goal(RESTORE_RATE, AtLeast(1e6))],
        Scenario::HandOver => vec![
            goal(LEAVE_MOVED_P50, AtMost(1.0)),
            goal(JOIN_MOVED_P50, AtMost(1.6)),
            goal(LEAVE_MOVED_P99, AtMost(2.5)),
            goal(JOIN_MOVED_P99, AtMost(2.5)),
            goal(LEAVE_STAYED, AtMost(0.2)),
            goal(JOIN_STAYED, AtMost(0.2)),
        ],
        Scenario::Crash => vec![goal(CRASH_GAP, AtMost(12.0))],
        Scenario::Latency => vec![goal(P50, AtMost(0.05)), goal(P99, AtMost(0.15))],
        Scenario::Idle => vec![goal(CORE, AtMost(0.5)), goal(MEMORY, AtMost(48e6))],
        Scenario::Memory => vec![goal(BYTES_A_CUSTOMER, AtMost(110.0))],
        Scenario::Rest => vec![goal(LOCAL_P99, AtMost(0.002)), goal(FLEET_P99, AtMost(0.01))],
    }
}

impl Goal {
    /// One line: what was to be reached, what was, and whether; none when a figure is missing.
    ///
    /// `median` gives that of a subject.
    pub(crate) fn verdict(&self, ours: Subject, median: impl Fn(Subject, Quantity) -> Option<f64>) -> Option<String> {
        let Quantity { name, unit } = self.quantity;
        let reached = median(ours, self.quantity)?;
        let (wanted, found, is_met) = match self.limit {
            Limit::AtLeast(limit) => (format!("≥ {}", unit.show(limit)), unit.show(reached), reached >= limit),
            Limit::AtMost(limit) => (format!("≤ {}", unit.show(limit)), unit.show(reached), reached <= limit),
            Limit::TimesAtLeast(limit, peer) => {
                let times = reached / median(peer, self.quantity)?;
                (format!("≥ {limit} × {peer}"), format!("{times:.2} ×"), times >= limit)
            }
            Limit::TimesAtMost(limit, peer) => {
                let times = reached / median(peer, self.quantity)?;
                (format!("≤ {limit} × {peer}"), format!("{times:.2} ×"), times <= limit)
            }
        };
        Some(format!("{ours}: {name} {wanted}: {found}, {}", if is_met { "met" } else { "not met" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::{Ours, Store};

    const OURS: Subject = Subject::Worker(Ours::current(Store::Replay));

    fn verdict(goal: Goal, ours: f64, peer: Option<f64>) -> Option<String> {
        goal.verdict(OURS, |subject, _| if subject == OURS { Some(ours) } else { peer })
    }

    #[test]
    fn a_goal_against_a_peer_is_a_ratio() {
        let half_of_bare = goal(PER_CPU, Limit::TimesAtLeast(0.5, Subject::Bare));
        let met = verdict(half_of_bare, 900.0, Some(1_500.0)).unwrap();
        assert_eq!(met, "balance-worker, replay: msg/CPU-s ≥ 0.5 × bare: 0.60 ×, met");
        assert!(verdict(half_of_bare, 700.0, Some(1_500.0)).unwrap().ends_with("not met"));
        assert_eq!(verdict(half_of_bare, 700.0, None), None);
    }

    #[test]
    fn a_goal_of_its_own_is_a_limit() {
        let quick = goal(P99, Limit::AtMost(0.15));
        assert_eq!(verdict(quick, 0.2, None).unwrap(), "balance-worker, replay: p99 ≤ 150 ms: 200 ms, not met");
    }
}
