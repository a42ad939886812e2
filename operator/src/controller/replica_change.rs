//! Pure. How the number of workers may move in one pass: at once, after the pods were ranked, or not while somebody
//! else fights over it.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;

use super::{build::Replicas, contention, object_state::Memory, workload};

/// Kubernetes reads the ranks from its own cache: they have to be there a moment before the number falls.
const RANKED_BEFORE: Duration = Duration::from_secs(1);

/// What this pass writes, and what it leaves for a later one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// The numbers to write.
    pub replicas: Replicas,
    /// The pods have to be ranked before.
    pub rank: bool,
    /// Nobody is to leave: what the pods were ranked by will have changed when somebody is.
    pub forget_ranks: bool,
    /// The number undoes what somebody else wrote.
    pub restores: bool,
    /// When the rest is due.
    pub next_look: Option<Duration>,
}

/// The step from the live Deployment towards the wanted number.
pub(super) fn next_step(live: Option<&Deployment>, wanted: Replicas, memory: &Memory, now: Instant) -> Step {
    let asked_for = wanted.asked_for;
    let go = Step {
        replicas: wanted,
        rank: false,
        forget_ranks: live.is_none_or(|live| asked_for >= workload::spec_replicas(live)),
        restores: false,
        next_look: None,
    };
    let Some(live) = live else { return go };
    let (there, decided) = (workload::spec_replicas(live), workload::decided_replicas(live));
    // Another number than the last decision is a new one, and no part of the quarrel about the old one.
    let last_asked_for = workload::last_asked_for(live);
    if there != last_asked_for && asked_for == last_asked_for {
        return match contention::may_restore(&memory.restores, now) {
            Ok(()) => Step { restores: true, ..go },
            // Their number stays for now, ours stays on record.
            Err(wait) => {
                Step { replicas: Replicas { asked_for: there, decided, ..wanted }, next_look: Some(wait), ..go }
            }
        };
    }
    // To 0 all leave: there is nothing to rank.
    if asked_for >= there || asked_for == 0 {
        return go;
    }
    match memory.ranked {
        Some((target, at)) if target == asked_for && now.saturating_duration_since(at) >= RANKED_BEFORE => go,
        ranked => Step {
            replicas: Replicas { asked_for: there, decided, ..wanted },
            rank: ranked.is_none_or(|(target, _)| target != asked_for),
            next_look: Some(RANKED_BEFORE),
            ..go
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(replicas: i32, decided: i32) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"annotations": {"balancefleet.io/replicas": decided.to_string()}},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
        }))
        .unwrap()
    }

    #[test]
    fn more_workers_come_at_once_and_fewer_only_after_the_ranking() {
        let (now, mut memory) = (Instant::now(), Memory::default());
        let step = |wanted, memory: &Memory, now| next_step(Some(&live(4, 4)), Replicas::agreed(wanted), memory, now);
        assert_eq!(step(6, &memory, now).replicas, Replicas::agreed(6));
        let first = step(2, &memory, now);
        assert!(first.rank && first.replicas == Replicas::agreed(4) && first.next_look.is_some());
        memory.ranked = Some((2, now));
        let early = step(2, &memory, now + Duration::from_millis(500));
        assert!(!early.rank && early.replicas == Replicas::agreed(4));
        assert_eq!(step(2, &memory, now + RANKED_BEFORE).replicas, Replicas::agreed(2));
        assert!(step(1, &memory, now + RANKED_BEFORE).rank, "another target asks for another ranking");
        assert_eq!(step(0, &Memory::default(), now).replicas, Replicas::agreed(0), "all leave: nothing to rank");
    }

    #[test]
    fn a_foreign_number_is_restored_until_that_is_pointless() {
        let (now, mut memory) = (Instant::now(), Memory::default());
        let step = next_step(Some(&live(9, 4)), Replicas::agreed(4), &memory, now);
        assert!(step.restores && step.replicas == Replicas::agreed(4));
        memory.restores = vec![now; 3];
        let step = next_step(Some(&live(9, 4)), Replicas::agreed(4), &memory, now);
        assert_eq!(step.replicas, Replicas { asked_for: 9, ..Replicas::agreed(4) });
        assert_eq!(step.next_look, Some(Duration::from_secs(300)));
    }

    #[test]
    fn a_new_decision_is_written_also_while_the_old_one_is_contended() {
        let (now, mut memory) = (Instant::now(), Memory { restores: vec![Instant::now(); 3], ..Memory::default() });
        let step = next_step(Some(&live(9, 4)), Replicas::agreed(12), &memory, now);
        assert_eq!((step.replicas, step.restores), (Replicas::agreed(12), false));
        let step = next_step(Some(&live(9, 4)), Replicas::agreed(2), &memory, now);
        assert!(step.rank, "somebody leaves");
        assert_eq!(
            step.replicas,
            Replicas { asked_for: 9, ..Replicas::agreed(4) },
            "their number is not ours for being let stand"
        );
        memory.ranked = Some((2, now));
        assert_eq!(
            next_step(Some(&live(9, 4)), Replicas::agreed(2), &memory, now + RANKED_BEFORE).replicas,
            Replicas::agreed(2)
        );
    }

    #[test]
    fn ranks_are_forgotten_when_nobody_is_to_leave_any_more() {
        let (now, memory) = (Instant::now(), Memory::default());
        let forgotten = |wanted| next_step(Some(&live(4, 4)), Replicas::agreed(wanted), &memory, now).forget_ranks;
        assert!(forgotten(4) && forgotten(5) && !forgotten(2));
    }

    #[test]
    fn the_first_deployment_has_the_wanted_number_at_once() {
        assert_eq!(
            next_step(None, Replicas::agreed(3), &Memory::default(), Instant::now()).replicas,
            Replicas::agreed(3)
        );
    }
}
