//! Pure. Which write is sent next: takes writes, answers and the time, gives the next write to send, or when to ask
//! again.
//!
//! An object has one write in flight at a time, all objects together at most [`MOST_IN_FLIGHT`]. Writes of an object's
//! children are sent first and at once, in their order; then its events, in theirs; then its newest status. Only
//! statuses are paced: urgent ones first, the others no sooner than their interval after the last one of the object.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    controller::backoff::{AFTER_FAILURE, Backoff},
    poller::ObjectKey,
};

/// Writes in flight at once.
pub(super) const MOST_IN_FLIGHT: usize = 16;
/// At most this many of them are events and statuses, so that there is always room for children.
pub(super) const MOST_REPORTS: usize = 8;
/// Events of one object that may wait, to bound the memory; further ones are dropped.
pub(super) const MOST_EVENTS: usize = 32;

/// The kinds of waiting writes, in the order in which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    ChildWrite,
    Event,
    UrgentStatus,
    Status,
}

impl Class {
    const ALL: [Self; 4] = [Self::ChildWrite, Self::Event, Self::UrgentStatus, Self::Status];

    /// The word for it in metrics; the deletion costs of pods count as children.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ChildWrite => "child",
            Self::Event => "event",
            Self::UrgentStatus | Self::Status => "status",
        }
    }

    const fn is_status(self) -> bool {
        matches!(self, Self::UrgentStatus | Self::Status)
    }
}

/// One write of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChildWrite {
    /// What it does, e.g. `apply Deployment shop`: while it waits, a later write of the same name replaces it.
    pub name: String,
    /// Whether it creates the child. Such a write is never replaced: later ones may need the child.
    pub creates: bool,
}

/// When a status is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controller) enum Urgency {
    /// As soon as the pace allows.
    Urgent,
    /// This long after the object's last status, and after urgent statuses of other objects.
    Every(Duration),
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<W> {
    Send(ObjectKey, Class, W),
    /// Nothing to send before that time, or before the next call of another method.
    Wait(Option<Instant>),
}

#[derive(Debug)]
struct Status<W> {
    urgency: Urgency,
    since: Instant,
    work: W,
}

/// The writes of one object.
#[derive(Debug)]
struct Object<W> {
    child_writes: VecDeque<(Instant, ChildWrite, W)>,
    events: VecDeque<(Instant, W)>,
    status: Option<Status<W>>,
    in_flight: bool,
    /// The object's entry in [`Queue::ready`]; `None` if it has none.
    head: Option<(Class, Instant)>,
    status_written: Option<Instant>,
    status_backoff: Backoff,
}

impl<W> Default for Object<W> {
    fn default() -> Self {
        Self {
            child_writes: VecDeque::new(),
            events: VecDeque::new(),
            status: None,
            in_flight: false,
            head: None,
            status_written: None,
            status_backoff: Backoff::default(),
        }
    }
}

impl<W> Object<W> {
    /// The next write of this object, and the earliest time to send it.
    fn first(&self) -> Option<(Class, Instant)> {
        if self.in_flight {
            return None;
        }
        let write = self.child_writes.front().map(|(since, ..)| (Class::ChildWrite, *since));
        let event = || self.events.front().map(|(since, _)| (Class::Event, *since));
        write.or_else(event).or_else(|| {
            let status = self.status.as_ref()?;
            let (class, due) = match status.urgency {
                Urgency::Urgent => (Class::UrgentStatus, status.since),
                // After a restart it is not known when the last one was written: perhaps just now.
                Urgency::Every(interval) => (Class::Status, self.status_written.unwrap_or(status.since) + interval),
            };
            Some((class, self.status_backoff.not_before().map_or(due, |until| until.max(due))))
        })
    }

    /// Whether the entry can be dropped without losing anything.
    fn is_blank(&self) -> bool {
        let waits = !self.child_writes.is_empty() || !self.events.is_empty() || self.status.is_some();
        !waits && !self.in_flight && self.status_written.is_none() && !self.status_backoff.has_failed()
    }
}

/// All writes that wait or are in flight.
#[derive(Debug)]
pub(super) struct Queue<W> {
    objects: HashMap<ObjectKey, Object<W>>,
    /// Per class, by time: the next write of every object that has none in flight.
    ready: [BTreeSet<(Instant, ObjectKey)>; Class::ALL.len()],
    in_flight: usize,
    reports_in_flight: usize,
    next_status: Option<Instant>,
    status_interval: Duration,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        let mut queue = Self {
            objects: HashMap::new(),
            ready: Default::default(),
            in_flight: 0,
            reports_in_flight: 0,
            next_status: None,
            status_interval: Duration::ZERO,
        };
        queue.set_objects(0);
        queue
    }
}

impl<W> Queue<W> {
    /// Sets the number of objects, and with it the pace: ten statuses a second, or as many as it takes to write the
    /// status of every object within a minute.
    pub(super) fn set_objects(&mut self, objects: usize) {
        let per_minute = u32::try_from(objects).unwrap_or(u32::MAX).max(600);
        self.status_interval = Duration::from_secs(60) / per_minute;
    }

    /// Adds a write of a child. Gives the one that it replaces.
    pub(super) fn push_child_write(&mut self, key: &ObjectKey, write: ChildWrite, work: W, now: Instant) -> Option<W> {
        self.change(key, |object| {
            let same =
                object.child_writes.iter_mut().find(|(_, waiting, _)| waiting.name == write.name && !waiting.creates);
            match same {
                Some((_, waiting, before)) => {
                    *waiting = write;
                    Some(std::mem::replace(before, work))
                }
                None => {
                    object.child_writes.push_back((now, write, work));
                    None
                }
            }
        })
    }

    /// Adds an event; gives it back if too many wait.
    pub(super) fn push_event(&mut self, key: &ObjectKey, work: W, now: Instant) -> Option<W> {
        self.change(key, |object| {
            if object.events.len() >= MOST_EVENTS {
                return Some(work);
            }
            object.events.push_back((now, work));
            None
        })
    }

    /// Sets the status to write; `None` if the written one is right. Gives the status that it replaces.
    pub(super) fn set_status(&mut self, key: &ObjectKey, status: Option<(Urgency, W)>, now: Instant) -> Option<W> {
        self.change(key, |object| {
            let before = object.status.take();
            object.status = status.map(|(urgency, work)| {
                // It keeps its place in the queue, unless it has just become urgent.
                let kept = before.as_ref().filter(|old| old.urgency == Urgency::Urgent || urgency != Urgency::Urgent);
                Status { urgency, since: kept.map_or(now, |old| old.since), work }
            });
            before.map(|old| old.work)
        })
    }

    /// The next write to send.
    pub(super) fn next(&mut self, now: Instant) -> Next<W> {
        let mut soonest: Option<Instant> = None;
        for class in Class::ALL {
            let reports_are_full = class != Class::ChildWrite && self.reports_in_flight >= MOST_REPORTS;
            if self.in_flight >= MOST_IN_FLIGHT || reports_are_full {
                break;
            }
            let Some((due, key)) = self.ready[class as usize].first() else { continue };
            let due = self.next_status.filter(|_| class.is_status()).map_or(*due, |next| next.max(*due));
            if due > now {
                soonest = Some(soonest.map_or(due, |other| other.min(due)));
                continue;
            }
            let key = key.clone();
            if let Some(work) = self.change(&key, |object| object.take(class)) {
                self.in_flight += 1;
                self.reports_in_flight += usize::from(class != Class::ChildWrite);
                if class.is_status() {
                    self.next_status = Some(now + self.status_interval);
                }
                return Next::Send(key, class, work);
            }
        }
        Next::Wait(soonest)
    }

    /// Records that a write succeeded.
    pub(super) fn answered(&mut self, key: &ObjectKey, class: Class, now: Instant) {
        self.ended(key, class, |object| {
            if class.is_status() {
                (object.status_written, object.status_backoff) = (Some(now), Backoff::default());
            }
        });
    }

    /// Records that a write failed, or was not sent after all. Writes of children and events are not repeated from
    /// here. A status is repeated after a pause, unless a newer one waits; `again` is the write to repeat. `random` is
    /// in [0, 1).
    pub(super) fn failed(&mut self, key: &ObjectKey, class: Class, again: Option<W>, now: Instant, random: f64) {
        self.ended(key, class, |object| {
            let Some(work) = again else { return };
            object.status_backoff.failed(AFTER_FAILURE, now, random);
            let urgency = if class == Class::Status { Urgency::Every(Duration::ZERO) } else { Urgency::Urgent };
            object.status.get_or_insert(Status { urgency, since: now, work });
        });
    }

    /// Drops the waiting writes and all that is kept about an object that is gone.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.change(key, |object| {
            *object = Object { in_flight: object.in_flight, head: object.head, ..Object::default() };
        });
    }

    /// Whether no write of a child and no event waits and no write is in flight. A process that ends waits for this;
    /// the next process finds out by itself which statuses to write.
    pub(super) fn is_drained(&self) -> bool {
        self.in_flight == 0
            && [Class::ChildWrite, Class::Event].iter().all(|class| self.ready[*class as usize].is_empty())
    }

    /// Every object that something is kept about.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.keys()
    }

    /// The objects whose status waits because it could not be written.
    pub(super) fn in_backoff(&self) -> HashSet<ObjectKey> {
        let waits = |object: &Object<W>| object.status.is_some() && object.status_backoff.has_failed();
        let failed = self.objects.iter().filter(|(_, object)| waits(object));
        failed.map(|(key, _)| key.clone()).collect()
    }

    fn ended<T>(&mut self, key: &ObjectKey, class: Class, change: impl FnOnce(&mut Object<W>) -> T) -> T {
        self.in_flight -= 1;
        self.reports_in_flight -= usize::from(class != Class::ChildWrite);
        self.change(key, |object| {
            object.in_flight = false;
            change(object)
        })
    }

    /// Changes an object and updates its place among the ready ones.
    fn change<T>(&mut self, key: &ObjectKey, change: impl FnOnce(&mut Object<W>) -> T) -> T {
        let object = self.objects.entry(key.clone()).or_default();
        let changed = change(object);
        let head = object.first();
        let before = std::mem::replace(&mut object.head, head);
        if object.is_blank() {
            self.objects.remove(key);
        }
        if head != before {
            if let Some((class, since)) = before {
                self.ready[class as usize].remove(&(since, key.clone()));
            }
            if let Some((class, since)) = head {
                self.ready[class as usize].insert((since, key.clone()));
            }
        }
        changed
    }
}

impl<W> Object<W> {
    fn take(&mut self, class: Class) -> Option<W> {
        let work = match class {
            Class::ChildWrite => self.child_writes.pop_front().map(|(_, _, work)| work),
            Class::Event => self.events.pop_front().map(|(_, work)| work),
            Class::UrgentStatus | Class::Status => self.status.take().map(|status| status.work),
        };
        self.in_flight = work.is_some();
        work
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
