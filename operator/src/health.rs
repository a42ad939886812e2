//! Whether the operator is alive (its loop turns) and ready (its caches are filled).
//! Both are facts of this process alone: an API server that is away must not restart the operator.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// A loop that has not turned for this long is stuck. It beats every ten seconds, but a beat has to wait while every
/// slot is taken by a pass that runs into its time limit of a minute.
pub const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Shared between the loop that beats and the HTTP server that answers probes.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    // Keyed by loop: with several watched namespaces each has its own, and one healthy loop must not hide another.
    beats: std::collections::BTreeMap<String, Instant>,
    waiting_for: Option<String>,
    ready: bool,
}

impl Health {
    /// The named loop has just turned.
    pub fn beat(&self, name: &str, now: Instant) {
        self.state.lock().beats.insert(name.to_owned(), now);
    }

    /// The named loop ended as it should (at shutdown).
    pub fn retire(&self, name: &str) {
        self.state.lock().beats.remove(name);
    }

    /// Caches are filled: passes run.
    pub fn set_ready(&self) {
        let mut state = self.state.lock();
        state.ready = true;
        state.waiting_for = None;
    }

    /// Not ready, and why; shown by /readyz.
    pub fn set_waiting(&self, reason: impl Into<String>) {
        let mut state = self.state.lock();
        state.ready = false;
        state.waiting_for = Some(reason.into());
    }

    /// # Errors
    /// The name of a loop that has not turned for [`STUCK_AFTER`].
    pub fn live(&self, now: Instant) -> Result<(), String> {
        let state = self.state.lock();
        match state.beats.iter().find(|(_, beat)| now.saturating_duration_since(**beat) > STUCK_AFTER) {
            Some((name, _)) => Err(format!("the loop of {name} is stuck")),
            None => Ok(()),
        }
    }

    /// # Errors
    /// What is waited for.
    pub fn ready(&self) -> Result<(), String> {
        let state = self.state.lock();
        if state.ready { Ok(()) } else { Err(state.waiting_for.clone().unwrap_or_else(|| "starting".to_owned())) }
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
        health.set_waiting("the custom resource definition");
        assert_eq!(health.ready().unwrap_err(), "the custom resource definition");
        assert!(health.live(Instant::now()).is_ok());
        health.set_ready();
        assert!(health.ready().is_ok());
    }
}
