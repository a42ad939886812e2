//! One Kafka cluster: its groups, the task that polls them, and when. Clusters share nothing, so that one that does not
//! answer stops nobody else's groups.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_autoscaler::POLL_INTERVAL;
use balancefleet_kafka::{Admin, Connection, Error, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::group::{Group, Moment, Next};
use super::read::{Read, Wanted, read};
use super::wake::Waker;
use super::{GroupKey, Snapshot, Watch};

/// Groups due within this time of each other are polled together.
const TOGETHER: Duration = Duration::from_millis(50);

/// After a refused login: an account is locked by many attempts, and only a person can cure it.
const FIRST_BACKOFF: Duration = Duration::from_secs(15);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// The name brokers see.
const CLIENT_ID: &str = "balancefleet-operator";

/// One Kafka cluster and its groups; its task ends when it is dropped.
pub(super) struct Cluster {
    desk: Arc<Desk>,
    _task: DropGuard,
}

/// What the book and the task share.
struct Desk {
    epoch: Instant,
    groups: Mutex<HashMap<GroupKey, Entry>>,
    arrived: Notify,
    waker: Waker,
}

struct Entry {
    group: Group,
    due: Instant,
}

impl Cluster {
    /// Starts the task; needs a tokio runtime.
    pub(super) fn start(connection: Connection, waker: Waker) -> Self {
        let desk = Arc::new(Desk { epoch: Instant::now(), groups: Mutex::default(), arrived: Notify::new(), waker });
        let stop = CancellationToken::new();
        tokio::spawn(run(connection, Arc::clone(&desk), stop.clone()));
        Self { desk, _task: stop.drop_guard() }
    }

    pub(super) fn put(&self, key: GroupKey, watch: Watch) {
        let mut groups = self.desk.groups.lock();
        match groups.get_mut(&key) {
            Some(entry) if entry.group.is_about(&watch) => entry.group.watch = watch,
            _ => {
                groups.insert(key, Entry { group: Group::new(watch), due: Instant::now() });
                self.desk.arrived.notify_one();
            }
        }
    }

    /// Whether that was the last one.
    pub(super) fn take(&self, key: &GroupKey) -> bool {
        let mut groups = self.desk.groups.lock();
        groups.remove(key);
        groups.is_empty()
    }

    pub(super) fn snapshot(&self, key: &GroupKey) -> Option<Arc<Snapshot>> {
        self.desk.groups.lock().get(key)?.group.snapshot.clone()
    }
}

/// The task's own state.
struct Poller {
    connection: Connection,
    client: Option<Admin>,
    /// The next poll of all groups.
    regular: Instant,
    refused: Option<Refusal>,
}

/// Why, and until when, the cluster is left alone.
struct Refusal {
    error: Error,
    backoff: Duration,
    until: Instant,
}

async fn run(connection: Connection, desk: Arc<Desk>, stop: CancellationToken) {
    let mut poller = Poller { connection, client: None, regular: Instant::now(), refused: None };
    while stop.run_until_cancelled(desk.wait()).await.is_some() {
        poller.poll(&desk).await;
    }
    // Ending a client waits for its threads, which must not be a thread of ours that others need.
    tokio::task::spawn_blocking(move || drop(poller.client));
}

impl Desk {
    /// Returns when a group is due.
    async fn wait(&self) {
        loop {
            let next = self.groups.lock().values().map(|entry| entry.due).min();
            let due = async {
                match next {
                    Some(due) => tokio::time::sleep_until((due + TOGETHER).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = self.arrived.notified() => {}
            }
        }
    }

    fn due(&self, now: Instant) -> Vec<(GroupKey, Wanted)> {
        let groups = self.groups.lock();
        let due = groups.iter().filter(|(_, entry)| entry.due <= now + TOGETHER);
        due.map(|(key, entry)| (key.clone(), entry.group.wanted())).collect()
    }

    /// Gives every polled group its part of the answer. Groups that were forgotten or are about something else by now
    /// get nothing.
    fn hand_out(&self, polled: &[(GroupKey, Wanted)], outcome: &Result<Read, Error>, regular: Instant) {
        let at = outcome.as_ref().map_or_else(|_| Instant::now(), |read| read.at);
        let moment = Moment { instant: at, elapsed: at.saturating_duration_since(self.epoch) };
        for (key, wanted) in polled {
            let mut groups = self.groups.lock();
            let Some(entry) = groups.get_mut(key).filter(|entry| entry.group.wanted() == *wanted) else { continue };
            let part = match outcome {
                Err(error) => Err(error),
                Ok(read) => match read.groups.get(wanted) {
                    Some(seen) => seen.as_ref(),
                    None => continue,
                },
            };
            let Next { wake, again } = entry.group.take(part, moment);
            entry.due = again.map_or(regular, |again| regular.min(Instant::now() + again));
            drop(groups);
            if wake {
                self.waker.wake(key);
            }
        }
    }
}

impl Poller {
    async fn poll(&mut self, desk: &Desk) {
        let now = Instant::now();
        let polled = desk.due(now);
        if let Some(refusal) = self.refused.as_ref().filter(|refusal| now < refusal.until) {
            // A group that came meanwhile learns why nothing is read without another attempt.
            desk.hand_out(&polled, &Err(refusal.error.clone()), refusal.until);
            return;
        }
        if now + TOGETHER >= self.regular {
            self.regular = now + POLL_INTERVAL.mul_f64(rand::random_range(0.9..1.1));
        }
        let wanted: Vec<Wanted> = polled.iter().map(|(_, wanted)| wanted.clone()).collect();
        let outcome = self.read(wanted).await;
        match outcome.as_ref().err().filter(|error| is_refusal(error.kind())) {
            Some(error) => {
                // The client would go on trying to log in by itself.
                if let Some(client) = self.client.take() {
                    tokio::task::spawn_blocking(move || drop(client));
                }
                let next = self.refused.take().map_or(FIRST_BACKOFF, |refusal| refusal.backoff * 2);
                let backoff = next.min(LONGEST_BACKOFF);
                let until = Instant::now() + backoff.mul_f64(rand::random_range(0.9..1.1));
                self.refused = Some(Refusal { error: error.clone(), backoff, until });
                desk.hand_out(&polled, &outcome, until);
            }
            None => {
                self.refused = None;
                desk.hand_out(&polled, &outcome, self.regular);
            }
        }
    }

    /// Reads on a thread that may block; connects first if there is no client.
    async fn read(&mut self, wanted: Vec<Wanted>) -> Result<Read, Error> {
        let (connection, client) = (self.connection.clone(), self.client.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let client = client.map_or_else(|| Admin::connect(&connection, CLIENT_ID), Ok)?;
            Ok((read(&client, &wanted), client))
        });
        let broken =
            |error| Err(Error::Other { what: String::from("a poll"), detail: format!("it broke off: {error}") });
        let (outcome, client) = reading.await.unwrap_or_else(broken)?;
        self.client = Some(client);
        outcome
    }
}

/// Errors that no retry cures soon and that repeated attempts may make worse.
const fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Authentication | ErrorKind::Tls | ErrorKind::Invalid)
}
