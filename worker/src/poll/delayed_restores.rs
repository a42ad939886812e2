//! Partitions that are to be restored again, although the group has not revoked them.
//!
//! Most have been continued by another worker, so this worker has probably lost them without knowing it. To restore
//! them at once would take them from their new owner. So it waits a heartbeat, after which it usually knows. If its
//! member id has changed by then, or it is no member any more, it restores nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::RestoreRequest;

pub(super) struct DelayedRestores {
    heartbeat: Duration,
    waiting: Vec<Waiting>,
}

struct Waiting {
    assigned: RestoreRequest,
    /// The member id under which the partition was assigned.
    member_id: Arc<str>,
    due: Instant,
}

impl DelayedRestores {
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, waiting: Vec::new() }
    }

    pub(super) fn add(&mut self, assigned: RestoreRequest, member_id: Arc<str>, now: Instant) {
        self.waiting.push(Waiting { assigned, member_id, due: now + self.heartbeat });
    }

    /// The partitions that the member named by `ask` may restore again at `now`. Partitions that have left are dropped.
    pub(super) fn due<M: AsRef<str>>(&mut self, now: Instant, ask: impl FnOnce() -> Option<M>) -> Vec<RestoreRequest> {
        self.waiting.retain(|it| !it.assigned.shared.is_released());
        if self.waiting.iter().all(|it| it.due > now) {
            return Vec::new();
        }
        let Some(member_id) = ask() else { return Vec::new() };
        let is_due = |it: &mut Waiting| it.due <= now && *it.member_id == *member_id.as_ref();
        self.waiting.extract_if(.., is_due).map(|it| it.assigned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{Assignment, AssignmentNumber},
        view::SharedPartition,
    };

    fn assigned(partition: i32) -> RestoreRequest {
        let assignment = Assignment { partition, number: AssignmentNumber(1), generation: 3 };
        RestoreRequest { assignment, shared: Arc::new(SharedPartition::new(partition, 3)) }
    }

    fn numbers(assigned: &[RestoreRequest]) -> Vec<i32> {
        assigned.iter().map(|it| it.assignment.partition).collect()
    }

    #[test]
    fn only_the_same_member_restores_again_and_not_before_a_heartbeat() {
        let (begun, mut delayed_restores) = (Instant::now(), DelayedRestores::new(Duration::from_secs(2)));
        let at = |seconds| begun + Duration::from_secs(seconds);
        delayed_restores.add(assigned(0), "one".into(), begun);
        delayed_restores.add(assigned(1), "one".into(), at(1));
        assert!(delayed_restores.due(at(1), || Some("one")).is_empty());
        assert!(delayed_restores.due(at(9), || None::<&str>).is_empty());
        assert!(delayed_restores.due(at(9), || Some("other")).is_empty());
        assert_eq!(numbers(&delayed_restores.due(at(2), || Some("one"))), [0]);
        assert_eq!(numbers(&delayed_restores.due(at(3), || Some("one"))), [1]);
    }

    #[test]
    fn what_has_left_meanwhile_is_not_restored_again() {
        let (begun, mut delayed_restores) = (Instant::now(), DelayedRestores::new(Duration::ZERO));
        let gone = assigned(0);
        gone.shared.release();
        delayed_restores.add(gone, "one".into(), begun);
        assert!(delayed_restores.due(begun, || Some("one")).is_empty());
    }
}
