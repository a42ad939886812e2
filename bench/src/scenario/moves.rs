//! Partitions that move between members under traffic: which of them stand still, and for how long.
//!
//! Every partition gets a record each few milliseconds, and every member is followed record by record. The longest time
//! in which nobody was seen to go on is the partition's standstill.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use super::member::Member;
use super::watch::{Place, Watch};
use crate::bench::Bench;
use crate::error::BenchError;
use crate::feed::Feed;
use crate::subject::Subject;
use crate::topic::PARTITIONS;
use crate::wait::wait_until;

/// How often each partition gets a record: the resolution of what is measured.
const EVERY: Duration = Duration::from_millis(5);
/// A standstill after a move would still belong to it.
const SETTLE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(180);

/// Standstills around one move, in seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Standstills {
    pub(super) moved: Vec<f64>,
    pub(super) stayed: Vec<f64>,
}

impl Standstills {
    pub(super) fn extend(&mut self, more: Self) {
        self.moved.extend(more.moved);
        self.stayed.extend(more.stayed);
    }
}

/// A member that has caught up, traffic, and somebody who watches.
pub(super) struct Stage<'a> {
    bench: &'a Bench,
    subject: Subject,
    topic: &'a str,
    group: String,
    watch: Watch,
    first: Member,
    started: Place,
    _feed: Feed,
}

/// A second member, and the partitions it has taken over.
pub(super) struct Second {
    member: Member,
    partitions: BTreeSet<i32>,
}

impl<'a> Stage<'a> {
    pub(super) fn set(bench: &'a Bench, subject: Subject) -> Result<Self, BenchError> {
        let topic = bench.moving()?.topic.as_str();
        let (group, watch) = (bench.fresh(&subject.slug()), Watch::default());
        let first = Member::start(bench, subject, (topic, &group), 0, &watch)?;
        bench.await_committed(topic, &group)?;
        let feed = Feed::start(&bench.brokers, topic, bench.stream(), PARTITIONS, EVERY)?;
        // Until its first record of the traffic each partition stood still, and not for a move.
        let began = Instant::now();
        wait_until("traffic in each partition", PATIENCE, Duration::from_millis(20), || {
            let moving = watch.moving_since(began);
            if moving.len() == PARTITIONS as usize { Ok(()) } else { Err(format!("only {moving:?}")) }
        })?;
        let mut stage = Self { bench, subject, topic, group, watch, first, started: 1, _feed: feed };
        stage.await_shares(None)?;
        Ok(stage)
    }

    /// Starts a second member and waits until it has taken over its half.
    pub(super) fn join(&mut self) -> Result<(Second, Standstills), BenchError> {
        let (names, place) = ((self.topic, self.group.as_str()), self.started);
        let began = Instant::now();
        let mut member = Member::start(self.bench, self.subject, names, place, &self.watch)?;
        self.started += 1;
        self.await_shares(Some(&mut member))?;
        let partitions = self.watch.share(member.place);
        let standstills = self.standstills(&partitions, began);
        Ok((Second { member, partitions }, standstills))
    }

    /// Lets `go` end the second member and waits until the first has all partitions again.
    pub(super) fn part(
        &mut self,
        mut second: Second,
        go: impl FnOnce(&mut Member) -> Result<(), BenchError>,
    ) -> Result<Standstills, BenchError> {
        let began = Instant::now();
        go(&mut second.member)?;
        self.await_shares(None)?;
        let standstills = self.standstills(&second.partitions, began);
        second.member.process.wait()?;
        Ok(standstills)
    }

    /// Until the first has all partitions, or both have their half.
    fn await_shares(&mut self, mut second: Option<&mut Member>) -> Result<(), BenchError> {
        let watch = self.watch.clone();
        let members = if second.is_some() { 2 } else { 1 };
        let has_its_share = |member: &mut Member| -> Result<(), BenchError> {
            member.process.must_run()?;
            let (what, state) = ("its share of the partitions".to_owned(), format!("{:?}", watch.share(member.place)));
            let has_it = watch.share(member.place).len() == PARTITIONS as usize / members;
            if has_it { Ok(()) } else { Err(BenchError::NotInTime { what, patience: PATIENCE, state }) }
        };
        let what = format!("the partitions of {} in {members} shares", self.group);
        wait_until(&what, PATIENCE, Duration::from_millis(20), || {
            has_its_share(&mut self.first)?;
            second.as_deref_mut().map_or(Ok(()), has_its_share)
        })
    }

    fn standstills(&self, moved: &BTreeSet<i32>, since: Instant) -> Standstills {
        thread::sleep(SETTLE);
        let mut standstills = Standstills::default();
        for (partition, standstill) in self.watch.standstills(since) {
            let side = if moved.contains(&partition) { &mut standstills.moved } else { &mut standstills.stayed };
            side.push(standstill.as_secs_f64());
        }
        standstills
    }
}
