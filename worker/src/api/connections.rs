//! The open connections: how many there may be, and which one is closed for a new one.
//!
//! A new connection is always accepted, because it may be a probe: only its first request shows that. To make room, the
//! server closes the connection that has kept it waiting longest, either for a request or for the client to read its
//! answer. It does not close a connection whose request is being processed, nor one from which nothing has been read
//! yet: when many come at once, an unread request may be a probe.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::throttle::Throttle;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Open connections: each is a file descriptor.
    pub(super) open: usize,
    /// Of them, so many of probes and peers stay when others come.
    pub(super) reserved: usize,
    /// Requests of others that are worked on at a time.
    pub(super) working: usize,
}

/// All connections of one server.
pub(super) struct Connections {
    bounds: Bounds,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
    working: Arc<Semaphore>,
    log: Mutex<Throttle<()>>,
}

/// One open connection.
pub(super) struct Connection {
    state: Mutex<State>,
    /// Whether its last request was a probe's or a peer's.
    is_reserved: AtomicBool,
    /// Those whose head has come.
    requests: AtomicU64,
    closed: CancellationToken,
}

struct State {
    phase: Phase,
    /// The client takes nothing of its answer.
    is_stalled: bool,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has been read yet, though something may be there.
    Unread,
    /// The client has to send something.
    Waiting,
    /// A request is worked on, or its answer is not handed over yet.
    Processing,
}

/// Keeps a connection's slot until it is dropped.
pub(super) struct ConnectionSlot {
    connections: Arc<Connections>,
    id: u64,
    pub(super) connection: Arc<Connection>,
}

/// A request that is worked on, until its answer was handed over.
pub(super) struct RequestInProgress {
    connection: Arc<Connection>,
    /// Unless it is a probe's or a peer's.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connections {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            open: Mutex::default(),
            next_id: AtomicU64::default(),
            working: Arc::new(Semaphore::new(bounds.working)),
            log: Mutex::new(Throttle::new(Duration::from_secs(60))),
        })
    }

    /// A slot for a new connection; `None` while every other one is at work.
    pub(super) fn admit(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let mut open = self.open.lock();
        if open.len() >= self.bounds.open {
            let (id, connection) = self.longest_waiting(&open)?;
            connection.closed.cancel();
            open.remove(&id);
            if let Some(suppressed) = self.log.lock().admit((), Instant::now()) {
                let bound = self.bounds.open;
                tracing::warn!(
                    bound,
                    suppressed,
                    "all connections are taken: the longest idle one is closed for a new one"
                );
            }
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::new();
        open.insert(id, connection.clone());
        Some(ConnectionSlot { connections: self.clone(), id, connection })
    }

    fn longest_waiting(&self, open: &HashMap<u64, Arc<Connection>>) -> Option<(u64, Arc<Connection>)> {
        let is_reserved = |connection: &Arc<Connection>| connection.is_reserved.load(Ordering::Relaxed);
        let reserved = open.values().filter(|connection| is_reserved(connection)).count();
        let longest = |spare_reserved: bool| {
            let candidates = open.iter().filter(|(_, connection)| !(spare_reserved && is_reserved(connection)));
            let waiting = candidates.filter_map(|(id, it)| Some((it.waits_since()?, *id, it)));
            waiting.min_by_key(|(since, id, _)| (*since, *id)).map(|(_, id, it)| (id, it.clone()))
        };
        if reserved > self.bounds.reserved { longest(false) } else { longest(true).or_else(|| longest(false)) }
    }

    fn begin(&self, connection: &Arc<Connection>, is_reserved: bool) -> Option<RequestInProgress> {
        connection.requests.fetch_add(1, Ordering::Relaxed);
        connection.is_reserved.store(is_reserved, Ordering::Relaxed);
        let permit = if is_reserved { None } else { Some(self.working.clone().try_acquire_owned().ok()?) };
        connection.set(Phase::Processing);
        Some(RequestInProgress { connection: connection.clone(), _permit: permit })
    }
}

impl Connection {
    pub(super) fn new() -> Arc<Self> {
        let state = State { phase: Phase::Unread, is_stalled: false, since: Instant::now() };
        Arc::new(Self {
            state: Mutex::new(state),
            is_reserved: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            closed: CancellationToken::new(),
        })
    }

    /// Resolves when the connection has to go.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// How many requests have come on it, those that were refused included.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn is_working(&self) -> bool {
        self.state.lock().phase == Phase::Processing
    }

    /// All that has come was read.
    pub(super) fn is_read(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Unread {
            state.phase = Phase::Waiting;
        }
    }

    /// Whether the client takes its answer, when there was something to send.
    pub(super) fn set_reading(&self, is_reading: bool) {
        let mut state = self.state.lock();
        if state.is_stalled == is_reading {
            state.is_stalled = !is_reading;
            if state.phase == Phase::Processing {
                state.since = Instant::now();
            }
        }
    }

    fn set(&self, phase: Phase) {
        *self.state.lock() = State { phase, is_stalled: false, since: Instant::now() };
    }

    /// Since when the server waits for the client, if it does.
    fn waits_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        (state.phase == Phase::Waiting || state.is_stalled).then_some(state.since)
    }
}

impl ConnectionSlot {
    /// A request came; `None` if too many are worked on.
    pub(super) fn begin(&self, is_reserved: bool) -> Option<RequestInProgress> {
        self.connections.begin(&self.connection, is_reserved)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.open.lock().remove(&self.id);
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.connection.set(Phase::Waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { open: 6, reserved: 2, working: 3 };

    /// So many connections, each opened after the one before and silent since.
    fn opened(connections: &Arc<Connections>, count: usize) -> Vec<ConnectionSlot> {
        let silent = || connections.admit().inspect(|slot| slot.connection.is_read());
        (0..count).map(|_| silent().unwrap()).collect()
    }

    fn closed(slots: &[ConnectionSlot]) -> Vec<usize> {
        (0..slots.len()).filter(|slot| slots[*slot].connection.closed.is_cancelled()).collect()
    }

    fn request(connections: &Connections, slot: &ConnectionSlot, is_reserved: bool) {
        connections.begin(&slot.connection, is_reserved).unwrap();
    }

    #[test]
    fn beyond_the_bound_the_longest_idle_one_goes_for_each_new_one() {
        let connections = Connections::new(BOUNDS);
        let mut slots = opened(&connections, 6);
        request(&connections, &slots[0], false);
        slots.extend(opened(&connections, 2));
        assert_eq!(closed(&slots), [1, 2], "the first one has just asked");
        slots.clear();
        assert_eq!(connections.open.lock().len(), 0);
    }

    #[test]
    fn one_whose_request_is_worked_on_stays_unless_it_does_not_take_its_answer() {
        let connections = Connections::new(Bounds { working: 6, ..BOUNDS });
        let slots = opened(&connections, 6);
        let working: Vec<_> = slots.iter().map(|it| connections.begin(&it.connection, false).unwrap()).collect();
        assert!(connections.admit().is_none());
        slots[3].connection.set_reading(false);
        let new = connections.admit().unwrap();
        new.connection.is_read();
        assert_eq!(closed(&slots), [3]);
        slots[4].connection.set_reading(false);
        slots[4].connection.set_reading(true);
        drop(working);
        let _newer = connections.admit().unwrap();
        assert_eq!(closed(&slots), [3], "the new one has waited longer");
    }

    #[test]
    fn one_of_which_nothing_has_been_read_stays_however_many_come_at_once() {
        let connections = Connections::new(BOUNDS);
        let mut slots = opened(&connections, 6);
        let unread: Vec<_> = (0..6).map(|_| connections.admit().unwrap()).collect();
        assert_eq!(closed(&slots), [0, 1, 2, 3, 4, 5]);
        assert!(connections.admit().is_none() && closed(&unread).is_empty());
        unread[1].connection.is_read();
        slots.extend(connections.admit());
        assert_eq!(closed(&unread), [1]);
    }

    #[test]
    fn connections_of_probes_and_peers_stay_up_to_the_reserve() {
        let connections = Connections::new(BOUNDS);
        let mut slots = opened(&connections, 6);
        (0..2).for_each(|slot| request(&connections, &slots[slot], true));
        slots.extend(opened(&connections, 20));
        assert!(!closed(&slots).iter().any(|slot| *slot < 2));
        // Whoever says so of all its connections has no more of them.
        (22..26).for_each(|slot| request(&connections, &slots[slot], true));
        slots.extend(opened(&connections, 1));
        assert!(closed(&slots).contains(&0));
    }

    #[test]
    fn requests_of_probes_and_peers_are_worked_on_however_many_others_are() {
        let connections = Connections::new(BOUNDS);
        let slots = opened(&connections, 6);
        let working: Vec<_> = slots[..3].iter().filter_map(|it| connections.begin(&it.connection, false)).collect();
        assert_eq!(working.len(), 3);
        assert!(connections.begin(&slots[3].connection, false).is_none());
        let probe = connections.begin(&slots[4].connection, true);
        assert!(probe.is_some() && connections.begin(&slots[5].connection, true).is_some());
        drop(working);
        assert!(connections.begin(&slots[3].connection, false).is_some());
    }
}
