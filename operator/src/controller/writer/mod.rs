//! The one writer: every request that changes something at the API server is sent from here. A reconcile hands its
//! writes over and waits only for the answers to writes of children. The [`Queue`] (pure) says which write is sent
//! when.

mod queue;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use self::queue::{ChildWrite, Class, Next, Queue};
use crate::{
    clock,
    error::{Error, Result, call},
    health::Health,
    metrics::Metrics,
    panic::catch_panic,
    poller::ObjectKey,
};

pub(in crate::controller) use queue::Urgency;

/// The name of its loop in the answer of the liveness probe.
const NAME: &str = "the writer";
/// The loop beats at least this often, also with nothing to send.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// A write, to be sent once.
pub(super) type Job = BoxFuture<'static, WriteOutcome>;

/// What became of a write.
pub(super) enum WriteOutcome {
    /// The API server accepted it.
    Written,
    /// It was not sent, because it was no longer needed.
    Skipped,
    /// The API server did not accept it, or did not answer.
    Failed {
        /// Why, see [`Error::category`].
        category: &'static str,
        /// For a status: what to send after a pause.
        again: Option<Job>,
    },
}

/// Takes writes and sends them. Cloning shares.
#[derive(Clone)]
pub(super) struct Writer {
    queue: Arc<Mutex<Queue<Job>>>,
    changed: Arc<Notify>,
    metrics: Metrics,
}

impl Writer {
    /// A writer that sends nothing until it [runs](Self::run).
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { queue: Arc::default(), changed: Arc::default(), metrics }
    }

    /// Writes a child and waits for the answer. `action` names the write: while it waits, a later write of the same
    /// name replaces it, unless it `creates` the child.
    ///
    /// # Errors
    /// The API server refused the write or did not answer, or the write was not sent.
    pub(super) async fn write_child<T: Send + 'static>(
        &self,
        key: &ObjectKey,
        action: String,
        creates: bool,
        request: impl Future<Output = Result<T, kube::Error>> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let name = action.clone();
        let job = async move {
            if answer.is_closed() {
                // The reconcile that wanted it was cancelled; the next one computes its own writes.
                return WriteOutcome::Skipped;
            }
            let result = call(name, request).await;
            let sent = match &result {
                Ok(_) => WriteOutcome::Written,
                Err(error) => WriteOutcome::Failed { category: error.category(), again: None },
            };
            // Fails if nobody waits any more; the write was sent all the same.
            let _ = answer.send(result);
            sent
        };
        let write = ChildWrite { name: action.clone(), creates };
        let replaced = self.queue.lock().push_child_write(key, write, job.boxed(), clock::now());
        self.handed_over(Class::ChildWrite, replaced.is_some(), "superseded");
        answered.await.unwrap_or(Err(Error::NotSent { action }))
    }

    /// Publishes an event.
    pub(super) fn event(&self, key: &ObjectKey, job: Job) {
        let dropped = self.queue.lock().push_event(key, job, clock::now());
        self.handed_over(Class::Event, dropped.is_some(), "dropped");
    }

    /// Writes a status; `None` drops the one that waits, because the written status is right.
    pub(super) fn set_status(&self, key: &ObjectKey, status: Option<(Urgency, Job)>) {
        let replaced = self.queue.lock().set_status(key, status, clock::now());
        self.handed_over(Class::Status, replaced.is_some(), "superseded");
    }

    /// Sets the number of objects, and with it the pace of statuses.
    pub(super) fn set_objects(&self, objects: usize) {
        self.queue.lock().set_objects(objects);
    }

    /// Drops the waiting writes of an object that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.queue.lock().forget(key);
    }

    /// Every object that something is kept about.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.queue.lock().keys().cloned().collect()
    }

    /// The objects whose status waits because it could not be written.
    pub(super) fn in_backoff(&self) -> HashSet<ObjectKey> {
        self.queue.lock().in_backoff()
    }

    fn handed_over(&self, class: Class, lost_one: bool, outcome: &'static str) {
        if lost_one {
            self.metrics.write_outcome(class.as_str(), outcome);
        }
        self.changed.notify_one();
    }

    /// Sends until `stop` is cancelled and no write of a child and no event waits any more.
    pub(super) async fn run(self, health: Health, stop: CancellationToken) {
        let mut in_flight = FuturesUnordered::new();
        loop {
            let now = clock::now();
            health.beat(NAME, now);
            let next = self.queue.lock().next(now);
            let due = match next {
                Next::Send(key, class, job) => {
                    in_flight.push(catch_panic(job).map(move |sent| (key, class, sent)));
                    continue;
                }
                Next::Wait(due) => due.map_or(now + BEAT_EVERY, |due| due.min(now + BEAT_EVERY)),
            };
            if stop.is_cancelled() && self.queue.lock().is_drained() {
                health.retire(NAME);
                return;
            }
            tokio::select! {
                Some((key, class, sent)) = in_flight.next() => self.ended(&key, class, sent),
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(due.into()) => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
    }

    fn ended(&self, key: &ObjectKey, class: Class, sent: Result<WriteOutcome, String>) {
        let (outcome, failed) = match sent {
            Ok(WriteOutcome::Written) => ("success", None),
            Ok(WriteOutcome::Skipped) => ("dropped", Some(None)),
            Ok(WriteOutcome::Failed { category, again }) => (category, Some(again)),
            Err(detail) => {
                tracing::error!(object = %key, detail, "a write panicked: this is a bug of the operator");
                ("panicked", Some(None))
            }
        };
        self.metrics.write_outcome(class.as_str(), outcome);
        let (mut queue, now) = (self.queue.lock(), clock::now());
        match failed {
            None => queue.answered(key, class, now),
            Some(again) => queue.failed(key, class, again, now, rand::random()),
        }
    }
}
