//! Pure. How the replicas may change in one reconcile: at once, after the deletion costs of the pods were written, or
//! not while another writer contends them.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;

use super::{build::Replicas, contention, object_state::ObjectState, workload};

/// Kubernetes reads the deletion costs from its own cache, so they are written this long before the replicas fall.
const DELETION_COST_LEAD: Duration = Duration::from_secs(1);

/// What this reconcile writes, and what it leaves for a later one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ReplicaChange {
    /// The replicas to write.
    pub replicas: Replicas,
    /// Write the deletion costs of the pods first.
    pub write_deletion_cost: bool,
    /// No pod has to leave now. Written deletion costs are forgotten: they will be outdated when one has to.
    pub forget_deletion_cost: bool,
    /// The write restores replicas that somebody else changed.
    pub reverts: bool,
    /// When the deferred rest is due.
    pub requeue_after: Option<Duration>,
}

/// The change from the live Deployment towards the desired replicas.
pub(super) fn next_change(
    live: Option<&Deployment>,
    wanted: Replicas,
    state: &ObjectState,
    now: Instant,
) -> ReplicaChange {
    let desired = wanted.spec;
    let go = ReplicaChange {
        replicas: wanted,
        write_deletion_cost: false,
        forget_deletion_cost: live.is_none_or(|live| desired >= workload::spec_replicas(live)),
        reverts: false,
        requeue_after: None,
    };
    let Some(live) = live else { return go };
    // The annotation has what was last decided, also while the Deployment is held at 0 replicas for another assignor,
    // or another writer changed it.
    let (there, annotated) = (workload::spec_replicas(live), workload::replicas_in_annotation(live));
    // What the operator last wrote to `spec.replicas`: as annotated, or that 0. Only this can be contended; a new
    // decision is written at once.
    let last_spec_replicas = workload::last_spec_replicas(live);
    if there != last_spec_replicas && desired == last_spec_replicas {
        return match contention::may_revert(&state.reverts, now) {
            Ok(()) => ReplicaChange { reverts: true, ..go },
            // The other writer's replicas stay for now; the annotation keeps ours.
            Err(wait) => ReplicaChange {
                replicas: Replicas { spec: there, annotated, ..wanted },
                requeue_after: Some(wait),
                ..go
            },
        };
    }
    // All pods leave: their order does not matter.
    if desired >= there || desired == 0 {
        return go;
    }
    let written = state.deletion_cost_written.filter(|(target, _)| *target == desired);
    let since = written.map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(at));
    // The rest of the wait: a reconcile that comes early does not start it again.
    match DELETION_COST_LEAD.checked_sub(since).filter(|left| !left.is_zero()) {
        None => go,
        left => ReplicaChange {
            replicas: Replicas { spec: there, annotated, ..wanted },
            write_deletion_cost: written.is_none(),
            requeue_after: left,
            ..go
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(replicas: i32, annotated: i32) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"annotations": {"balancefleet.io/replicas": annotated.to_string()}},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
        }))
        .unwrap()
    }

    #[test]
    fn more_workers_come_at_once_and_fewer_only_after_the_ranking() {
        let (now, mut state) = (Instant::now(), ObjectState::default());
        let change =
            |wanted, state: &ObjectState, now| next_change(Some(&live(4, 4)), Replicas::both(wanted), state, now);
        assert_eq!(change(6, &state, now).replicas, Replicas::both(6));
        let first = change(2, &state, now);
        assert!(first.write_deletion_cost && first.replicas == Replicas::both(4) && first.requeue_after.is_some());
        state.deletion_cost_written = Some((2, now));
        let early = change(2, &state, now + Duration::from_millis(500));
        assert!(!early.write_deletion_cost && early.replicas == Replicas::both(4));
        assert_eq!(early.requeue_after, Some(Duration::from_millis(500)), "the wait does not begin anew");
        assert_eq!(change(2, &state, now + DELETION_COST_LEAD).replicas, Replicas::both(2));
        assert!(
            change(1, &state, now + DELETION_COST_LEAD).write_deletion_cost,
            "another target asks for another ranking"
        );
        assert_eq!(change(0, &ObjectState::default(), now).replicas, Replicas::both(0), "all leave: nothing to rank");
    }

    #[test]
    fn foreign_replicas_are_restored_until_that_is_pointless() {
        let (now, mut state) = (Instant::now(), ObjectState::default());
        let change = next_change(Some(&live(9, 4)), Replicas::both(4), &state, now);
        assert!(change.reverts && change.replicas == Replicas::both(4));
        state.reverts = vec![now; 3];
        let change = next_change(Some(&live(9, 4)), Replicas::both(4), &state, now);
        assert_eq!(change.replicas, Replicas { spec: 9, ..Replicas::both(4) });
        assert_eq!(change.requeue_after, Some(Duration::from_secs(300)));
    }

    #[test]
    fn a_new_decision_is_written_also_while_the_old_one_is_contended() {
        let (now, mut state) = (Instant::now(), ObjectState::default());
        state.reverts = vec![now; 3];
        let change = next_change(Some(&live(9, 4)), Replicas::both(12), &state, now);
        assert_eq!((change.replicas, change.reverts), (Replicas::both(12), false));
        let change = next_change(Some(&live(9, 4)), Replicas::both(2), &state, now);
        assert!(change.write_deletion_cost, "somebody leaves");
        assert_eq!(
            change.replicas,
            Replicas { spec: 9, ..Replicas::both(4) },
            "replicas that are tolerated are not recorded as ours"
        );
        state.deletion_cost_written = Some((2, now));
        assert_eq!(
            next_change(Some(&live(9, 4)), Replicas::both(2), &state, now + DELETION_COST_LEAD).replicas,
            Replicas::both(2)
        );
    }

    #[test]
    fn ranks_are_forgotten_when_nobody_is_to_leave_any_more() {
        let (now, state) = (Instant::now(), ObjectState::default());
        let forgotten =
            |wanted| next_change(Some(&live(4, 4)), Replicas::both(wanted), &state, now).forget_deletion_cost;
        assert!(forgotten(4) && forgotten(5) && !forgotten(2));
    }

    #[test]
    fn the_first_deployment_has_the_desired_replicas_at_once() {
        assert_eq!(
            next_change(None, Replicas::both(3), &ObjectState::default(), Instant::now()).replicas,
            Replicas::both(3)
        );
    }
}
