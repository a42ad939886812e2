//! From the events of all workers to one row per rebalance.
//!
//! A partition stands still from the moment its owner gives it up, or loses it, until a worker processes it again. What
//! overlaps in time, or follows within [`SLACK`], is one rebalance.
//!
//! A worker that ends takes its history with it, so an event may be missing on either side. A pause that begins at no
//! known event is unknown, never guessed; if a process is known to have ended meanwhile, the pause begins there, to the
//! second.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::recording::{Event, EventType, Recording, Worker, between, later};

#[cfg(test)]
mod tests;

/// Workers hear of one rebalance within a heartbeat of each other, 500 ms by default.
const SLACK: Duration = Duration::from_millis(500);

/// One rebalance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// Its first event, or the end of the process whose partitions moved.
    pub began: Timestamp,
    /// Whether it began with the end of a process, known to the second.
    pub began_about: bool,
    /// When the last partition was processed again; none while one stands still.
    pub ended: Option<Timestamp>,
    /// Whether it may have begun earlier or ended later: with an event of a worker whose history is gone.
    pub may_be_longer: bool,
    /// The first and the last generation of the group that its events name.
    pub generations: Option<(i32, i32)>,
    /// The partitions that stopped, in their order.
    pub stopped: Vec<Stopped>,
    /// The partitions that did not.
    pub stayed: Vec<i32>,
}

/// A partition that stood still.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// The partition.
    pub partition: i32,
    /// The worker that had it before; none if unknown.
    pub from: Option<String>,
    /// The worker that has it after; none if unknown.
    pub to: Option<String>,
    /// How long it stood still, in milliseconds; none if unknown, or if it still does.
    pub still_millis: Option<u64>,
    /// Whether the time is known to the second only.
    pub about: bool,
}

impl Rebalance {
    /// From beginning to end.
    pub fn took(&self) -> Option<Duration> {
        self.ended.map(|ended| between(self.began, ended))
    }

    /// The partitions that changed their owner.
    pub fn moved(&self) -> Vec<i32> {
        self.partitions(|stopped| stopped.from.is_none() || stopped.from != stopped.to)
    }

    /// The partitions that stopped and came back to their owner.
    pub fn returned(&self) -> Vec<i32> {
        self.partitions(|stopped| stopped.from.is_some() && stopped.from == stopped.to)
    }

    fn partitions(&self, wanted: impl Fn(&Stopped) -> bool) -> Vec<i32> {
        self.stopped.iter().filter(|stopped| wanted(stopped)).map(|stopped| stopped.partition).collect()
    }
}

/// The rebalances of a recording, oldest first.
pub fn rebalances(recording: &Recording) -> Vec<Rebalance> {
    let events = in_order(recording);
    let mut fold = Fold::new(recording, &events);
    for (worker, event) in &events {
        match event.event_type {
            EventType::Assigned => fold.assigned(&worker.name, event),
            EventType::Revoked | EventType::Lost => fold.gave_up(&worker.name, event),
        }
    }
    fold.finish(&events);
    let spans = spans(&events, &fold.pauses);
    fold.pauses = fold.pauses.into_iter().flat_map(|pause| settled(pause, &spans)).collect();
    spans.iter().map(|span| fold.rebalance(span, &events)).collect()
}

/// All events of all workers on one time line.
pub(super) fn in_order(recording: &Recording) -> Vec<(&Worker, &Event)> {
    let of = |worker| move |event| (worker, event);
    let mut events: Vec<(&Worker, &Event)> =
        recording.workers.iter().flat_map(|worker| worker.history.iter().rev().map(of(worker))).collect();
    events.sort_by_key(|(_, event)| (event.timestamp, event.event_type));
    events
}

/// Where a partition is.
enum Place<'a> {
    Owned {
        worker: &'a str,
        since: Timestamp,
    },
    /// Nobody has it.
    Free(Stop<'a>),
    /// Assigned to this worker, and not processed yet.
    Restoring {
        worker: &'a str,
        stop: Stop<'a>,
        assigned: &'a Event,
    },
}

/// How a partition came to stand still.
#[derive(Clone, Copy)]
struct Stop<'a> {
    worker: Option<&'a str>,
    at: Option<Timestamp>,
    /// Of the group, when its owner gave it up; -1 if unknown.
    generation: i32,
}

const UNKNOWN: Stop<'static> = Stop { worker: None, at: None, generation: -1 };

/// A partition's time without a worker that processes it.
#[derive(Clone, Copy)]
struct Pause<'a> {
    partition: i32,
    from: Option<&'a str>,
    to: Option<&'a str>,
    stopped: Option<Timestamp>,
    resumed: Option<Timestamp>,
    /// The event that tells of it.
    anchor: Timestamp,
    /// It began with the end of a process, known to the second.
    about: bool,
    /// A generation lies in between: a worker whose history is gone may have had the partition meanwhile.
    may_be_shorter: bool,
}

/// A time in which one worker processed a partition.
struct Held {
    partition: i32,
    since: Timestamp,
    until: Timestamp,
}

struct Fold<'a> {
    places: BTreeMap<i32, Place<'a>>,
    pauses: Vec<Pause<'a>>,
    held: Vec<Held>,
    /// The processes that ended, oldest first.
    deaths: Vec<Death<'a>>,
}

/// The end of a process, and the generation that gave its partitions to others, if that is certain.
#[derive(Clone, Copy)]
struct Death<'a> {
    worker: &'a str,
    at: Timestamp,
    inherited_in: Option<i32>,
}

impl<'a> Death<'a> {
    /// A group gives away what is free in its next generation. Of the generations before that, the last one may have
    /// been told by the process alone.
    fn new(worker: &'a str, at: Timestamp, events: &[(&Worker, &Event)]) -> Self {
        let known = || events.iter().filter(|(_, event)| event.generation >= 0);
        let before = known().filter(|(_, event)| event.timestamp <= at).map(|(_, event)| event.generation).max();
        let after = known().filter(|(_, event)| event.timestamp > at && event.event_type == EventType::Assigned);
        let after = after.map(|(_, event)| event.generation).min();
        let inherited_in = after.filter(|after| before.is_some_and(|before| *after <= before + 2));
        Self { worker, at, inherited_in }
    }
}

impl<'a> Fold<'a> {
    fn new(recording: &'a Recording, events: &[(&Worker, &Event)]) -> Self {
        let mut deaths: Vec<_> =
            recording.ended.iter().map(|ended| Death::new(&ended.name, ended.at, events)).collect();
        deaths.sort_unstable_by_key(|death| death.at);
        let owned = |worker: &'a Worker| {
            let place = |partition| (partition, Place::Owned { worker: &worker.name, since: Timestamp::MIN });
            worker.initial_partitions().into_iter().map(place)
        };
        let places = recording.workers.iter().flat_map(owned).collect();
        Self { places, pauses: Vec::new(), held: Vec::new(), deaths }
    }

    fn assigned(&mut self, worker: &'a str, event: &'a Event) {
        for partition in event.partitions.iter().copied() {
            let stop = match self.places.remove(&partition) {
                None => UNKNOWN,
                Some(Place::Free(stop) | Place::Restoring { stop, .. }) => stop,
                // Its owner did not say that it gave it up: it was out of the group before it knew.
                Some(Place::Owned { worker, since }) => {
                    self.held.push(Held { partition, since, until: event.timestamp });
                    Stop { worker: Some(worker), ..UNKNOWN }
                }
            };
            let place = if event.restore_millis.is_some() {
                self.pause(partition, stop, Some((worker, event)), Some(event.ended()));
                Place::Owned { worker, since: event.ended() }
            } else {
                Place::Restoring { worker, stop, assigned: event }
            };
            self.places.insert(partition, place);
        }
    }

    /// Only the owner's word counts: who is out of the group may notice when the partition has long had another owner.
    fn gave_up(&mut self, worker: &'a str, event: &'a Event) {
        for partition in event.partitions.iter().copied() {
            let stop = Stop { worker: Some(worker), at: Some(event.began()), generation: event.generation };
            let stop = match self.places.get(&partition) {
                Some(Place::Owned { worker: owner, since }) if *owner == worker => {
                    self.held.push(Held { partition, since: *since, until: event.began() });
                    stop
                }
                // It has stood still all the time.
                Some(Place::Restoring { worker: owner, stop, .. }) if *owner == worker => {
                    Stop { generation: event.generation, ..*stop }
                }
                None => stop,
                Some(_) => continue,
            };
            self.places.insert(partition, Place::Free(stop));
        }
    }

    /// What stands still at the end of the time line.
    fn finish(&mut self, events: &[(&Worker, &Event)]) {
        let newest = events.iter().map(|(_, event)| event.generation).max().unwrap_or(-1);
        for (partition, place) in std::mem::take(&mut self.places) {
            match place {
                Place::Owned { since, .. } => self.held.push(Held { partition, since, until: Timestamp::MAX }),
                Place::Restoring { worker, stop, assigned } => {
                    self.pause(partition, stop, Some((worker, assigned)), None);
                }
                Place::Free(stop) => {
                    self.pause(partition, stop, None, None);
                    // The group has gone on since: a worker that is gone, or did not answer, must have got it.
                    if let Some(pause) = self.pauses.last_mut() {
                        pause.may_be_shorter = is_past(stop.generation, newest);
                    }
                }
            }
        }
    }

    fn pause(
        &mut self,
        partition: i32,
        stop: Stop<'a>,
        assigned: Option<(&'a str, &'a Event)>,
        resumed: Option<Timestamp>,
    ) {
        let event = assigned.map(|(_, event)| event);
        let Some(anchor) = event.map(|event| event.timestamp).or(stop.at) else { return };
        let may_be_shorter = event.is_some_and(|event| is_past(stop.generation, event.generation));
        // A process that ended after the partition was last heard of had it, if this is the generation of its heirs.
        let death = self.deaths.iter().rev().find(|death| death.at < anchor).filter(|death| {
            let is_heir = death.inherited_in.is_some() && death.inherited_in == event.map(|event| event.generation);
            let is_last = match stop.at {
                Some(at) => may_be_shorter && later(death.at, 999) > at,
                None => stop.worker.is_none(),
            };
            is_heir && is_last
        });
        let pause = Pause {
            partition,
            from: stop.worker,
            to: assigned.map(|(worker, _)| worker),
            stopped: stop.at,
            resumed,
            anchor,
            about: false,
            may_be_shorter,
        };
        let Some(&Death { worker, at: death, .. }) = death else { return self.pauses.push(pause) };
        // Before that, it got the partition from the owner that is known to have given it up.
        self.pauses.extend(stop.at.map(|at| Pause { to: None, resumed: None, stopped: None, anchor: at, ..pause }));
        let stopped = Some(death);
        self.pauses.push(Pause { from: Some(worker), stopped, about: true, may_be_shorter: false, ..pause });
    }

    fn rebalance(&self, span: &Span, events: &[(&Worker, &Event)]) -> Rebalance {
        let mut stopped: BTreeMap<i32, Stopped> = BTreeMap::new();
        for pause in self.pauses.iter().filter(|pause| span.contains(pause.anchor)) {
            let millis = pause.stopped.zip(pause.resumed).map(|(stopped, resumed)| millis(stopped, resumed));
            let to = pause.to.map(str::to_owned);
            stopped
                .entry(pause.partition)
                .and_modify(|before| {
                    before.still_millis = before.still_millis.zip(millis).map(|(before, more)| before + more);
                    before.about |= pause.about;
                    before.to.clone_from(&to);
                })
                .or_insert_with(|| Stopped {
                    partition: pause.partition,
                    from: pause.from.map(str::to_owned),
                    to: to.clone(),
                    still_millis: millis,
                    about: pause.about,
                });
        }
        let generations = || {
            let inside = events.iter().filter(|(_, event)| span.contains(event.timestamp));
            inside.map(|(_, event)| event.generation).filter(|generation| *generation >= 0)
        };
        let mut stayed: Vec<_> = self
            .held
            .iter()
            .filter(|held| held.since < span.began && span.ended.unwrap_or(Timestamp::MAX) <= held.until)
            .map(|held| held.partition)
            .filter(|partition| !stopped.contains_key(partition))
            .collect();
        stayed.sort_unstable();
        stayed.dedup();
        Rebalance {
            began: span.began,
            may_be_longer: self.pauses.iter().any(|pause| span.contains(pause.anchor) && pause.stopped.is_none()),
            began_about: self.pauses.iter().any(|pause| pause.about && pause.stopped == Some(span.began)),
            ended: span.ended,
            generations: generations().min().zip(generations().max()),
            stopped: stopped.into_values().collect(),
            stayed,
        }
    }
}

/// Whether more than one generation lies between a partition's end in one and its beginning in another: it is given
/// away in the generation after the one in which it was given up.
fn is_past(given_up: i32, assigned: i32) -> bool {
    given_up >= 0 && assigned > given_up + 1
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(between(from, to).as_millis()).unwrap_or(u64::MAX)
}

/// The time of one rebalance.
struct Span {
    began: Timestamp,
    /// None while it goes on.
    ended: Option<Timestamp>,
}

impl Span {
    fn contains(&self, moment: Timestamp) -> bool {
        self.began <= moment && self.ended.is_none_or(|ended| moment <= ended)
    }
}

/// The unions of what overlaps.
fn spans(events: &[(&Worker, &Event)], pauses: &[Pause<'_>]) -> Vec<Span> {
    let of_event = |(_, event): &(&Worker, &Event)| Span { began: event.began(), ended: Some(event.ended()) };
    let of_pause = |pause: &Pause<'_>| Span { began: pause.stopped.unwrap_or(pause.anchor), ended: pause.resumed };
    let certain = pauses.iter().filter(|pause| !pause.may_be_shorter);
    let mut parts: Vec<_> = events.iter().map(of_event).chain(certain.map(of_pause)).collect();
    parts.sort_by_key(|part| part.began);
    let mut spans: Vec<Span> = Vec::new();
    for part in parts {
        match spans.last_mut() {
            Some(last) if last.ended.is_none_or(|ended| part.began <= later(ended, SLACK.as_millis() as u64)) => {
                last.ended = last.ended.zip(part.ended).map(|(last, part)| last.max(part));
            }
            _ => spans.push(part),
        }
    }
    spans
}

/// A pause that may be shorter counts if it lies within one rebalance. Otherwise it is two, of unknown length: an
/// unknown worker has had the partition.
fn settled<'a>(pause: Pause<'a>, spans: &[Span]) -> Vec<Pause<'a>> {
    let Some(stopped) = pause.stopped.filter(|_| pause.may_be_shorter) else { return vec![pause] };
    let is_within = |span: &Span| span.contains(pause.anchor) && span.contains(stopped);
    if pause.resumed.is_some() && spans.iter().any(is_within) {
        return vec![pause];
    }
    let unknown = Pause { stopped: None, ..pause };
    let given_up = Pause { to: None, resumed: None, anchor: stopped, ..unknown };
    if unknown.to.is_none() { vec![given_up] } else { vec![given_up, Pause { from: None, ..unknown }] }
}
