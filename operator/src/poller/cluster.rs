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

use super::fetch::{Read, Seen, Wanted, read};
use super::group::{Group, Moment, Next};
use super::triggers::Waker;
use super::{GroupKey, Snapshot, Watch};
use crate::panic::{contained, contained_now};

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

/// What the book and the task share. The lock is held for look-ups only: nobody waits while a group decides.
struct Desk {
    epoch: Instant,
    groups: Mutex<HashMap<GroupKey, Entry>>,
    arrived: Notify,
    waker: Waker,
}

struct Entry {
    watch: Watch,
    /// Locked by the poller alone, while the group takes over a poll.
    group: Arc<Mutex<Group>>,
    snapshot: Option<Arc<Snapshot>>,
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
            Some(entry) if entry.watch.is_about_the_same(&watch) => entry.watch = watch,
            _ => {
                let group = Arc::new(Mutex::new(Group::new(watch.clone())));
                groups.insert(key, Entry { watch, group, snapshot: None, due: Instant::now() });
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
        self.desk.groups.lock().get(key)?.snapshot.clone()
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
        if let Err(detail) = contained(poller.poll(&desk)).await {
            tracing::error!(detail, "a poll broke off: this is a fault of the operator");
            poller.give_up(&desk, detail).await;
        }
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
        due.map(|(key, entry)| (key.clone(), wanted(&entry.watch))).collect()
    }

    /// Gives every polled group its part of the answer.
    fn hand_out(&self, polled: &[(GroupKey, Wanted)], outcome: &Result<Read, Error>, regular: Instant) {
        let at = outcome.as_ref().map_or_else(|_| Instant::now(), |read| read.at);
        let moment = Moment { instant: at, elapsed: at.saturating_duration_since(self.epoch) };
        for (key, wanted) in polled {
            let part = match outcome {
                Err(error) => Err(error),
                Ok(read) => match read.groups.get(wanted) {
                    Some(seen) => seen.as_ref(),
                    None => continue,
                },
            };
            self.hand_to(key, wanted, part, moment, regular);
        }
    }

    /// A group that was forgotten or is about something else by now gets nothing.
    fn hand_to(&self, key: &GroupKey, wanted: &Wanted, part: Result<&Seen, &Error>, moment: Moment, regular: Instant) {
        let Some((group, watch)) = self.group_of(key, wanted) else { return };
        let (Next { wake, again }, snapshot) = {
            let mut group = group.lock();
            group.watch = watch;
            (contain(&mut group, moment, |group| group.take(part, moment)), group.snapshot.clone())
        };
        let mut groups = self.groups.lock();
        let Some(entry) = groups.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.group, &group)) else { return };
        entry.snapshot = snapshot;
        entry.due = again.map_or(regular, |again| regular.min(Instant::now() + again));
        drop(groups);
        if wake {
            self.waker.wake(key);
        }
    }

    /// So that nothing is due again at once.
    fn postpone(&self, until: Instant) {
        for entry in self.groups.lock().values_mut() {
            entry.due = entry.due.max(until);
        }
    }

    fn group_of(&self, key: &GroupKey, asked: &Wanted) -> Option<(Arc<Mutex<Group>>, Watch)> {
        let groups = self.groups.lock();
        let entry = groups.get(key).filter(|entry| wanted(&entry.watch) == *asked)?;
        Some((Arc::clone(&entry.group), entry.watch.clone()))
    }
}

/// What to ask Kafka for.
fn wanted(watch: &Watch) -> Wanted {
    Wanted { topic: watch.topic.clone(), group: watch.group.clone() }
}

/// A group whose figures make us panic starts anew and counts a failed poll; the others get their part.
fn contain(group: &mut Group, moment: Moment, take: impl FnOnce(&mut Group) -> Next) -> Next {
    contained_now(|| take(group)).unwrap_or_else(|detail| {
        tracing::error!(topic = group.watch.topic, group = group.watch.group, detail, "a fault of the operator");
        group.start_anew();
        group.take(Err(&broke_off(&detail)), moment)
    })
}

fn broke_off(detail: &dyn std::fmt::Display) -> Error {
    Error::Other { what: String::from("a poll"), detail: format!("it broke off: {detail}") }
}

impl Poller {
    async fn poll(&mut self, desk: &Arc<Desk>) {
        let now = Instant::now();
        let polled = desk.due(now);
        if let Some(refusal) = self.refused.as_ref().filter(|refusal| now < refusal.until) {
            // A group that came meanwhile learns why nothing is read without another attempt.
            hand_out(desk, polled, Err(refusal.error.clone()), refusal.until).await;
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
                hand_out(desk, polled, outcome, until).await;
            }
            None => {
                self.refused = None;
                hand_out(desk, polled, outcome, self.regular).await;
            }
        }
    }

    /// After a fault: what was due is unknown and is polled again at the usual time.
    async fn give_up(&mut self, desk: &Arc<Desk>, detail: String) {
        let now = Instant::now();
        self.regular = now + POLL_INTERVAL;
        hand_out(desk, desk.due(now), Err(broke_off(&detail)), self.regular).await;
    }

    /// Reads on a thread that may block; connects first if there is no client.
    async fn read(&mut self, wanted: Vec<Wanted>) -> Result<Read, Error> {
        let (connection, client) = (self.connection.clone(), self.client.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let client = client.map_or_else(|| Admin::connect(&connection, CLIENT_ID), Ok)?;
            Ok((read(&client, &wanted), client))
        });
        let (outcome, client) = reading.await.unwrap_or_else(|error| Err(broke_off(&error)))?;
        self.client = Some(client);
        outcome
    }
}

/// Decides on a thread that may block: a group with thousands of partitions takes its time.
async fn hand_out(desk: &Arc<Desk>, polled: Vec<(GroupKey, Wanted)>, outcome: Result<Read, Error>, regular: Instant) {
    let (desk, postponed) = (Arc::clone(desk), desk);
    let handing = tokio::task::spawn_blocking(move || desk.hand_out(&polled, &outcome, regular));
    if let Err(error) = handing.await {
        tracing::error!(%error, "the outcome of a poll was lost");
        postponed.postpone(regular);
    }
}

/// Errors that no retry cures soon and that repeated attempts may make worse.
const fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Authentication | ErrorKind::Tls | ErrorKind::Invalid)
}

#[cfg(test)]
mod tests {
    use balancefleet_autoscaler::{Current, LagReading, Policy, Reason, StartFrom};

    use super::*;

    fn watch() -> Watch {
        Watch {
            connection: Connection::plaintext("kafka:9092"),
            topic: "orders".into(),
            group: "shop".into(),
            start_from: StartFrom::Earliest,
            policy: Policy::default(),
            current: Current { desired: 3, ..Current::default() },
        }
    }

    #[test]
    fn a_fault_in_one_groups_figures_makes_its_lag_unknown_and_ends_nothing() {
        let (mut group, now) = (Group::new(watch()), Instant::now());
        let moment = Moment { instant: now, elapsed: Duration::ZERO };
        for _ in 0..2 {
            contain(&mut group, moment, |_| panic!("attempt to add with overflow"));
        }
        let snapshot = group.snapshot.clone().expect("a snapshot");
        assert_eq!((&snapshot.lag, snapshot.decision.replicas), (&LagReading::Unknown, 3));
        assert_eq!(snapshot.decision.reason, Reason::LagUnknown);
        let said = snapshot.problem.as_ref().expect("a problem").message.clone();
        assert!(said.contains("broke off: attempt to add"), "{said}");
    }

    #[test]
    fn a_snapshot_can_be_read_while_its_group_decides() {
        let (waker, _woken) = super::super::triggers::queue();
        let desk = Arc::new(Desk { epoch: Instant::now(), groups: Mutex::default(), arrived: Notify::new(), waker });
        let cluster = Cluster { desk: Arc::clone(&desk), _task: CancellationToken::new().drop_guard() };
        let key = GroupKey { namespace: "bank".into(), name: "shop".into() };
        cluster.put(key.clone(), watch());
        let (group, _) = desk.group_of(&key, &wanted(&watch())).expect("it is watched");
        let deciding = group.lock();
        assert!(cluster.snapshot(&key).is_none());
        cluster.put(key.clone(), watch());
        assert!(cluster.take(&key), "and forgotten, too");
        drop(deciding);
    }
}
