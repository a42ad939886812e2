//! What is kept about an object between two reconciles. Losing it (at a restart) costs a repeated read, never a wrong
//! write.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use balancefleet_crds::{BalanceConsumerGroup, BalanceConsumerGroupStatus as Status, Learned, conditions};
use parking_lot::Mutex;

use super::{
    assignor::NoPod,
    backoff::{AFTER_FAILURE, Backoff, WHILE_A_PROBLEM_LASTS},
    contention,
    validate::Problem,
};
use crate::poller::ObjectKey;

/// What is kept of one object.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectState {
    /// Distinguishes an object from a later one of the same name.
    pub(super) uid: String,
    /// The pause after failed reconciles.
    failure: Backoff,
    /// The object's generation in the last reconcile: an edit makes another one, and may end a problem.
    generation: Option<i64>,
    /// The problem that is being retried.
    problem: Option<(Problem, Backoff)>,
    /// When the deletion costs of the pods were last written, and for which number of replicas.
    pub(super) deletion_cost_written: Option<(i32, Instant)>,
    /// Since when no pod is left, for a change of the assignor.
    pub(super) no_pod: NoPod,
    /// When the replicas were reverted after another writer had changed them.
    pub(super) reverts: Vec<Instant>,
    /// `status.scaling.learned` (a worker's capacity), and since when this process has seen it there.
    pub(super) learned: Option<(Option<Learned>, Instant)>,
}

/// What is kept of all objects.
#[derive(Default)]
pub(super) struct ObjectStates {
    states: Mutex<HashMap<ObjectKey, ObjectState>>,
}

impl ObjectStates {
    /// A copy of what is kept; `None` for a new object. No two reconciles of one object run at once.
    pub(super) fn load(&self, key: &ObjectKey, uid: &str) -> Option<ObjectState> {
        self.states.lock().get(key).filter(|state| state.uid == uid).cloned()
    }

    /// Stores what a reconcile changed.
    pub(super) fn store(&self, key: &ObjectKey, state: ObjectState) {
        self.states.lock().insert(key.clone(), state);
    }

    /// Counts a failed reconcile and gives the pause before the next; `random` is in [0, 1).
    pub(super) fn failed(&self, key: &ObjectKey, now: Instant, random: f64) -> Duration {
        self.states.lock().entry(key.clone()).or_default().failure.failed(AFTER_FAILURE, now, random)
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.states.lock().remove(key);
    }

    /// Every object that something is kept about.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.states.lock().keys().cloned().collect()
    }

    /// The objects that wait after a failure or for the end of a problem.
    pub(super) fn in_backoff(&self) -> HashSet<ObjectKey> {
        let states = self.states.lock();
        let waiting = states.iter().filter(|(_, state)| state.failure.has_failed() || state.problem.is_some());
        waiting.map(|(key, _)| key.clone()).collect()
    }
}

/// Learned figures are written at most this often, unless a new decision is written with them.
const LEARNED_EVERY: Duration = Duration::from_secs(300);

impl ObjectState {
    /// The state of an object that is new, or new to this process. In the latter case its status says whether the
    /// replicas are contended.
    pub(super) fn new(uid: String, group: &BalanceConsumerGroup, now: Instant) -> Self {
        let conditions = group.status.iter().flat_map(|status| &status.conditions);
        let contended = conditions.into_iter().any(|condition| condition.type_ == conditions::REPLICAS_CONTENDED);
        let reverts = if contended { contention::contended_since(now) } else { Vec::new() };
        Self { uid, reverts, ..Self::default() }
    }

    /// Whether the learned figures have been in the status for so long that they may be written again.
    pub(super) fn learned_figures_due(&mut self, last_status: &Status, now: Instant) -> bool {
        let learned = last_status.scaling.as_ref().and_then(|scaling| scaling.learned.clone());
        match &self.learned {
            Some((known, since)) if *known == learned => now.saturating_duration_since(*since) >= LEARNED_EVERY,
            _ => {
                self.learned = Some((learned, now));
                false
            }
        }
    }

    /// The rest of the pause after a failed reconcile. Only an edit of the object shortens it.
    pub(super) fn pause(&self, generation: Option<i64>, now: Instant) -> Option<Duration> {
        self.failure.left(now).filter(|_| self.generation == generation)
    }

    /// Records that the reconcile did not fail.
    pub(super) fn succeeded(&mut self) {
        self.failure = Backoff::default();
    }

    /// Begins a reconcile. After an edit of the object, its problem is forgotten: the edit may have ended it.
    pub(super) fn begin(&mut self, generation: Option<i64>) {
        if self.generation != generation {
            (self.generation, self.problem) = (generation, None);
        }
    }

    /// The problem of the last attempt while the next one waits.
    pub(super) fn lasting_problem(&self, now: Instant) -> Option<&Problem> {
        let (problem, backoff) = self.problem.as_ref()?;
        backoff.left(now).map(|_| problem)
    }

    /// Counts an attempt that ended with this problem and gives the pause before the next one. If no attempt was due
    /// yet, counts nothing and gives the rest of the pause. `random` is in [0, 1).
    pub(super) fn problem_backoff(&mut self, problem: &Problem, now: Instant, random: f64) -> Duration {
        let known = self.problem.take().filter(|(known, _)| known.reason == problem.reason);
        let mut backoff = known.map(|(_, backoff)| backoff).unwrap_or_default();
        let pause = backoff.left(now).unwrap_or_else(|| backoff.failed(WHILE_A_PROBLEM_LASTS, now, random));
        self.problem = Some((problem.clone(), backoff));
        pause
    }

    /// Records that there is no problem that a retry may end.
    pub(super) fn no_problem(&mut self) {
        self.problem = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::validate::Remedy;

    fn key() -> ObjectKey {
        ObjectKey { namespace: "bank".into(), name: "x".into() }
    }

    fn problem(reason: &'static str) -> Problem {
        Problem { reason, message: "do this".into(), remedy: Remedy::Retry }
    }

    #[test]
    fn another_problem_begins_with_the_shortest_pause() {
        let (mut state, mut now) = (ObjectState::default(), Instant::now());
        for seconds in [15, 30] {
            let pause = state.problem_backoff(&problem("SecretNotFound"), now, 0.5);
            assert_eq!(pause.as_secs(), seconds);
            now += pause;
        }
        assert_eq!(state.problem_backoff(&problem("NameTaken"), now, 0.5).as_secs(), 15);
    }

    #[test]
    fn reconciles_that_come_early_neither_shorten_nor_lengthen_a_pause() {
        let (mut state, start) = (ObjectState::default(), Instant::now());
        for second in 0..15 {
            let now = start + Duration::from_secs(second);
            state.begin(Some(1));
            assert_eq!(state.problem_backoff(&problem("ApplyFailed"), now, 0.5).as_secs(), 15 - second);
            assert!(state.lasting_problem(now).is_some());
        }
        let now = start + Duration::from_secs(15);
        assert!(state.lasting_problem(now).is_none());
        assert_eq!(state.problem_backoff(&problem("ApplyFailed"), now, 0.5).as_secs(), 30);
        state.begin(Some(2));
        assert!(state.lasting_problem(now).is_none(), "an edit may be the cure");
    }

    #[test]
    fn a_failed_reconcile_waits_unless_the_object_is_edited() {
        let (object_states, now) = (ObjectStates::default(), Instant::now());
        let mut state = ObjectState::default();
        state.begin(Some(1));
        object_states.store(&key(), state);
        object_states.failed(&key(), now, 0.5);
        let state = object_states.load(&key(), "").unwrap();
        assert_eq!(state.pause(Some(1), now), Some(Duration::from_secs(1)));
        assert_eq!((state.pause(Some(2), now), state.pause(Some(1), now + Duration::from_secs(1))), (None, None));
        assert_eq!(object_states.in_backoff(), HashSet::from([key()]));
    }

    #[test]
    fn a_new_object_of_an_old_name_starts_with_empty_state() {
        let object_states = ObjectStates::default();
        object_states.store(&key(), ObjectState { uid: "uid-1".into(), ..ObjectState::default() });
        assert!(object_states.load(&key(), "uid-1").is_some());
        assert!(object_states.load(&key(), "uid-2").is_none());
    }
}
