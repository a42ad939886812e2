//! What the test, the listeners and the connections know of each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::rules::{Direction, Effect, Rule, Rules};
use super::{Api, ProxyError};

/// Counts and rules, which every message passes by.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something was counted.
    changed: Condvar,
    black_hole: watch::Sender<bool>,
}

#[derive(Default)]
pub(super) struct State {
    seen: BTreeMap<(Api, Direction), u64>,
    redirected: BTreeMap<Api, u64>,
    connections: BTreeMap<u16, u64>,
    rules: Rules,
    /// Cancelled to cut all connections, and replaced for those to come.
    life: CancellationToken,
    trouble: Option<String>,
}

impl State {
    pub(super) fn seen(&self, api: Api, direction: Direction) -> u64 {
        self.seen.get(&(api, direction)).copied().unwrap_or(0)
    }

    pub(super) fn redirected(&self, api: Api) -> u64 {
        self.redirected.get(&api).copied().unwrap_or(0)
    }

    pub(super) fn apis(&self) -> Vec<Api> {
        self.seen.keys().filter(|(_, direction)| *direction == Direction::Request).map(|(api, _)| *api).collect()
    }

    pub(super) fn connections(&self) -> &BTreeMap<u16, u64> {
        &self.connections
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

impl Shared {
    /// Counts a message; what happens to it.
    pub(super) fn meet(&self, api: Api, direction: Direction) -> Option<Effect> {
        let mut state = self.state.lock();
        *state.seen.entry((api, direction)).or_default() += 1;
        let effect = state.rules.apply(api, direction);
        self.changed.notify_all();
        effect
    }

    /// Counts addresses in a response.
    pub(super) fn redirected(&self, api: Api, addresses: u64) {
        if addresses > 0 {
            *self.state.lock().redirected.entry(api).or_default() += addresses;
        }
    }

    /// Counts a connection to the broker of this port; ends when all are cut.
    pub(super) fn connected(&self, broker: u16) -> CancellationToken {
        let mut state = self.state.lock();
        *state.connections.entry(broker).or_default() += 1;
        self.changed.notify_all();
        state.life.child_token()
    }

    pub(super) fn cut(&self) {
        std::mem::take(&mut self.state.lock().life).cancel();
    }

    pub(super) fn set(&self, rule: Rule) -> (u64, Arc<AtomicU64>) {
        self.state.lock().rules.set(rule)
    }

    pub(super) fn lift(&self, rule: u64) {
        self.state.lock().rules.lift(rule);
    }

    pub(super) fn set_black_hole(&self, on: bool) {
        self.black_hole.send_replace(on);
    }

    /// Returns when messages may pass.
    pub(super) async fn passable(&self) {
        // It fails only without a sender, which lives as long as this.
        let _ = self.black_hole.subscribe().wait_for(|on| !on).await;
    }

    /// Keeps what must never happen, the first of its kind, for whoever wonders why nothing goes on.
    pub(super) fn complain(&self, error: &ProxyError) {
        self.state.lock().trouble.get_or_insert_with(|| error.to_string());
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.lock())
    }

    /// Waits until `count` is at least `wanted`; an error says what it was.
    pub(super) fn wait(
        &self,
        what: &str,
        wanted: u64,
        patience: Duration,
        count: impl Fn(&State) -> u64,
    ) -> Result<(), ProxyError> {
        let deadline = Instant::now() + patience;
        let mut state = self.state.lock();
        let mut is_late = false;
        loop {
            let seen = count(&state);
            if seen >= wanted {
                return Ok(());
            }
            if is_late {
                let trouble = state.trouble().map(|trouble| format!("; {trouble}")).unwrap_or_default();
                return Err(ProxyError::NotInTime { what: what.to_owned(), wanted, seen, patience, trouble });
            }
            is_late = self.changed.wait_until(&mut state, deadline).timed_out();
        }
    }
}
