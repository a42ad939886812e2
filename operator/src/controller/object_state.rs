//! What is remembered of an object between two passes. Losing it (a restart) costs a repeated step, never a wrong one.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::assignor::NoPod;
use crate::poller::GroupKey;

/// First and longest pause after a failed call.
const FAILURE_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// First and longest pause while something outside the object has to be cured.
const PROBLEM_PAUSE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// One object's memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Distinguishes an object from a later one of the same name.
    pub(super) uid: String,
    /// Failed passes in a row.
    pub(super) failures: u32,
    /// The problem that is waited out, and how often it was met in a row.
    pub(super) problem: Option<(&'static str, u32)>,
    /// When the pods were last ranked, and for which number of workers.
    pub(super) ranked: Option<(i32, Instant)>,
    /// Since when no pod is left.
    pub(super) no_pod: NoPod,
    /// When the replicas were restored after somebody else wrote them.
    pub(super) restores: Vec<Instant>,
    /// When the status was last written.
    pub(super) status_written: Option<Instant>,
    /// The slot that a status write waits for, see [`super::rate_limiter`].
    pub(super) status_slot: Option<Instant>,
    /// When the learned figures of the status last changed.
    pub(super) learned_written: Option<Instant>,
}

/// All objects' memories.
#[derive(Default)]
pub(super) struct Memories {
    memories: Mutex<HashMap<GroupKey, Memory>>,
}

impl Memories {
    /// A copy of what is known; empty for an object not met before. No two passes over one object run at once.
    pub(super) fn recall(&self, key: &GroupKey, uid: &str) -> Memory {
        match self.memories.lock().get(key) {
            Some(memory) if memory.uid == uid => memory.clone(),
            _ => Memory { uid: uid.to_owned(), ..Memory::default() },
        }
    }

    /// Keeps what a pass learned.
    pub(super) fn keep(&self, key: &GroupKey, memory: Memory) {
        self.memories.lock().insert(key.clone(), memory);
    }

    /// Counts a failed pass and gives the pause before the next; `random` is in [0, 1).
    pub(super) fn failed(&self, key: &GroupKey, random: f64) -> Duration {
        let mut memories = self.memories.lock();
        let memory = memories.entry(key.clone()).or_default();
        memory.failures = memory.failures.saturating_add(1);
        pause(FAILURE_PAUSE, memory.failures, random)
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&self, key: &GroupKey) {
        self.memories.lock().remove(key);
    }

    /// Every object of which something is remembered.
    pub(super) fn keys(&self) -> Vec<GroupKey> {
        self.memories.lock().keys().cloned().collect()
    }

    /// How many objects wait after a failure or for a cure.
    pub(super) fn in_backoff(&self) -> usize {
        self.memories.lock().values().filter(|memory| memory.failures > 0 || memory.problem.is_some()).count()
    }
}

impl Memory {
    /// Counts a pass that ended at a problem and gives the pause before the next; `random` is in [0, 1).
    pub(super) fn met(&mut self, reason: &'static str, random: f64) -> Duration {
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
        let memories = Memories::default();
        let pauses: Vec<u64> = (0..12).map(|_| memories.failed(&key(), 0.5).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        let mut memory = Memory::default();
        let waits: Vec<u64> = (0..7).map(|_| memory.met("SecretNotFound", 0.5).as_secs()).collect();
        assert_eq!(waits, [15, 30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn another_problem_begins_with_the_shortest_pause() {
        let mut memory = Memory::default();
        memory.met("SecretNotFound", 0.5);
        memory.met("SecretNotFound", 0.5);
        assert_eq!(memory.met("NameTaken", 0.5).as_secs(), 15);
    }

    #[test]
    fn pauses_spread_by_a_fifth_to_either_side() {
        let memories = Memories::default();
        assert_eq!(memories.failed(&key(), 0.0), Duration::from_millis(800));
        memories.forget(&key());
        assert!(memories.failed(&key(), 1.0) <= Duration::from_millis(1_200));
    }

    #[test]
    fn a_new_object_of_an_old_name_starts_without_memory() {
        let memories = Memories::default();
        let memory = Memory { ranked: Some((3, Instant::now())), ..memories.recall(&key(), "uid-1") };
        memories.keep(&key(), memory);
        assert!(memories.recall(&key(), "uid-1").ranked.is_some());
        assert!(memories.recall(&key(), "uid-2").ranked.is_none());
    }
}
