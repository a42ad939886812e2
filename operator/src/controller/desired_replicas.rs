//! Pure. The desired replicas, by precedence: paused > pin > the poller's decision within the limits. Unknown lag and
//! a rollout keep the last decision, which the limits still bound; a dry run keeps the replicas as they are.

use balancefleet_autoscaler::{Decision, FreezeReason, Limit, Policy, Reason};
use balancefleet_crds::{ScalingMode, reasons};

/// What the desired replicas depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.replicas`.
    pub pin: Option<i32>,
    /// `spec.scaling.dryRun`.
    pub dry_run: bool,
    /// The limits, among others.
    pub policy: &'a Policy,
    /// The last decision; `None` before the first Deployment.
    pub last: Option<i32>,
    /// Whether a new pod template is being rolled out.
    pub rolling: bool,
    /// The poller's newest decision; `None` before its first poll.
    pub decision: Option<&'a Decision>,
    /// Partitions of the topic, if known.
    pub partitions: Option<i32>,
}

/// The replicas, and who decided them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The replicas that the Deployment gets.
    pub replicas: i32,
    /// The desired replicas; different from `replicas` only under a dry run.
    pub desired: i32,
    /// Who decides.
    pub mode: ScalingMode,
    /// The reason, in one word.
    pub reason: String,
    /// One sentence.
    pub explanation: String,
    /// The limit that keeps the replicas from the number that the load needs.
    pub limited_by: Option<Limit>,
}

impl Inputs<'_> {
    /// Why the poller must not change the replicas; it still explains what it would do.
    pub(super) fn frozen_by(&self) -> Option<FreezeReason> {
        match (self.paused, self.pin, self.rolling) {
            (true, ..) => Some(FreezeReason::Paused),
            (_, Some(_), _) => Some(FreezeReason::Pinned),
            (_, _, true) => Some(FreezeReason::RollingUpdate),
            _ => None,
        }
    }
}

/// Decides.
pub(super) fn plan(inputs: &Inputs<'_>) -> Plan {
    let last = inputs.last.unwrap_or(inputs.policy.min_replicas);
    if inputs.paused {
        let explanation = "spec.paused is true: nothing is changed";
        return kept(last, ScalingMode::Paused, reasons::PAUSED, explanation);
    }
    if let Some(pin) = inputs.pin {
        return kept(pin, ScalingMode::Pinned, reasons::PINNED, &format!("spec.replicas fixes the number at {pin}"));
    }
    match usable(inputs) {
        Usable::Decision(decision) => decided(inputs, last, decision),
        Usable::None { mode, reason, why } => {
            let replicas =
                if inputs.dry_run { last } else { inputs.policy.bounded_without_lag(last, inputs.partitions) };
            let mode = if inputs.dry_run { ScalingMode::DryRun } else { mode };
            kept(replicas, mode, reason, &format!("{why}: the number stays at {replicas}"))
        }
    }
}

/// A decision that holds now, or why there is none.
enum Usable<'a> {
    Decision(&'a Decision),
    None { mode: ScalingMode, reason: &'static str, why: &'static str },
}

fn usable<'a>(inputs: &Inputs<'a>) -> Usable<'a> {
    let none = |mode, reason, why| Usable::None { mode, reason, why };
    let Some(decision) = inputs.decision else {
        return none(ScalingMode::Holding, reasons::LAG_NOT_READ_YET, "the lag has not been read yet");
    };
    match decision.reason {
        Reason::LagUnknown => none(ScalingMode::Holding, Reason::LagUnknown.as_str(), "the lag is not known"),
        _ if inputs.rolling => {
            none(ScalingMode::Auto, Reason::RollingUpdate.as_str(), "a new pod template is being rolled out")
        }
        // Decided while the replicas were frozen, so it does not say what is needed now. The next poll decides.
        Reason::Pinned | Reason::Paused | Reason::RollingUpdate => {
            none(ScalingMode::Auto, Reason::Measuring.as_str(), "the next poll decides")
        }
        _ => Usable::Decision(decision),
    }
}

fn decided(inputs: &Inputs<'_>, last: i32, decision: &Decision) -> Plan {
    // Limits and partitions may be newer than the decision.
    let desired = inputs.policy.bounded(decision.replicas, inputs.partitions);
    let dry = inputs.dry_run;
    Plan {
        replicas: if dry { last } else { desired },
        desired,
        mode: if dry { ScalingMode::DryRun } else { ScalingMode::Auto },
        reason: decision.reason.as_str().to_owned(),
        explanation: decision.explanation.clone(),
        limited_by: decision.limited_by,
    }
}

fn kept(replicas: i32, mode: ScalingMode, reason: &str, explanation: &str) -> Plan {
    Plan {
        replicas,
        desired: replicas,
        mode,
        reason: reason.to_owned(),
        explanation: explanation.to_owned(),
        limited_by: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(replicas: i32, reason: Reason) -> Decision {
        Decision {
            replicas,
            reason,
            explanation: "because".into(),
            needed: Some(replicas),
            blocked_by: None,
            limited_by: None,
            hot_partition: None,
            confirm: false,
            candidates: Vec::new(),
            capacity: None,
            arrival_rate: None,
        }
    }

    /// paused, pin, (min, max, dry run), last, rolling, decision, partitions → replicas, desired, mode
    type Row = (bool, Option<i32>, (i32, Option<i32>, bool), Option<i32>, bool, Option<(i32, Reason)>, Option<i32>);

    fn decide((paused, pin, limits, last, rolling, poll, partitions): Row) -> (i32, i32, &'static str) {
        let policy = Policy { min_replicas: limits.0, max_replicas: limits.1, ..Policy::default() };
        let decision = poll.map(|(replicas, reason)| decision(replicas, reason));
        let decision = decision.as_ref();
        let inputs = Inputs { paused, pin, dry_run: limits.2, policy: &policy, last, rolling, decision, partitions };
        let plan = plan(&inputs);
        (plan.replicas, plan.desired, plan.mode.as_str())
    }

    #[test]
    fn paused_goes_before_a_pin_and_a_pin_before_the_decision() {
        use Reason::{ArrivalRate as Up, DemandFell as Down, LagPartial, LagUnknown, Pinned};
        let auto = (1, None, false);
        #[rustfmt::skip]
        let table: [(Row, (i32, i32, &str)); 21] = [
            // Paused goes before all; the number that is there stays.
            ((true,  Some(4), auto, Some(2), false, Some((6, Up)), Some(6)), (2, 2, "Paused")),
            ((true,  None, (3, None, false), None, false, None, None), (3, 3, "Paused")),
            // A pin holds as it is: beyond every limit, and down to 0.
            ((false, Some(8), (1, Some(4), false), Some(2), false, Some((6, Up)), Some(6)), (8, 8, "Pinned")),
            ((false, Some(0), (3, None, true), Some(2), true, None, None), (0, 0, "Pinned")),
            // The decision, within maximum, partitions and minimum.
            ((false, None, auto, Some(2), false, Some((5, Up)), Some(6)), (5, 5, "Auto")),
            ((false, None, auto, Some(6), false, Some((3, Down)), Some(6)), (3, 3, "Auto")),
            ((false, None, auto, Some(2), false, Some((9, Up)), Some(6)), (6, 6, "Auto")),
            ((false, None, (1, Some(4), false), Some(2), false, Some((9, Up)), Some(6)), (4, 4, "Auto")),
            ((false, None, (3, None, false), Some(5), false, Some((1, Down)), Some(6)), (3, 3, "Auto")),
            ((false, None, (8, None, false), Some(8), false, Some((1, Down)), Some(6)), (6, 6, "Auto")),
            // Partly unknown lag may raise.
            ((false, None, auto, Some(2), false, Some((4, LagPartial)), Some(6)), (4, 4, "Auto")),
            // Unknown lag keeps the last decision, within the user's own limits only.
            ((false, None, auto, Some(5), false, Some((1, LagUnknown)), Some(3)), (5, 5, "Holding")),
            ((false, None, (1, Some(4), false), Some(5), false, None, None), (4, 4, "Holding")),
            ((false, None, (7, None, false), Some(5), false, None, None), (7, 7, "Holding")),
            ((false, None, (8, None, false), Some(6), false, Some((6, LagUnknown)), Some(6)), (6, 6, "Holding")),
            // First creation starts with the minimum.
            ((false, None, (2, None, false), None, false, None, None), (2, 2, "Holding")),
            // A rollout keeps the last decision.
            ((false, None, auto, Some(4), true, Some((6, Up)), Some(6)), (4, 4, "Auto")),
            // What was decided under a pin says nothing once the pin is gone.
            ((false, None, auto, Some(8), false, Some((4, Pinned)), None), (8, 8, "Auto")),
            // A dry run says what it would do and keeps the number.
            ((false, None, (1, None, true), Some(2), false, Some((6, Up)), Some(6)), (2, 6, "DryRun")),
            ((false, None, (3, None, true), None, false, None, None), (3, 3, "DryRun")),
            ((false, None, (1, Some(4), true), Some(5), false, None, None), (5, 5, "DryRun")),
        ];
        for (row, expected) in table {
            assert_eq!(decide(row), expected, "{row:?}");
        }
    }

    #[test]
    fn the_poller_gets_the_reason_why_the_replicas_must_not_change() {
        let policy = Policy::default();
        let base = Inputs {
            paused: false,
            pin: None,
            dry_run: false,
            policy: &policy,
            last: Some(2),
            rolling: false,
            decision: None,
            partitions: None,
        };
        assert_eq!(base.frozen_by(), None);
        assert_eq!(Inputs { rolling: true, ..base }.frozen_by(), Some(FreezeReason::RollingUpdate));
        assert_eq!(Inputs { rolling: true, pin: Some(3), ..base }.frozen_by(), Some(FreezeReason::Pinned));
        assert_eq!(Inputs { paused: true, pin: Some(3), ..base }.frozen_by(), Some(FreezeReason::Paused));
    }
}
