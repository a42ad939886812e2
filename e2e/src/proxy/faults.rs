//! What a test holds of the rules it has set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::ProxyError;
use super::rules::{Effect, Fate, Rule};
use super::shared::Shared;

/// A rule, which stays in force when this is dropped.
pub struct Fault {
    shared: Arc<Shared>,
    what: String,
    id: u64,
    happened: Arc<AtomicU64>,
}

impl Fault {
    pub(super) fn set(shared: &Arc<Shared>, rule: Rule) -> Self {
        let what = format!("{:?} {:?} that met the rule", rule.api, rule.direction);
        let (id, happened) = shared.set(rule);
        Self { shared: Arc::clone(shared), what, id, happened }
    }

    /// To how many messages it has happened.
    pub fn happened(&self) -> u64 {
        self.happened.load(Ordering::Relaxed)
    }

    /// Waits until it has happened to `count` messages.
    pub fn wait_for(&self, count: u64, patience: Duration) -> Result<(), ProxyError> {
        self.shared.wait(&self.what, count, patience, |_| self.happened())
    }

    /// Ends the rule; what it has done stays done.
    pub fn lift(self) {
        self.shared.lift(self.id);
    }
}

/// Messages that are kept on their way. Dropping this releases them.
#[must_use = "dropping it releases the messages"]
pub struct Held {
    fault: Fault,
    fate: watch::Sender<Fate>,
}

impl Held {
    pub(super) fn set(shared: &Arc<Shared>, rule: impl FnOnce(Effect) -> Rule) -> Self {
        let (fate, held) = watch::channel(Fate::Undecided);
        Self { fault: Fault::set(shared, rule(Effect::Hold(held))), fate }
    }

    /// How many there are. On one connection others wait behind the first, uncounted.
    pub fn count(&self) -> u64 {
        self.fault.happened()
    }

    /// Waits until there are `count`.
    pub fn wait_for(&self, count: u64, patience: Duration) -> Result<(), ProxyError> {
        self.fault.wait_for(count, patience)
    }

    /// Sends them on, and holds no more. A request arrives even if its sender has closed the connection since.
    pub fn release(self) {
        self.end(Fate::Released);
    }

    /// Lets them vanish, and holds no more.
    pub fn discard(self) {
        self.end(Fate::Dropped);
    }

    /// First the fate: a message that still meets the rule shares it.
    fn end(&self, fate: Fate) {
        self.fate.send_replace(fate);
        self.fault.shared.lift(self.fault.id);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if *self.fate.borrow() == Fate::Undecided {
            self.end(Fate::Released);
        }
    }
}
