//! What is kept of an object between two reconciles. Losing it (a restart) costs a repeated write, never a wrong one.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::assignor::NoPod;
use crate::poller::GroupKey;

/// First and longest pause after a failed call.
const FAILURE_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// First and longest pause while a problem outside the object lasts.
const PROBLEM_PAUSE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// What is kept of one object.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectState {
    /// Distinguishes an object from a later one of the same name.
    pub(super) uid: String,
    /// Failed reconciles in a row.
    pub(super) failures: u32,
    /// The problem that is being retried, and how often it was found in a row.
    pub(super) problem: Option<(&'static str, u32)>,
    /// When the pods were last ranked, and for which replicas.
    pub(super) ranked: Option<(i32, Instant)>,
    /// Since when no pod is left.
    pub(super) no_pod: NoPod,
    /// When the replicas were restored after somebody else wrote them.
    pub(super) restores: Vec<Instant>,
    /// When the status was last written.
    pub(super) status_written: Option<Instant>,
    /// The slot that a status write waits for, see [`super::status::RateLimiter`].
    pub(super) status_slot: Option<Instant>,
    /// When the learned figures of the status last changed.
    pub(super) learned_written: Option<Instant>,
}

/// What is kept of all objects.
#[derive(Default)]
pub(super) struct ObjectStates {
    states: Mutex<HashMap<GroupKey, ObjectState>>,
}

impl ObjectStates {
    /// A copy of what is kept; empty for a new object. No two reconciles of one object run at once.
    pub(super) fn load(&self, key: &GroupKey, uid: &str) -> ObjectState {
        match self.states.lock().get(key) {
            Some(state) if state.uid == uid => state.clone(),
            _ => ObjectState { uid: uid.to_owned(), ..ObjectState::default() },
        }
    }

    /// Stores what a reconcile changed.
    pub(super) fn store(&self, key: &GroupKey, state: ObjectState) {
        self.states.lock().insert(key.clone(), state);
    }

    /// Counts a failed reconcile and gives the pause before the next; `random` is in [0, 1).
    pub(super) fn failure_backoff(&self, key: &GroupKey, random: f64) -> Duration {
        let mut states = self.states.lock();
        let state = states.entry(key.clone()).or_default();
        state.failures = state.failures.saturating_add(1);
        pause(FAILURE_PAUSE, state.failures, random)
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&self, key: &GroupKey) {
        self.states.lock().remove(key);
    }

    /// Every object of which something is kept.
    pub(super) fn keys(&self) -> Vec<GroupKey> {
        self.states.lock().keys().cloned().collect()
    }

    /// How many objects wait after a failure or for the end of a problem.
    pub(super) fn in_backoff(&self) -> usize {
        self.states.lock().values().filter(|state| state.failures > 0 || state.problem.is_some()).count()
    }
}

impl ObjectState {
    /// Counts a reconcile that found a problem and gives the pause before the next; `random` is in [0, 1).
    pub(super) fn problem_backoff(&mut self, reason: &'static str, random: f64) -> Duration {
        let times = match self.problem {
            Some((known, times)) if known == reason => times.saturating_add(1),
            _ => 1,
        };
        self.problem = Some((reason, times));
        pause(PROBLEM_PAUSE, times, random)
    }
}

/// Doubles from the first to the longest pause; 80 to 120 % of it, so that objects that failed together come apart.
fn pause((first, longest): (Duration, Duration), times: u32, random: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1)));
    doubled.min(longest).mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> GroupKey {
        GroupKey { namespace: "bank".into(), name: "x".into() }
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let object_states = ObjectStates::default();
        let pauses: Vec<u64> = (0..12).map(|_| object_states.failure_backoff(&key(), 0.5).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        let mut state = ObjectState::default();
        let waits: Vec<u64> = (0..7).map(|_| state.problem_backoff("SecretNotFound", 0.5).as_secs()).collect();
        assert_eq!(waits, [15, 30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn another_problem_begins_with_the_shortest_pause() {
        let mut state = ObjectState::default();
        state.problem_backoff("SecretNotFound", 0.5);
        state.problem_backoff("SecretNotFound", 0.5);
        assert_eq!(state.problem_backoff("NameTaken", 0.5).as_secs(), 15);
    }

    #[test]
    fn pauses_spread_by_a_fifth_to_either_side() {
        let object_states = ObjectStates::default();
        assert_eq!(object_states.failure_backoff(&key(), 0.0), Duration::from_millis(800));
        object_states.forget(&key());
        assert!(object_states.failure_backoff(&key(), 1.0) <= Duration::from_millis(1_200));
    }

    #[test]
    fn a_new_object_of_an_old_name_starts_with_empty_state() {
        let object_states = ObjectStates::default();
        let state = ObjectState { ranked: Some((3, Instant::now())), ..object_states.load(&key(), "uid-1") };
        object_states.store(&key(), state);
        assert!(object_states.load(&key(), "uid-1").ranked.is_some());
        assert!(object_states.load(&key(), "uid-2").ranked.is_none());
    }
}
