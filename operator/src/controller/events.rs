//! Events (pure): one per change, none per reconcile. A change of replicas or assignor is published when it is written;
//! problems follow from the old and the new status.
//!
//! An event with the type, reason and action of one of the last minutes only raises the count of that event, which
//! keeps its note. So each note has an action of its own: otherwise a second change would be told in the words of the
//! first.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use balancefleet_crds::{Assignor, BalanceConsumerGroupStatus as Status, conditions, reasons};
use futures::FutureExt;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::runtime::events::{Event, EventType};

use super::{desired_replicas::Plan, shared::Shared, writer::WriteOutcome};
use crate::{error::call, poller::ObjectKey};

/// `Ready=False` reasons that are normal, or that have a condition of their own.
const NO_EVENT: [&str; 3] = [reasons::WORKERS_NOT_READY, reasons::PAUSED, conditions::ASSIGNOR_CHANGE_PENDING];

/// One event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// Whether a user should look at it.
    pub warning: bool,
    /// What happened, in one word.
    pub reason: String,
    /// What was done, in one word.
    pub action: &'static str,
    /// What happened, in one sentence.
    pub note: String,
}

/// A change of the replicas, from and to.
pub(super) fn scaled((before, after): (i32, i32), plan: &Plan) -> Draft {
    let reason = if after > before { reasons::SCALED_UP } else { reasons::SCALED_DOWN };
    Draft {
        warning: false,
        reason: reason.to_owned(),
        action: "Scale",
        note: format!("{before} → {after}: {}", plan.reason),
    }
}

/// A change of the assignor, from and to.
pub(super) fn assignor_changed(before: Assignor, after: Assignor) -> Draft {
    Draft {
        warning: false,
        reason: reasons::ASSIGNOR_CHANGED.to_owned(),
        action: "ChangeAssignor",
        note: format!("{before} → {after}: no worker and no member of the group was left"),
    }
}

/// What changed from one status to the next.
pub(super) fn transitions(old: &Status, new: &Status) -> Vec<Draft> {
    let problems = new.conditions.iter().filter(|condition| is_new_problem(old, condition));
    problems
        .map(|condition| Draft {
            warning: true,
            reason: condition.reason.clone(),
            action: "Reconcile",
            note: condition.message.clone(),
        })
        .collect()
}

/// Whether a condition reports a problem that the old status did not report.
fn is_new_problem(old: &Status, condition: &Condition) -> bool {
    let bad = match condition.type_.as_str() {
        conditions::READY => condition.status == "False" && !NO_EVENT.contains(&condition.reason.as_str()),
        conditions::PROGRESSING => condition.reason == reasons::ROLLOUT_STUCK,
        other => !conditions::ALWAYS_PRESENT.contains(&other),
    };
    let before = old.conditions.iter().find(|before| before.type_ == condition.type_);
    bad && before.is_none_or(|before| (&before.status, &before.reason) != (&condition.status, &condition.reason))
}

impl From<Draft> for Event {
    fn from(draft: Draft) -> Self {
        let mut hasher = DefaultHasher::new();
        draft.note.hash(&mut hasher);
        Self {
            type_: if draft.warning { EventType::Warning } else { EventType::Normal },
            reason: draft.reason,
            note: Some(draft.note.chars().take(1_000).collect()),
            action: format!("{}-{:08x}", draft.action, hasher.finish() >> 32),
            secondary: None,
        }
    }
}

/// Hands events over to the writer. An event that cannot be written is not worth another reconcile.
pub(super) fn publish(
    shared: &Shared,
    key: &ObjectKey,
    about: &ObjectReference,
    drafts: impl IntoIterator<Item = Draft>,
) {
    for draft in drafts {
        let event = Event::from(draft);
        let (recorder, about) = (shared.recorder.clone(), about.clone());
        let job = async move {
            let Err(error) = call("write an event", recorder.publish(&event, &about)).await else {
                return WriteOutcome::Written;
            };
            tracing::warn!(%error, reason = event.reason, "cannot write an event");
            WriteOutcome::Failed { category: error.category(), again: None }
        };
        shared.writer.event(key, job.boxed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn status(conditions: &[(&str, &str, &str)]) -> Status {
        let condition = |(type_, status, reason): &(&str, &str, &str)| Condition {
            type_: (*type_).into(),
            status: (*status).into(),
            reason: (*reason).into(),
            message: "do this".into(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        Status { conditions: conditions.iter().map(condition).collect(), ..Status::default() }
    }

    fn reasons_of(old: &Status, new: &Status) -> Vec<String> {
        transitions(old, new).into_iter().map(|draft| draft.reason).collect()
    }

    #[test]
    fn a_problem_is_published_once() {
        let (well, ill) =
            (status(&[("Ready", "True", "WorkersReady")]), status(&[("Ready", "False", "SecretNotFound")]));
        assert_eq!(reasons_of(&well, &ill), ["SecretNotFound"]);
        assert!(reasons_of(&ill, &ill).is_empty());
        assert_eq!(reasons_of(&ill, &status(&[("Ready", "False", "TopicNotFound")])), ["TopicNotFound"]);
        assert_eq!(reasons_of(&Status::default(), &ill), ["SecretNotFound"]);
    }

    #[test]
    fn starting_workers_and_recovery_are_no_events() {
        let starting = status(&[("Ready", "False", "WorkersNotReady"), ("LagKnown", "False", "LagPartial")]);
        assert!(reasons_of(&Status::default(), &starting).is_empty());
        assert!(reasons_of(&status(&[("Ready", "False", "NameTaken")]), &status(&[("Ready", "True", "x")])).is_empty());
    }

    #[test]
    fn a_condition_that_is_there_only_while_true_is_published_when_it_appears() {
        let loss = status(&[("DataLoss", "True", "DataLoss")]);
        assert_eq!(reasons_of(&Status::default(), &loss), ["DataLoss"]);
        assert!(reasons_of(&loss, &loss).is_empty());
    }

    #[test]
    fn a_change_of_the_replicas_is_published_with_its_numbers_and_its_reason() {
        let plan = Plan {
            replicas: 6,
            desired: 6,
            mode: balancefleet_crds::ScalingMode::Auto,
            reason: "ArrivalRate".into(),
            explanation: "512 records/s arrive".into(),
            limited_by: None,
        };
        let event = scaled((4, 6), &plan);
        assert_eq!(
            (event.warning, event.reason.as_str(), event.note.as_str()),
            (false, "ScaledUp", "4 → 6: ArrivalRate")
        );
        assert_eq!(scaled((6, 2), &plan).reason, "ScaledDown");
    }

    #[test]
    fn events_with_different_notes_are_never_counted_as_one() {
        let event = |note: &str| {
            let reason = conditions::ASSIGNOR_CHANGE_PENDING.to_owned();
            Event::from(Draft { warning: true, reason, action: "Reconcile", note: note.to_owned() })
        };
        let to_range = event("from CooperativeSticky to Range");
        assert_eq!(to_range.action, event("from CooperativeSticky to Range").action);
        assert_ne!(to_range.action, event("from Range to RoundRobin").action);
        assert!(to_range.action.starts_with("Reconcile-") && to_range.action.len() <= 128);
    }
}
