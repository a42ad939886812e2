//! One Kafka cluster: its groups, the task that polls them, and when it does. Clusters share nothing, so that a cluster
//! that does not answer delays no group of another one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_autoscaler::{POLL_INTERVAL, SavedHistory};
use balancefleet_kafka::{Admin, Connection, Error, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::fetch::{GroupReading, GroupRef, PollResult, fetch};
use super::group::{Group, PollOutcome, PollTime};
use super::triggers::Trigger;
use super::{ObjectKey, PollTarget, Snapshot};
use crate::panic::{catch_panic, catch_panic_now};

/// Groups due within this time of each other are polled together.
const BATCH_WINDOW: Duration = Duration::from_millis(50);

/// Backoff after a refused login: many attempts could lock the account, and only a user can unlock it.
const FIRST_BACKOFF: Duration = Duration::from_secs(15);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// The client id that brokers see.
const CLIENT_ID: &str = "balancefleet-operator";

/// One Kafka cluster and its groups; its task ends when it is dropped.
pub(super) struct Cluster {
    state: Arc<ClusterState>,
    _task: DropGuard,
}

/// What the registry and the task share. The lock is held for look-ups only, never while a group decides.
struct ClusterState {
    epoch: Instant,
    groups: Mutex<HashMap<ObjectKey, Entry>>,
    arrived: Notify,
    trigger: Trigger,
}

struct Entry {
    target: PollTarget,
    /// Locked by the poller alone, while the group is updated from a poll.
    group: Arc<Mutex<Group>>,
    snapshot: Option<Arc<Snapshot>>,
    due: Instant,
}

impl Cluster {
    /// Starts the task; needs a tokio runtime.
    pub(super) fn start(connection: Connection, trigger: Trigger) -> Self {
        let state =
            Arc::new(ClusterState { epoch: Instant::now(), groups: Mutex::default(), arrived: Notify::new(), trigger });
        let stop = CancellationToken::new();
        tokio::spawn(run(connection, Arc::clone(&state), stop.clone()));
        Self { state, _task: stop.drop_guard() }
    }

    pub(super) fn put(&self, key: ObjectKey, mut target: PollTarget) {
        let mut groups = self.state.groups.lock();
        match groups.get_mut(&key) {
            Some(entry) if entry.target.is_about_the_same(&target) => entry.target = target,
            other => {
                if other.is_some() {
                    // The status is about another topic or group.
                    target.saved_history = SavedHistory::default();
                }
                let group = Arc::new(Mutex::new(Group::new(target.clone())));
                groups.insert(key, Entry { target, group, snapshot: None, due: Instant::now() });
                self.state.arrived.notify_one();
            }
        }
    }

    /// Removes a group. Gives true if it was the last one.
    pub(super) fn remove(&self, key: &ObjectKey) -> bool {
        let mut groups = self.state.groups.lock();
        groups.remove(key);
        groups.is_empty()
    }

    pub(super) fn snapshot(&self, key: &ObjectKey) -> Option<Arc<Snapshot>> {
        self.state.groups.lock().get(key)?.snapshot.clone()
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

/// Why, and until when, the cluster is not polled.
struct Refusal {
    error: Error,
    backoff: Duration,
    until: Instant,
}

async fn run(connection: Connection, state: Arc<ClusterState>, stop: CancellationToken) {
    let mut poller = Poller { connection, client: None, regular: Instant::now(), refused: None };
    while stop.run_until_cancelled(state.wait()).await.is_some() {
        if let Err(detail) = catch_panic(poller.poll(&state)).await {
            tracing::error!(detail, "poll panicked: this is a bug of the operator");
            poller.fail(&state, detail).await;
        }
    }
    // Dropping a client waits for its threads, so it must not block a thread of the runtime.
    tokio::task::spawn_blocking(move || drop(poller.client));
}

impl ClusterState {
    /// Returns when a group is due.
    async fn wait(&self) {
        loop {
            let next = self.groups.lock().values().map(|entry| entry.due).min();
            let due = async {
                match next {
                    Some(due) => tokio::time::sleep_until((due + BATCH_WINDOW).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = self.arrived.notified() => {}
            }
        }
    }

    fn due(&self, now: Instant) -> Vec<(ObjectKey, GroupRef)> {
        let groups = self.groups.lock();
        let due = groups.iter().filter(|(_, entry)| entry.due <= now + BATCH_WINDOW);
        due.map(|(key, entry)| (key.clone(), group_ref(&entry.target))).collect()
    }

    /// Delivers the result to every polled group.
    fn deliver_all(&self, polled: &[(ObjectKey, GroupRef)], outcome: &Result<PollResult, Error>, regular: Instant) {
        let at = outcome.as_ref().map_or_else(|_| Instant::now(), |result| result.at);
        let time = PollTime { instant: at, elapsed: at.saturating_duration_since(self.epoch) };
        for (key, group_ref) in polled {
            let part = match outcome {
                Err(error) => Err(error),
                Ok(result) => match result.groups.get(group_ref) {
                    Some(reading) => reading.as_ref(),
                    None => continue,
                },
            };
            self.deliver(key, group_ref, part, time, regular);
        }
    }

    /// Delivers one group's result. A group that was forgotten or has another target by now gets nothing.
    fn deliver(
        &self,
        key: &ObjectKey,
        group_ref: &GroupRef,
        part: Result<&GroupReading, &Error>,
        time: PollTime,
        regular: Instant,
    ) {
        let Some((group, target)) = self.group_of(key, group_ref) else { return };
        let (PollOutcome { changed, repoll_after }, snapshot) = {
            let mut group = group.lock();
            group.target = target;
            (update_or_reset(&mut group, time, |group| group.update(part, time)), group.snapshot.clone())
        };
        let mut groups = self.groups.lock();
        let Some(entry) = groups.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.group, &group)) else { return };
        entry.snapshot = snapshot;
        entry.due = repoll_after.map_or(regular, |wait| regular.min(Instant::now() + wait));
        drop(groups);
        if changed {
            self.trigger.fire(key);
        }
    }

    /// Makes no group due before `until`.
    fn postpone(&self, until: Instant) {
        for entry in self.groups.lock().values_mut() {
            entry.due = entry.due.max(until);
        }
    }

    fn group_of(&self, key: &ObjectKey, polled: &GroupRef) -> Option<(Arc<Mutex<Group>>, PollTarget)> {
        let groups = self.groups.lock();
        let entry = groups.get(key).filter(|entry| group_ref(&entry.target) == *polled)?;
        Some((Arc::clone(&entry.group), entry.target.clone()))
    }
}

/// What to ask Kafka for.
fn group_ref(target: &PollTarget) -> GroupRef {
    GroupRef { topic: target.topic.clone(), group: target.group.clone() }
}

/// Updates a group. If its figures make the update panic, the group is reset and counts a failed poll; other groups are
/// not affected.
fn update_or_reset(group: &mut Group, time: PollTime, update: impl FnOnce(&mut Group) -> PollOutcome) -> PollOutcome {
    catch_panic_now(|| update(group)).unwrap_or_else(|detail| {
        tracing::error!(
            topic = group.target.topic,
            group = group.target.group,
            detail,
            "update after a poll panicked: this is a bug of the operator"
        );
        group.reset();
        group.update(Err(&panicked(&detail)), time)
    })
}

fn panicked(detail: &dyn std::fmt::Display) -> Error {
    Error::Other { what: String::from("a poll"), detail: format!("it panicked: {detail}") }
}

impl Poller {
    async fn poll(&mut self, state: &Arc<ClusterState>) {
        let now = Instant::now();
        let polled = state.due(now);
        if let Some(refusal) = self.refused.as_ref().filter(|refusal| now < refusal.until) {
            // A group that was added meanwhile gets the error without another attempt.
            dispatch(state, polled, Err(refusal.error.clone()), refusal.until).await;
            return;
        }
        if now + BATCH_WINDOW >= self.regular {
            self.regular = now + POLL_INTERVAL.mul_f64(rand::random_range(0.9..1.1));
        }
        let groups: Vec<GroupRef> = polled.iter().map(|(_, group)| group.clone()).collect();
        let outcome = self.fetch(groups).await;
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
                dispatch(state, polled, outcome, until).await;
            }
            None => {
                self.refused = None;
                dispatch(state, polled, outcome, self.regular).await;
            }
        }
    }

    /// After a panic: the groups that were due count a failed poll and are polled again at the next regular poll.
    async fn fail(&mut self, state: &Arc<ClusterState>, detail: String) {
        let now = Instant::now();
        self.regular = now + POLL_INTERVAL;
        dispatch(state, state.due(now), Err(panicked(&detail)), self.regular).await;
    }

    /// Reads on a thread that may block; connects first if there is no client.
    async fn fetch(&mut self, groups: Vec<GroupRef>) -> Result<PollResult, Error> {
        let (connection, client) = (self.connection.clone(), self.client.clone());
        let fetching = tokio::task::spawn_blocking(move || {
            let client = client.map_or_else(|| Admin::connect(&connection, CLIENT_ID), Ok)?;
            Ok((fetch(&client, &groups), client))
        });
        let (outcome, client) = fetching.await.unwrap_or_else(|error| Err(panicked(&error)))?;
        self.client = Some(client);
        outcome
    }
}

/// Delivers the outcome on a thread that may block: deciding takes a while for a group with thousands of partitions.
async fn dispatch(
    state: &Arc<ClusterState>,
    polled: Vec<(ObjectKey, GroupRef)>,
    outcome: Result<PollResult, Error>,
    regular: Instant,
) {
    let (state, postponed) = (Arc::clone(state), state);
    let delivering = tokio::task::spawn_blocking(move || state.deliver_all(&polled, &outcome, regular));
    if let Err(error) = delivering.await {
        tracing::error!(%error, "the outcome of a poll was lost");
        postponed.postpone(regular);
    }
}

/// Errors that a retry will not fix soon, and that repeated attempts may make worse.
const fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Authentication | ErrorKind::Tls | ErrorKind::Invalid)
}

#[cfg(test)]
mod tests {
    use balancefleet_autoscaler::{Current, LagReading, Policy, Reason, StartFrom};

    use super::*;

    fn target() -> PollTarget {
        PollTarget {
            connection: Connection::plaintext("kafka:9092"),
            topic: "orders".into(),
            group: "shop".into(),
            start_from: StartFrom::Earliest,
            policy: Policy::default(),
            current: Current { desired: 3, ..Current::default() },
            saved_history: SavedHistory::default(),
        }
    }

    #[test]
    fn a_panic_over_one_groups_figures_makes_its_lag_unknown_and_ends_nothing() {
        let (mut group, now) = (Group::new(target()), Instant::now());
        let time = PollTime { instant: now, elapsed: Duration::ZERO };
        for _ in 0..2 {
            update_or_reset(&mut group, time, |_| panic!("attempt to add with overflow"));
        }
        let snapshot = group.snapshot.clone().expect("a snapshot");
        assert_eq!((&snapshot.lag, snapshot.decision.replicas), (&LagReading::Unknown, 3));
        assert_eq!(snapshot.decision.reason, Reason::LagUnknown);
        let message = snapshot.problem.as_ref().expect("a problem").message.clone();
        assert!(message.contains("panicked: attempt to add"), "{message}");
    }

    #[test]
    fn a_snapshot_can_be_read_while_its_group_decides() {
        let (trigger, _triggers) = super::super::triggers::queue();
        let state =
            Arc::new(ClusterState { epoch: Instant::now(), groups: Mutex::default(), arrived: Notify::new(), trigger });
        let cluster = Cluster { state: Arc::clone(&state), _task: CancellationToken::new().drop_guard() };
        let key = ObjectKey { namespace: "bank".into(), name: "shop".into() };
        cluster.put(key.clone(), target());
        let (group, _) = state.group_of(&key, &group_ref(&target())).expect("it is polled");
        let deciding = group.lock();
        assert!(cluster.snapshot(&key).is_none());
        cluster.put(key.clone(), target());
        assert!(cluster.remove(&key), "and forgotten, too");
        drop(deciding);
    }
}
