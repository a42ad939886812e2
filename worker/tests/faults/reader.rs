//! A reader of balances that believes nothing: every answer is compared with the oracle, customer by customer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use balancefleet_e2e::oracle::Offsets;
use balancefleet_e2e::stream::Draws;
use balancefleet_e2e::verify::{AnswerError, Balances, Http, compare};
use parking_lot::Mutex;

use crate::fold::Fold;
use crate::harness::Stream;

/// How often the fleet is asked.
const PAUSE: Duration = Duration::from_millis(150);

/// What the reader has seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Answers, each complete and right.
    pub(crate) answers: u64,
    /// Balances in them.
    pub(crate) customers: u64,
    /// 503: no complete answer now.
    pub(crate) refusals: u64,
    /// Nobody there, or gone in the middle of an answer.
    pub(crate) silences: u64,
    /// Of a wrong answer: customers that are not as they must be, and transactions too few and too many.
    pub(crate) differing: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// The records below were in the last answer.
    pub(crate) as_of: Offsets,
    /// What must never be seen, the first of it.
    pub(crate) wrong: Option<String>,
}

/// Asks one question after the other, so that answers are in order.
struct Asking {
    fold: Fold,
    clients: BTreeMap<u16, Http>,
    seen: Seen,
    /// Readers see what is committed, so no later answer may know less. (The replay store shows what is applied.)
    is_committed: bool,
}

/// A thread that asks a worker chosen by chance, again and again.
pub(crate) struct Reader {
    asking: Arc<Mutex<Asking>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub(crate) fn start(stream: &Stream, ports: Vec<u16>, is_committed: bool) -> Self {
        let fold = Fold::new(&stream.bootstrap, &stream.topic);
        let asking = Asking { fold, clients: BTreeMap::new(), seen: Seen::default(), is_committed };
        let (asking, stop) = (Arc::new(Mutex::new(asking)), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (asking.clone(), stop.clone());
        let thread = spawn(move || {
            let mut draws = Draws::new(1, 1, 1);
            while !stopped.load(Ordering::Relaxed) {
                // What there is to say about an answer is in `seen`.
                let _ = shared.lock().ask(*draws.one_of(&ports));
                sleep(PAUSE);
            }
        });
        Self { asking, stop, thread: Some(thread) }
    }

    /// One more question, to this worker; what its answer is true for, once it was found right.
    pub(crate) fn ask(&self, port: u16) -> Result<Offsets, String> {
        self.asking.lock().ask(port)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.asking.lock().seen.clone()
    }

    /// Asks no more; gives what the last answer was compared with.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// What it has folded, up to the last answer.
    pub(crate) fn with_fold<T>(&self, look: impl FnOnce(&mut Fold) -> T) -> T {
        look(&mut self.asking.lock().fold)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Asking {
    fn ask(&mut self, port: u16) -> Result<Offsets, String> {
        if let Some(wrong) = &self.seen.wrong {
            return Err(wrong.clone());
        }
        let client =
            self.clients.entry(port).or_insert_with(|| Http::new(&format!("http://127.0.0.1:{port}")).unwrap());
        match client.balances() {
            Ok(answer) => {
                if let Some(wrong) = self.find_wrong(&answer) {
                    self.seen.wrong = Some(format!("the worker at {port} answers: {wrong}"));
                    return self.ask(port);
                }
                self.seen.answers += 1;
                self.seen.customers += answer.rows.len() as u64;
                self.seen.as_of.clone_from(&answer.as_of);
                Ok(answer.as_of)
            }
            Err(error @ AnswerError::Http(_)) => {
                self.seen.silences += 1;
                Err(error.to_string())
            }
            Err(error @ AnswerError::Status { status: 503, .. }) => {
                self.seen.refusals += 1;
                Err(error.to_string())
            }
            Err(error) => {
                self.seen.wrong = Some(format!("the worker at {port} answers: {error}"));
                Err(error.to_string())
            }
        }
    }

    fn find_wrong(&mut self, answer: &Balances) -> Option<String> {
        if !self.fold.is_ahead(&answer.as_of) {
            if self.is_committed {
                return Some(format!("as of {:?}, after an answer as of {:?}", answer.as_of, self.fold.at()));
            }
            self.fold.restart();
        }
        self.fold.advance(&answer.as_of);
        let wrong = compare(&self.fold.ledger, answer);
        let few: Vec<_> = wrong.iter().take(3).map(ToString::to_string).collect();
        let count = wrong.len();
        if count > 0 {
            self.count_differences(answer);
        }
        (count > 0).then(|| format!("as of {:?}, {count} differences: {}", answer.as_of, few.join("; ")))
    }
    fn count_differences(&mut self, answer: &Balances) {
        let names: BTreeSet<_> = compare(&self.fold.ledger, answer).into_iter().map(|it| it.customer_id).collect();
        self.seen.differing = names.len() as u64;
        for name in &names {
            let expected = self.fold.ledger.accounts.get(name).map_or(0, |account| account.count);
            let answered = answer.rows.iter().find(|row| row.customer_id == *name).map_or(0, |row| row.count);
            self.seen.lost += expected.saturating_sub(answered);
            self.seen.doubled += answered.saturating_sub(expected);
        }
    }
}
