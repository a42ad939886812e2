//! Workers that leave: the group knows at once, whatever they were doing, and what they had does not stand still.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use balancefleet_e2e::brokers::{Brokers, Use};
use balancefleet_e2e::proxy::{Api, Direction, Proxy, Which};
use balancefleet_kafka::{Admin, Connection, GroupState};

use crate::harness::{Stream, Traffic, Worker, eventually, folded, free_port};
use crate::scene::{SOON, Scene};
use crate::traffic::Load;

/// Nothing may wait for it to end.
const SESSION: (&str, &str) = ("KAFKA_SESSION_TIMEOUT", "60s");

/// How often, and how soon things have to happen.
#[derive(Clone, Copy)]
struct Demand {
    rounds: usize,
    /// From SIGTERM until the group's coordinator does not name the member any more.
    gone_within: Duration,
    /// How long a partition that moves may stand still,
    longest: Duration,
    /// and half of them.
    median: Duration,
}

/// Beside other tests: what does not wait for the session to end.
const ONCE: Demand = Demand {
    rounds: 1,
    gone_within: Duration::from_secs(30),
    longest: Duration::from_secs(40),
    median: Duration::from_secs(40),
};
/// With the machine to itself: what is promised.
const OFTEN: Demand = Demand {
    rounds: 10,
    gone_within: Duration::from_secs(1),
    longest: Duration::from_secs(4),
    median: Duration::from_millis(2500),
};

/// The group, as its coordinator sees it.
pub(crate) struct Group {
    admin: Admin,
    name: String,
}

impl Group {
    pub(crate) fn of(stream: &Stream) -> Self {
        let admin = Admin::connect(&Connection::plaintext(stream.bootstrap.clone()), "leaving").unwrap();
        Self { admin, name: stream.group.clone() }
    }

    fn describe(&self) -> Result<(GroupState, Vec<String>), String> {
        let described = self.admin.describe_groups(&[&self.name], Duration::from_secs(5));
        let group = described.map_err(|error| error.to_string())?.remove(0).1.map_err(|error| error.to_string())?;
        Ok((group.state, group.members.into_iter().map(|member| member.client_id).collect()))
    }

    #[track_caller]
    fn await_members(&self, count: usize) {
        eventually(SOON, || match self.describe()? {
            (GroupState::Stable, members) if members.len() == count => Ok(()),
            found => Err(format!("{found:?}")),
        });
    }

    /// How long until the member of a pod is gone.
    #[track_caller]
    pub(crate) fn await_absence(&self, pod: &str) -> Duration {
        let asked = Instant::now();
        eventually(SOON, || {
            let (_, members) = self.describe()?;
            let is_there = members.iter().any(|member| member.contains(&format!("-{pod}-")));
            if is_there { Err(format!("{members:?}")) } else { Ok(()) }
        });
        asked.elapsed()
    }
}

fn start(stream: &Stream, pod: &str, settings: &[(&str, &str)]) -> Worker {
    Worker::start(stream, free_port(), &[&[SESSION, ("POD_NAME", pod)], settings].concat())
}

#[track_caller]
fn leaves_at_once(group: &Group, mut worker: Worker, pod: &str, state: &str, demand: Demand) {
    let asked = Instant::now();
    worker.signal("TERM");
    group.await_absence(pod);
    let took = asked.elapsed();
    eprintln!("leaving: {state}: out of the group after {took:?}");
    assert!(took <= demand.gone_within, "{state}: out of the group after {took:?}: {}", worker.log());
    assert_eq!(worker.await_end().code(), Some(0), "{state}");
    assert_eq!(worker.log().matches("left the group").count(), 1, "{state}: {}", worker.log());
}

fn stream(brokers: &Brokers, name: &str, partitions: i32) -> Stream {
    let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), name, partitions);
    stream.make(&[]);
    stream
}

/// The one without partitions, then the one that has them all.
fn idle_and_owning(assignor: &str, demand: Demand) {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let stream = stream(&brokers, &format!("leave-idle-{assignor}"), 1);
    let (group, assignor) = (Group::of(&stream), ("KAFKA_ASSIGNOR", assignor));
    let settings = [assignor];
    let owner = start(&stream, "a-owner", &settings);
    eventually(SOON, || if owner.partitions()?.is_empty() { Err("nothing came".to_owned()) } else { Ok(()) });
    for _ in 0..demand.rounds {
        // Of members that join by these names, every assignor gives the partition to the first.
        let idle = start(&stream, "b-idle", &settings);
        group.await_members(2);
        eventually(SOON, || {
            let shares = (owner.partitions()?, idle.partitions()?);
            if shares == (vec![0], vec![]) { Ok(()) } else { Err(format!("{shares:?}")) }
        });
        leaves_at_once(&group, idle, "b-idle", "idle", demand);
    }
    leaves_at_once(&group, owner, "a-owner", "owning", demand);
    for _ in 1..demand.rounds {
        let owner = start(&stream, "a-owner", &settings);
        group.await_members(1);
        leaves_at_once(&group, owner, "a-owner", "owning", demand);
    }
}

fn restoring(demand: Demand) {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let stream = stream(&brokers, "leave-restoring", 2);
    folded(&stream, &mut Traffic::new(5, 20), 200, &[]);
    let group = Group::of(&stream);
    for _ in 0..demand.rounds {
        let proxy = Proxy::start(stream.bootstrap.split(',').next().unwrap()).unwrap();
        let restore = proxy.hold(Api::Fetch, Direction::Response, Which::Every);
        let worker = start(&stream, "restoring", &[("KAFKA_BOOTSTRAP_SERVERS", proxy.bootstrap())]);
        restore.wait_for(1, SOON).unwrap();
        group.await_members(1);
        leaves_at_once(&group, worker, "restoring", "restoring", demand);
    }
}

fn failed(demand: Demand) {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let stream = stream(&brokers, "leave-failed", 2);
    folded(&stream, &mut Traffic::new(6, 20), 200, &[]);
    stream.commit_as_another_program(1);
    let group = Group::of(&stream);
    for _ in 0..demand.rounds {
        let worker = start(&stream, "failed", &[]);
        eventually(SOON, || match worker.get("/readyz")? {
            (503, body) if body.contains("somebody moved the group's offsets") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        leaves_at_once(&group, worker, "failed", "failed", demand);
    }
}

/// A member that is about to rejoin cannot leave before all have joined.
fn rebalancing(demand: Demand) {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let stream = stream(&brokers, "leave-rebalancing", 4);
    let group = Group::of(&stream);
    for _ in 0..demand.rounds {
        let (mut leaver, other) = (start(&stream, "leaver", &[]), start(&stream, "other", &[]));
        group.await_members(2);
        other.signal("STOP");
        let newcomer = start(&stream, "newcomer", &[]);
        eventually(SOON, || match group.describe()? {
            (GroupState::PreparingRebalance, _) => Ok(()),
            found => Err(format!("{found:?}")),
        });
        // By now it has joined.
        sleep(Duration::from_secs(2));
        leaver.signal("TERM");
        sleep(Duration::from_millis(500));
        assert!(group.describe().unwrap().1.iter().any(|member| member.contains("-leaver-")));
        other.signal("CONT");
        let took = group.await_absence("leaver");
        eprintln!("leaving: rebalancing: out of the group {took:?} after the last one joined");
        assert!(took <= demand.gone_within, "{took:?}: {}", leaver.log());
        assert_eq!(leaver.await_end().code(), Some(0));
        for (worker, pod) in [(newcomer, "newcomer"), (other, "other")] {
            worker.signal("TERM");
            group.await_absence(pod);
        }
    }
}

#[test]
fn a_worker_with_and_without_partitions_is_out_of_the_group_at_once() {
    idle_and_owning("cooperative-sticky", ONCE);
}

#[test]
fn a_worker_of_an_eager_group_is_out_of_it_at_once() {
    idle_and_owning("range", ONCE);
}

#[test]
fn a_restoring_worker_is_out_of_the_group_at_once() {
    restoring(ONCE);
}

#[test]
fn a_failed_worker_is_out_of_the_group_at_once() {
    failed(ONCE);
}

#[test]
fn a_worker_is_out_of_the_group_as_soon_as_a_rebalance_lets_it() {
    rebalancing(ONCE);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn each_time_out_of_the_group_at_once() {
    for assignor in ["cooperative-sticky", "range", "roundrobin"] {
        idle_and_owning(assignor, OFTEN);
    }
    restoring(OFTEN);
    failed(OFTEN);
    rebalancing(OFTEN);
}

/// How long each partition stood still, the longest time without a step of its committed offset: until all of them have
/// gone on since the group has had `members`, or one stands still for longer than `longest`.
fn standstill(group: &Group, topic: &str, members: usize, longest: Duration) -> BTreeMap<i32, Duration> {
    /// Two steps: the first one may be the last of a worker that leaves.
    const GONE_ON: u32 = 2;
    struct Step {
        offset: i64,
        at: Instant,
        longest: Duration,
        since_settled: u32,
    }
    let mut steps = BTreeMap::<i32, Step>::new();
    let mut is_settled = false;
    loop {
        is_settled =
            is_settled || matches!(group.describe(), Ok((GroupState::Stable, found)) if found.len() == members);
        let committed =
            group.admin.committed_offsets(&group.name, None, false, Duration::from_secs(5)).unwrap_or_default();
        let now = Instant::now();
        for (partition, offset) in
            committed.iter().filter(|it| it.topic == topic).filter_map(|it| Some((it.partition, it.offset?)))
        {
            let new = Step { offset, at: now, longest: Duration::ZERO, since_settled: 0 };
            let step = steps.entry(partition).or_insert(new);
            step.longest = step.longest.max(now - step.at);
            if step.offset != offset {
                (step.offset, step.at) = (offset, now);
                step.since_settled += u32::from(is_settled);
            }
        }
        let gone_on = !steps.is_empty() && steps.values().all(|step| step.since_settled >= GONE_ON);
        if gone_on || steps.values().any(|step| step.longest > longest) {
            return steps.into_iter().map(|(partition, step)| (partition, step.longest)).collect();
        }
        sleep(Duration::from_millis(20));
    }
}

/// Of `from` workers the last ones leave together until `to` are left; the standstills of the partitions that moved.
fn shrink(scene: &mut Scene, from: usize, to: usize, longest: Duration) -> Vec<Duration> {
    let group = Group::of(&scene.stream);
    (0..from).for_each(|place| {
        if !scene.places().contains(&place) {
            scene.start(place);
        }
    });
    for place in scene.places().into_iter().filter(|place| *place >= from) {
        scene.stop(place);
    }
    group.await_members(from);
    scene.await_fresh();
    let leaving: Vec<_> = (to..from).collect();
    let moved: Vec<_> = leaving.iter().flat_map(|place| scene.worker(*place).partitions().unwrap()).collect();
    for place in &leaving {
        scene.worker(*place).signal("TERM");
    }
    let stood = standstill(&group, &scene.stream.topic, to, longest);
    scene.forget(&leaving);
    scene.await_fresh();
    eprintln!("leaving: {from} to {to}: moved {moved:?}, stood still {stood:?}");
    for (partition, stood) in &stood {
        assert!(*stood <= longest, "{from} to {to}: partition {partition} stood still for {stood:?}");
    }
    moved.iter().map(|partition| stood[partition]).collect()
}

fn fleet_that_shrinks(name: &str, steps: &[(usize, usize)], demand: Demand) {
    let mut scene = Scene::with(name, &[SESSION], Load::default(), Use::Shared);
    let mut stood: Vec<_> = (0..demand.rounds)
        .flat_map(|_| steps)
        .flat_map(|(from, to)| shrink(&mut scene, *from, *to, demand.longest))
        .collect();
    stood.sort_unstable();
    let (median, longest) = (stood[stood.len() / 2], stood[stood.len() - 1]);
    eprintln!("leaving: {} moved partitions stood still {median:?} (median), {longest:?} at most", stood.len());
    assert!(median <= demand.median, "{stood:?}");
    scene.finish();
}

#[test]
fn partitions_of_workers_that_leave_together_do_not_stand_still() {
    fleet_that_shrinks("shrink", &[(8, 3), (2, 1)], ONCE);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn partitions_never_stand_still_when_a_fleet_shrinks() {
    fleet_that_shrinks("shrink-often", &[(8, 6), (8, 3), (7, 3), (2, 1)], OFTEN);
}
