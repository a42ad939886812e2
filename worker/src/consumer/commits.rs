//! When to commit, and the thread that does it.
//!
//! At most one commit is under way, so that outcomes arrive in order. The thread blocks for the coordinator's answer;
//! the poll thread goes on, and only a revoke waits for it.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::report::{Committed, Report};
use crate::{
    store::{Progress, Store},
    vital_thread,
};

/// While there is progress, the committed offsets (and with them the lag everybody sees) are at most this old.
const INTERVAL: Duration = Duration::from_millis(250);

/// The poll thread's end of the commit thread.
pub(crate) struct Commits {
    requests: mpsc::Sender<(Vec<Progress>, Instant)>,
    is_running: bool,
    last_sent: Option<Instant>,
    /// Also without progress, a commit proves every so often that this worker is still a member.
    proof_every: Duration,
}

impl Commits {
    /// Starts the thread.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        reports: mpsc::Sender<Report>,
        session_timeout: Duration,
    ) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<(Vec<Progress>, Instant)>();
        vital_thread::start("commit", move || {
            for (progress, sent) in inbox {
                let outcome = store.commit(&progress);
                if reports.send(Report::Committed(Committed { progress, outcome, sent })).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { requests, is_running: false, last_sent: None, proof_every: session_timeout / 3 })
    }

    /// Whether an outcome is awaited.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    /// Whether progress should be committed at `now`.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        !self.is_running && self.is_older_than(INTERVAL, now)
    }

    /// Whether a commit is wanted at `now` even if nothing has changed.
    pub(crate) fn is_proof_due(&self, now: Instant) -> bool {
        !self.is_running && self.is_older_than(self.proof_every, now)
    }

    fn is_older_than(&self, age: Duration, now: Instant) -> bool {
        self.last_sent.is_none_or(|sent| now.saturating_duration_since(sent) >= age)
    }

    /// Hands progress to the thread.
    pub(crate) fn send(&mut self, progress: Vec<Progress>) {
        let sent = Instant::now();
        self.last_sent = Some(sent);
        // The thread ends only with the process.
        self.is_running = self.requests.send((progress, sent)).is_ok();
    }

    /// The outcome of the running commit has arrived.
    pub(crate) fn ended(&mut self) {
        self.is_running = false;
    }

    /// Progress that must not wait for its turn: the start of a partition that has just arrived.
    pub(crate) fn hurry(&mut self) {
        self.last_sent = None;
    }
}
