//! Random schedules of a fleet: users change their minds, pods end slowly, killed workers stay members (even longer
//! than their Deployment and all pods), reads are old, operators die between a read and a write. In every schedule, no
//! pod starts while a pod or a member with another assignor is left; and when nothing happens any more, the fleet has
//! what the object asks for. The choice, the replica change and the object's state are the real code; cluster and group
//! are simulated.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    tests::{deployment, object, seen},
    *,
};
use crate::controller::{
    contention,
    object_state::ObjectState,
    replica_change::{ReplicaChange, next_change},
};

struct Pod {
    name: String,
    assignor: Assignor,
    ends: bool,
}

struct Member {
    client: String,
    assignor: Assignor,
    /// When its session ends; `None` for a member that is alive.
    until: Option<u64>,
}

/// A write that was decided and has not arrived yet.
struct Write {
    change: ReplicaChange,
    assignor: Assignor,
    only_if: Option<u64>,
}

struct World {
    chance: StdRng,
    start: Instant,
    second: u64,
    group: BalanceConsumerGroup,
    live: Option<Deployment>,
    version: u64,
    /// What the operator's watch shows.
    watched: Option<Deployment>,
    pods: Vec<Pod>,
    made: u64,
    members: Vec<Member>,
    /// Whether the operator reads the group.
    watches: bool,
    snapshot: Option<Snapshot>,
    state: ObjectState,
    write: Option<Write>,
    changes: u64,
    /// Reconciles that found members that outlived Deployment and pods and keep another assignor waiting.
    outlived: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let assignor = Assignor::CooperativeSticky;
        let live = Some(deployment(2, 2, false, assignor));
        let mut world = Self {
            chance: StdRng::seed_from_u64(seed),
            start: Instant::now(),
            second: 0,
            group: object(assignor, None),
            watched: live.clone(),
            live,
            version: 1,
            pods: Vec::new(),
            made: 0,
            members: Vec::new(),
            watches: false,
            snapshot: None,
            state: ObjectState::default(),
            write: None,
            changes: 0,
            outlived: 0,
        };
        // By the operator that has made the Deployment.
        world.record(Some(assignor));
        world
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.second)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.chance.random_ratio(1, n)
    }

    /// The operator reads and decides.
    fn reconcile(&mut self) {
        let now = self.now();
        // Where the watch shows none the API server is asked.
        let mut read = self.watched.clone().or_else(|| self.live.clone());
        let asks = needs_remaining_pods(&self.group, read.as_ref(), !self.pods.is_empty(), self.snapshot.as_ref());
        let remaining_pods = asks.then(|| {
            read.clone_from(&self.live);
            RemainingPods {
                pods: self.pods.iter().map(|pod| (pod.name.clone(), Some(pod.assignor))).collect(),
                at: now,
            }
        });
        let snapshot = self.snapshot.as_ref();
        let pods: Vec<_> = self.pods.iter().map(|pod| pod.name.clone()).collect();
        let choice =
            evaluate(&self.group, read.as_ref(), &pods, remaining_pods.as_ref(), snapshot, &mut self.state.no_pod);
        if self.group.spec.paused {
            self.record(choice.pending.map(|pending| pending.from));
            return;
        }
        if let Some(pending) = choice.pending.as_ref().filter(|_| read.is_none()) {
            self.outlived += u64::from(matches!(pending.obstacle, Obstacle::Members(_)));
            self.watches = true;
            self.record(Some(pending.from));
            return;
        }
        let last = read.as_ref().map_or(0, workload::replicas_in_annotation);
        let desired = self.group.spec.replicas.unwrap_or(last.max(1));
        let change = next_change(read.as_ref(), choice.replicas(desired), &self.state, now);
        if change.forget_deletion_cost {
            self.state.deletion_cost_written = None;
        }
        if change.write_deletion_cost {
            self.state.deletion_cost_written = Some((change.replicas.spec.min(desired), now));
        }
        let only_if = (choice.replaces.is_some() && read.is_some()).then_some(self.version);
        self.write = Some(Write { change, assignor: choice.assignor, only_if });
    }

    /// What the status says of the workers.
    fn record(&mut self, assignor: Option<Assignor>) {
        let Some(assignor) = assignor else { return };
        self.group.status.get_or_insert_default().assignor = Some(assignor.as_str().to_owned());
    }

    /// The write arrives, unless it was meant for another version.
    fn arrive(&mut self) {
        let Some(Write { change, assignor, only_if }) = self.write.take() else { return };
        if only_if.is_some_and(|version| version != self.version) {
            return;
        }
        if change.reverts {
            let now = self.now();
            contention::record_revert(&mut self.state.reverts, now);
        }
        let before = self.live.take();
        if before.as_ref().and_then(workload::assignor) != Some(assignor) {
            self.changes += 1;
        }
        let Replicas { spec, annotated, stopped_for } = change.replicas;
        let mut next = deployment(spec, annotated, stopped_for.is_some(), assignor);
        next.status = None;
        if let Some(before) = before {
            let differs = workload::spec_replicas(&next) != workload::spec_replicas(&before)
                || workload::assignor(&next) != workload::assignor(&before);
            next.metadata.generation = before.metadata.generation.map(|last| last + i64::from(differs));
            next.status = before.status;
        }
        self.live = Some(next);
        self.version += 1;
        self.watched = self.live.clone();
        self.watches = true;
        self.record(Some(assignor));
    }

    /// The cluster takes up the Deployment: one more before one less.
    fn follow(&mut self) {
        let Some(live) = &self.live else { return self.pods.iter_mut().for_each(|pod| pod.ends = true) };
        let template = workload::assignor(live).unwrap();
        let wanted = usize::try_from(workload::spec_replicas(live)).unwrap();
        let alive = |pods: &[Pod]| pods.iter().filter(|pod| !pod.ends).count();
        if wanted == 0 {
            self.pods.iter_mut().for_each(|pod| pod.ends = true);
        } else {
            let old = self.pods.iter().any(|pod| !pod.ends && pod.assignor != template);
            while alive(&self.pods) < wanted + usize::from(old) {
                self.start_pod(template);
            }
            while alive(&self.pods) > wanted + usize::from(old) {
                let last = self.pods.iter_mut().rev().find(|pod| !pod.ends).unwrap();
                last.ends = true;
            }
        }
        let live = self.live.as_mut().unwrap();
        let status = live.status.get_or_insert_default();
        status.observed_generation = live.metadata.generation;
        status.replicas = Some(i32::try_from(alive(&self.pods)).unwrap());
        self.version += 1;
    }

    /// The promise.
    fn start_pod(&mut self, assignor: Assignor) {
        let other = self.pods.iter().find(|pod| pod.assignor != assignor).map(|pod| pod.name.clone());
        let member = self.members.iter().find(|member| is_worker(member) && member.assignor != assignor);
        let other = other.or_else(|| member.map(|member| member.client.clone()));
        assert_eq!(other, None, "a pod with {assignor} starts beside it, at second {}", self.second);
        self.made += 1;
        self.pods.push(Pod { name: format!("shop-5d4f-{:05}", self.made), assignor, ends: false });
    }

    /// Pods join, end, are killed, or are forced out of the API server while their process lives on.
    fn live_on(&mut self) {
        for place in (0..self.pods.len()).rev() {
            let client = format!("balance-worker-{}-0123abcd", self.pods[place].name);
            let joined = self.members.iter().any(|member| member.client == client && member.until.is_none());
            let assignor = self.pods[place].assignor;
            // One that is being terminated may have asked to join before.
            let fits = self.members.iter().all(|member| member.assignor == assignor);
            if !joined && fits && self.one_in(2) {
                self.members.push(Member { client: client.clone(), assignor, until: None });
            }
            if !self.pods[place].ends {
                if self.one_in(30) {
                    self.give_up(&client, 10);
                }
                continue;
            }
            if self.one_in(3) {
                match self.chance.random_range(0..4) {
                    0 => self.give_up(&client, 10),
                    1 => self.give_up(&client, 40),
                    _ => self.members.retain(|member| member.client != client),
                }
                self.pods.remove(place);
            }
        }
        let second = self.second;
        self.members.retain(|member| member.until.is_none_or(|until| until > second));
    }

    fn give_up(&mut self, client: &str, after: u64) {
        let until = Some(self.second + after);
        self.members.iter_mut().filter(|member| member.client == client).for_each(|member| member.until = until);
    }

    fn poll(&mut self) {
        if !self.watches {
            return;
        }
        let clients: Vec<&str> = self.members.iter().map(|member| member.client.as_str()).collect();
        let state = if clients.is_empty() { GroupState::Empty } else { GroupState::Stable };
        let agreed = self.members.first().map(|member| member.assignor);
        self.snapshot = Some(if self.chance.random_ratio(1, 8) {
            seen(self.now(), None, None, &[])
        } else {
            seen(self.now(), Some(state), agreed, &clients)
        });
    }

    /// Somebody does something, in any order.
    fn disturb(&mut self) {
        let spec = &mut self.group.spec;
        match self.chance.random_range(0..10) {
            0 | 1 => spec.kafka.consumer.assignor = Assignor::ALL[self.chance.random_range(0..3)],
            2 => {
                let recreate = self.chance.random_ratio(2, 3);
                spec.kafka.consumer.assignor_change = recreate.then_some(AssignorChange::Recreate);
            }
            3 => spec.replicas = Some(self.chance.random_range(0..4)),
            4 => spec.replicas = None,
            5 => spec.paused = self.chance.random_ratio(1, 3),
            6 => {
                // Past the object.
                let replicas = self.chance.random_range(0..4);
                let live = self.live.as_mut().filter(|live| workload::spec_replicas(live) != replicas);
                if let Some(live) = live {
                    live.spec.as_mut().unwrap().replicas = Some(replicas);
                    live.metadata.generation = live.metadata.generation.map(|last| last + 1);
                    self.version += 1;
                }
            }
            7 => {
                // The operator starts anew; its last write may arrive.
                if self.chance.random() {
                    self.arrive();
                }
                (self.state, self.snapshot, self.write, self.watches) = (ObjectState::default(), None, None, false);
                self.watched = self.live.clone();
            }
            8 => self.remove_deployment(),
            _ => {
                let assignor = self.members.first().map_or(spec.kafka.consumer.assignor, |member| member.assignor);
                let until = Some(self.second + self.chance.random_range(1..60));
                self.members.push(Member { client: "somebody".into(), assignor, until });
            }
        }
    }

    /// Its pods end in their time, or are forced out with it; then their processes are killed and stay members for a
    /// while. In that time somebody may well have changed the assignor.
    fn remove_deployment(&mut self) {
        self.live = None;
        self.version += 1;
        if self.chance.random() {
            for pod in std::mem::take(&mut self.pods) {
                self.give_up(&format!("balance-worker-{}-0123abcd", pod.name), 40);
            }
        }
        if self.chance.random() {
            self.group.spec.kafka.consumer.assignor = Assignor::ALL[self.chance.random_range(0..3)];
        }
    }

    fn second(&mut self, calm: bool) {
        self.second += 1;
        for _ in 0..4 {
            match self.chance.random_range(0..6) {
                0 => self.reconcile(),
                1 => self.arrive(),
                2 => self.follow(),
                3 => self.live_on(),
                4 => self.watched = self.live.clone(),
                _ if self.one_in(3) => self.poll(),
                _ => {}
            }
        }
        if !calm && self.one_in(12) {
            self.disturb();
        }
    }

    fn is_as_asked_for(&self) -> bool {
        let wanted = self.group.spec.kafka.consumer.assignor;
        let Some(live) = &self.live else { return false };
        let annotated = usize::try_from(workload::replicas_in_annotation(live)).unwrap();
        workload::assignor(live) == Some(wanted)
            && !workload::is_stopped(live)
            && self.pods.len() == annotated
            && self.members.len() == annotated
            && self.pods.iter().all(|pod| pod.assignor == wanted && !pod.ends)
    }
}

fn is_worker(member: &Member) -> bool {
    members::is_ours(&member.client, "shop")
}

#[test]
fn no_pod_ever_starts_beside_another_assignor_and_every_change_comes_to_an_end() {
    let schedules = std::env::var("SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let (mut changes, mut outlived) = (0, 0);
    for seed in 0..schedules {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.second(false);
        }
        let consumer = &mut world.group.spec.kafka.consumer;
        consumer.assignor_change = Some(AssignorChange::Recreate);
        world.group.spec.paused = false;
        let calm = world.second;
        while !world.is_as_asked_for() {
            assert!(world.second < calm + 3_000, "schedule {seed} does not come to an end");
            world.second(true);
        }
        changes += world.changes;
        outlived += world.outlived;
    }
    assert!(changes > schedules, "only {changes} changes in {schedules} schedules show nothing");
    assert!(outlived > schedules / 10, "members outlived Deployment and pods in only {outlived} reconciles");
}
