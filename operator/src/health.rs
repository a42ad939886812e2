//! Whether the operator is alive and ready. It is ready when its caches are filled. It is alive while every loop beats.
//! The controller's loop beats when a reconcile ends or its liveness canary comes through: the key of an object that
//! cannot exist, sent through the queue of reconciles every ten seconds (see `controller/run.rs`).
//!
//! Both depend on this process alone: an unreachable API server must not restart the operator.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// A loop without a beat for this long is stuck. It beats every ten seconds, but a beat may have to wait for a
/// reconcile that runs into its time limit of a minute.
pub const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Shared between the loop that beats and the HTTP server that answers probes.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

/// Keyed by loop: with several watched namespaces each has its own, and one healthy loop must not hide another.
#[derive(Default)]
struct State {
    beats: BTreeMap<String, Instant>,
    /// What each loop waits for; `None` once it runs.
    waits: BTreeMap<String, Option<String>>,
}

impl Health {
    /// Records that the named loop is alive now.
    pub fn beat(&self, name: &str, now: Instant) {
        self.state.lock().beats.insert(name.to_owned(), now);
    }

    /// Records that the named loop ended as it should (at shutdown).
    pub fn retire(&self, name: &str) {
        self.state.lock().beats.remove(name);
    }

    /// Records that the named loop's caches are filled and its reconciles run.
    pub fn set_ready(&self, name: &str) {
        self.state.lock().waits.insert(name.to_owned(), None);
    }

    /// Records that the named loop does not run yet, and why; shown by /readyz.
    pub fn set_waiting(&self, name: &str, reason: impl Into<String>) {
        self.state.lock().waits.insert(name.to_owned(), Some(reason.into()));
    }

    /// # Errors
    /// The name of a loop without a beat for [`STUCK_AFTER`].
    pub fn live(&self, now: Instant) -> Result<(), String> {
        let state = self.state.lock();
        match state.beats.iter().find(|(_, beat)| now.saturating_duration_since(**beat) > STUCK_AFTER) {
            Some((name, _)) => Err(format!("the loop of {name} is stuck")),
            None => Ok(()),
        }
    }

    /// # Errors
    /// What the first loop that does not run yet waits for.
    pub fn ready(&self) -> Result<(), String> {
        let state = self.state.lock();
        let waits_for = || state.waits.iter().find_map(|(name, reason)| Some((name, reason.as_ref()?)));
        match waits_for() {
            Some((name, reason)) => Err(format!("{name}: {reason}")),
            None if state.waits.is_empty() => Err("starting".to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stuck_loop_is_not_hidden_by_the_others() {
        let (health, start) = (Health::default(), Instant::now());
        health.beat("a", start);
        health.beat("b", start);
        let later = start + STUCK_AFTER + Duration::from_secs(1);
        health.beat("a", later);
        assert_eq!(health.live(later).unwrap_err(), "the loop of b is stuck");
        health.retire("b");
        assert!(health.live(later).is_ok());
    }

    #[test]
    fn waiting_is_not_ready_but_alive() {
        let health = Health::default();
        assert_eq!(health.ready().unwrap_err(), "starting");
        health.set_waiting("a", "the custom resource definition");
        assert_eq!(health.ready().unwrap_err(), "a: the custom resource definition");
        assert!(health.live(Instant::now()).is_ok());
        health.set_ready("a");
        assert!(health.ready().is_ok());
    }

    #[test]
    fn it_is_ready_when_the_last_loop_is() {
        let health = Health::default();
        health.set_waiting("a", "starting");
        health.set_waiting("b", "may not list");
        health.set_ready("a");
        assert_eq!(health.ready().unwrap_err(), "b: may not list");
        health.set_ready("b");
        assert!(health.ready().is_ok());
    }
}
