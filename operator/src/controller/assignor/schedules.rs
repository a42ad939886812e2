//! A fleet in random order: people who change their minds, pods that take their time to end, killed workers that stay
//! members, reads that are old, operators that die between a read and a write. However it goes, no pod starts while a pod
//! or a worker's membership with another assignor is left; and when everybody has become quiet the fleet has what the
//! object asks for. The choice, the step and the memory are the real ones; cluster and group are a few lines.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    tests::{deployment, object, seen},
    *,
};
use crate::controller::{
    contention,
    memory::Memory,
    step::{Step, next_step},
};

struct Pod {
    name: String,
    assignor: Assignor,
    ends: bool,
}

struct Member {
    client: String,
    assignor: Assignor,
    /// When the coordinator gives it up; none for one that is alive.
    until: Option<u64>,
}

/// A write that was decided and has not arrived yet.
struct Write {
    step: Step,
    assignor: Assignor,
    only_if: Option<u64>,
}

struct World {
    chance: StdRng,
    start: Instant,
    second: u64,
    group: BalanceConsumerGroup,
    live: Deployment,
    version: u64,
    /// What the operator's watch shows.
    watched: Deployment,
    pods: Vec<Pod>,
    made: u64,
    members: Vec<Member>,
    snapshot: Option<Snapshot>,
    memory: Memory,
    write: Option<Write>,
    changes: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let assignor = Assignor::CooperativeSticky;
        let live = deployment(2, 2, false, assignor);
        Self {
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
            snapshot: None,
            memory: Memory::default(),
            write: None,
            changes: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.second)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.chance.random_ratio(1, n)
    }

    /// The operator reads and decides.
    fn pass(&mut self) {
        let now = self.now();
        let wanted = self.group.spec.kafka.consumer.assignor;
        let awaits = workload::spec_replicas(&self.watched) == 0 && workload::assignor(&self.watched) != Some(wanted);
        let remains = awaits.then(|| Remains {
            pods: self.pods.iter().map(|pod| (pod.name.clone(), Some(pod.assignor))).collect(),
            at: now,
        });
        let read = if awaits { self.live.clone() } else { self.watched.clone() };
        self.memory.no_pod = no_pod(Some(&read), remains.as_ref(), self.memory.no_pod);
        let choice = choose(&Inputs {
            group: &self.group,
            workers: Some(&read),
            remains: remains.as_ref(),
            no_pod_since: self.memory.no_pod.map(|(_, since)| since),
            snapshot: self.snapshot.as_ref(),
        });
        if self.group.spec.paused {
            return;
        }
        let last = workload::decided_replicas(&read);
        let decided = self.group.spec.replicas.unwrap_or(last.max(1));
        let step = next_step(Some(&read), choice.replicas(decided), &self.memory, now);
        if step.forget_ranks {
            self.memory.ranked = None;
        }
        if step.rank {
            self.memory.ranked = Some((step.replicas.asked_for.min(decided), now));
        }
        let only_if = choice.replaces.is_some().then_some(self.version);
        self.write = Some(Write { step, assignor: choice.assignor, only_if });
    }

    /// The write arrives, unless it was meant for another version.
    fn arrive(&mut self) {
        let Some(Write { step, assignor, only_if }) = self.write.take() else { return };
        if only_if.is_some_and(|version| version != self.version) {
            return;
        }
        if step.restores {
            let now = self.now();
            contention::restored(&mut self.memory.restores, now);
        }
        let before = self.live.clone();
        if workload::assignor(&before) != Some(assignor) {
            self.changes += 1;
        }
        let Replicas { asked_for, decided, stopped_for } = step.replicas;
        let mut next = deployment(asked_for, decided, stopped_for.is_some(), assignor);
        let differs = workload::spec_replicas(&next) != workload::spec_replicas(&before)
            || workload::assignor(&next) != workload::assignor(&before);
        next.metadata.generation = before.metadata.generation.map(|last| last + i64::from(differs));
        next.status = before.status;
        self.live = next;
        self.version += 1;
        self.watched = self.live.clone();
    }

    /// The cluster takes up the Deployment: one more before one less.
    fn follow(&mut self) {
        let template = workload::assignor(&self.live).unwrap();
        let wanted = usize::try_from(workload::spec_replicas(&self.live)).unwrap();
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
        let status = self.live.status.as_mut().unwrap();
        status.observed_generation = self.live.metadata.generation;
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
            if !self.pods[place].ends {
                let fits = self.members.iter().all(|member| member.assignor == assignor);
                if !joined && fits && self.one_in(2) {
                    self.members.push(Member { client: client.clone(), assignor, until: None });
                }
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
        match self.chance.random_range(0..9) {
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
                let live = self.live.spec.as_mut().unwrap();
                if live.replicas != Some(replicas) {
                    live.replicas = Some(replicas);
                    self.live.metadata.generation = self.live.metadata.generation.map(|last| last + 1);
                    self.version += 1;
                }
            }
            7 => {
                // The operator starts anew; its last write may arrive.
                if self.chance.random() {
                    self.arrive();
                }
                (self.memory, self.snapshot, self.write) = (Memory::default(), None, None);
                self.watched = self.live.clone();
            }
            _ => {
                let assignor = self.members.first().map_or(spec.kafka.consumer.assignor, |member| member.assignor);
                let until = Some(self.second + self.chance.random_range(1..60));
                self.members.push(Member { client: "somebody".into(), assignor, until });
            }
        }
    }

    fn second(&mut self, calm: bool) {
        self.second += 1;
        for _ in 0..4 {
            match self.chance.random_range(0..6) {
                0 => self.pass(),
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
        let decided = usize::try_from(workload::decided_replicas(&self.live)).unwrap();
        workload::assignor(&self.live) == Some(wanted)
            && !workload::is_stopped(&self.live)
            && self.pods.len() == decided
            && self.members.len() == decided
            && self.pods.iter().all(|pod| pod.assignor == wanted && !pod.ends)
    }
}

fn is_worker(member: &Member) -> bool {
    members::is_ours(&member.client, "shop")
}

#[test]
fn no_pod_ever_starts_beside_another_assignor_and_every_change_comes_to_an_end() {
    let schedules = std::env::var("SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let mut changes = 0;
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
    }
    assert!(changes > schedules, "only {changes} changes in {schedules} schedules show nothing");
}
