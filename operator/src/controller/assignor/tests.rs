//! Promises of the choice, one situation after the other.

use balancefleet_autoscaler::{Decision, LagReading, Reason};
use balancefleet_crds::BalanceConsumerGroupStatus;
use serde_json::json;

use super::*;
use crate::{
    controller::build::fixtures::minimal,
    poller::{MemberLag, Rounded},
};
use Assignor::{CooperativeSticky as Sticky, Range};

pub(super) const OURS: &str = "balance-worker-shop-5d4f-aaaaa-0123abcd";

/// An object that asks for this assignor.
pub(super) fn object(assignor: Assignor, change: Option<AssignorChange>) -> BalanceConsumerGroup {
    let mut group = minimal();
    group.spec.kafka.consumer.assignor = assignor;
    group.spec.kafka.consumer.assignor_change = change;
    group
}

/// Workers as they were last written, and as the cluster has followed.
pub(super) fn deployment(replicas: i32, decided: i32, stopped: bool, assignor: Assignor) -> Deployment {
    let mut live: Deployment = serde_json::from_value(json!({
        "metadata": {"generation": 4, "annotations": {
            "balancefleet.io/replicas": decided.to_string(), "balancefleet.io/assignor": assignor.protocol_name()}},
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
        "status": {"observedGeneration": 4, "replicas": replicas},
    }))
    .unwrap();
    if stopped {
        live.annotations_mut().insert("balancefleet.io/stopped-for-assignor".into(), "range".into());
    }
    live
}

/// A group as it was read then.
pub(super) fn seen(at: Instant, state: Option<GroupState>, assignor: Option<Assignor>, clients: &[&str]) -> Snapshot {
    let member = |client: &&str| MemberLag { client_id: (*client).to_owned(), partitions: Vec::new(), lag: None };
    Snapshot {
        lag: LagReading::Unknown,
        rounded: Rounded::default(),
        partitions: Some(6),
        topic_id: None,
        group_state: state,
        group_assignor: assignor.map(|assignor| assignor.protocol_name().to_owned()),
        members: clients.iter().map(member).collect(),
        decision: Decision {
            replicas: 3,
            reason: Reason::Sufficient,
            explanation: String::new(),
            needed: None,
            blocked_by: None,
            limited_by: None,
            hot_partition: None,
            confirm: false,
            candidates: Vec::new(),
            capacity: None,
            arrival_rate: None,
        },
        problem: None,
        taken_at: at,
    }
}

struct Case {
    group: BalanceConsumerGroup,
    workers: Option<Deployment>,
    /// As the watch shows them.
    watched: Vec<String>,
    /// As the API server says, where it is asked.
    pods: Option<Vec<(&'static str, Option<Assignor>)>>,
    no_pod_since: Option<Instant>,
    snapshot: Option<Snapshot>,
}

impl Case {
    /// Workers run; nothing else is known.
    fn running(change: Option<AssignorChange>) -> Self {
        let workers = Some(deployment(3, 3, false, Sticky));
        let watched = vec!["shop-5d4f-aaaaa".to_owned()];
        Self { group: object(Range, change), workers, watched, pods: None, no_pod_since: None, snapshot: None }
    }

    /// All were stopped, no pod is left, and the group was read as this.
    fn stopped(now: Instant, snapshot: Option<Snapshot>) -> Self {
        let workers = Some(deployment(0, 3, true, Sticky));
        let group = object(Range, Some(AssignorChange::Recreate));
        Self { group, workers, watched: Vec::new(), pods: Some(Vec::new()), no_pod_since: Some(now), snapshot }
    }

    fn choice(&self) -> AssignorChoice {
        let remaining_pods = self.pods.as_ref().map(|pods| RemainingPods {
            pods: pods.iter().map(|(name, assignor)| ((*name).to_owned(), *assignor)).collect(),
            at: Instant::now(),
        });
        choose(&Inputs {
            group: &self.group,
            workers: self.workers.as_ref(),
            pods: &self.watched,
            remaining_pods: remaining_pods.as_ref(),
            no_pod_since: self.no_pod_since,
            snapshot: self.snapshot.as_ref(),
        })
    }

    /// The Deployment is gone, its workers had this, and no pod is left.
    fn gone(now: Instant, had: Option<Assignor>, snapshot: Option<Snapshot>) -> Self {
        let mut case = Self { workers: None, snapshot, ..Self::stopped(now, None) };
        case.group = object(Range, None);
        let assignor = had.map(|assignor| assignor.as_str().to_owned());
        case.group.status = Some(BalanceConsumerGroupStatus { assignor, ..Default::default() });
        case
    }

    fn pending(&self) -> (Assignor, Obstacle, ChangeMode) {
        let choice = self.choice();
        let pending = choice.pending.expect("a change that waits");
        assert_eq!((pending.from, pending.to, choice.replaces), (choice.assignor, Range, None));
        (choice.assignor, pending.obstacle, pending.mode)
    }
}

const RECREATE: Option<AssignorChange> = Some(AssignorChange::Recreate);
const STABLE: Option<GroupState> = Some(GroupState::Stable);
const EMPTY: Option<GroupState> = Some(GroupState::Empty);

#[test]
fn running_workers_keep_the_assignor_they_have() {
    let case = Case::running(None);
    assert_eq!(case.pending(), (Sticky, Obstacle::Running, ChangeMode::Manual));
    assert_eq!(case.choice().replicas(3), Replicas::both(3), "and their number");
    assert_eq!(case.choice().requeue_after(), None, "nothing happens until somebody acts");
    let back = Case { group: object(Sticky, None), ..Case::running(None) };
    assert_eq!(back.choice(), AssignorChoice { assignor: Sticky, pending: None, replaces: None });
}

#[test]
fn recreate_stops_all_workers_and_remembers_their_number() {
    let now = Instant::now();
    let case = Case { snapshot: Some(seen(now, STABLE, Some(Sticky), &[OURS])), ..Case::running(RECREATE) };
    assert_eq!(case.pending(), (Sticky, Obstacle::Running, ChangeMode::Recreate));
    assert_eq!(case.choice().replicas(3), Replicas::stopped(3, Range));
}

#[test]
fn recreate_does_not_stop_what_could_not_start_again() {
    let now = Instant::now();
    let unread = seen(now, None, None, &[]);
    for snapshot in [None, Some(unread)] {
        let case = Case { snapshot, ..Case::running(RECREATE) };
        assert_eq!(case.pending(), (Sticky, Obstacle::Running, ChangeMode::Blocked(Obstacle::GroupNotRead)));
        assert_eq!(case.choice().replicas(3), Replicas::both(3));
    }
    let foreign = seen(now, STABLE, Some(Sticky), &[OURS, "somebody"]);
    let case = Case { snapshot: Some(foreign), ..Case::running(RECREATE) };
    assert_eq!(case.pending().2, ChangeMode::Blocked(Obstacle::Members(vec!["somebody".into()])));
}

#[test]
fn what_is_left_of_stopped_workers_is_waited_for() {
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let members = Some(seen(later, STABLE, Some(Sticky), &[OURS]));
    let stays = |case: &Case, obstacle: Obstacle| {
        assert_eq!(case.pending(), (Sticky, obstacle, ChangeMode::Recreate));
        assert_eq!(case.choice().replicas(3), Replicas::stopped(3, Range));
        let triggers_by_itself = matches!(case.pending().1, Obstacle::Members(_));
        assert_eq!(case.choice().requeue_after(), (!triggers_by_itself).then_some(REQUEUE_AFTER));
    };
    let ends = vec![("shop-5d4f-aaaaa", Some(Sticky))];
    stays(&Case { pods: Some(ends), ..Case::stopped(now, None) }, Obstacle::Pods(vec!["shop-5d4f-aaaaa".into()]));
    stays(&Case { pods: None, ..Case::stopped(now, None) }, Obstacle::Pods(Vec::new()));
    stays(&Case::stopped(now, None), Obstacle::GroupNotRead);
    let early = now.checked_sub(Duration::from_secs(1)).unwrap();
    stays(&Case::stopped(now, Some(seen(early, EMPTY, None, &[]))), Obstacle::GroupNotRead);
    stays(&Case::stopped(now, members), Obstacle::Members(vec![OURS.into()]));
    for state in [None, Some(GroupState::PreparingRebalance), Some(GroupState::Unknown)] {
        stays(&Case::stopped(now, Some(seen(later, state, None, &[]))), Obstacle::GroupNotRead);
    }
}

#[test]
fn an_empty_group_without_pods_gets_the_new_assignor_and_the_former_number() {
    let now = Instant::now();
    for state in [GroupState::Empty, GroupState::Dead] {
        let case = Case::stopped(now, Some(seen(now, Some(state), None, &[])));
        let choice = case.choice();
        assert_eq!(choice, AssignorChoice { assignor: Range, pending: None, replaces: Some(Sticky) });
        assert_eq!(choice.replicas(3), Replicas::both(3));
        // The same for a fleet that a user has taken to 0.
        let by_hand = Case { workers: Some(deployment(0, 0, false, Sticky)), group: object(Range, None), ..case };
        assert_eq!(by_hand.choice(), choice);
    }
}

#[test]
fn whoever_changes_the_object_back_gets_the_former_workers_back() {
    let case = Case { group: object(Sticky, RECREATE), ..Case::stopped(Instant::now(), None) };
    assert_eq!(case.choice(), AssignorChoice { assignor: Sticky, pending: None, replaces: None });
    assert_eq!(case.choice().replicas(3), Replicas::both(3));
    let held = Case { group: object(Range, None), ..Case::stopped(Instant::now(), None) };
    assert_eq!(held.choice().replicas(3), Replicas::both(3), "so does whoever takes the order to recreate back");
}

#[test]
fn a_paused_object_changes_nothing() {
    let now = Instant::now();
    let mut case = Case::stopped(now, Some(seen(now, EMPTY, None, &[])));
    case.group.spec.paused = true;
    assert_eq!(case.pending().1, Obstacle::Paused);
}

#[test]
fn what_the_members_agreed_on_goes_before_what_a_template_says() {
    // A release without the hold had begun to roll out what cannot join.
    let mut case = Case { workers: Some(deployment(3, 3, false, Range)), ..Case::running(None) };
    assert_eq!(case.choice().pending, None);
    case.snapshot = Some(seen(Instant::now(), STABLE, Some(Sticky), &[OURS]));
    assert_eq!(case.pending(), (Sticky, Obstacle::Running, ChangeMode::Manual));
    case.watched = vec!["shop-9c1e-bbbbb".into()];
    assert_eq!(case.choice().pending, None, "nor do killed workers, which an earlier object of that name may have had");
    case.snapshot = Some(seen(Instant::now(), STABLE, Some(Sticky), &["somebody"]));
    assert_eq!(case.choice().pending, None, "foreign members say nothing about our workers");
}

#[test]
fn a_template_without_a_record_is_known_by_its_environment() {
    let mut live = deployment(3, 3, false, Sticky);
    live.annotations_mut().remove("balancefleet.io/assignor");
    let container = json!({"name": "worker", "env": [{"name": "KAFKA_ASSIGNOR", "value": "roundrobin"}]});
    let pod = serde_json::from_value(json!({"containers": [container]})).unwrap();
    live.spec.as_mut().unwrap().template.spec = Some(pod);
    assert_eq!(workload::assignor(&live), Some(Assignor::RoundRobin));
}

#[test]
fn pods_of_a_deployment_that_is_gone_are_waited_for_if_they_have_another_assignor() {
    let of = |assignor| Case { workers: None, pods: Some(vec![("old", Some(assignor))]), ..Case::running(None) };
    assert_eq!(of(Sticky).pending().1, Obstacle::Pods(vec!["old".into()]));
    assert_eq!(of(Range).choice().pending, None);
    assert_eq!(Case { pods: None, ..of(Sticky) }.choice().pending, None, "a first Deployment waits for nothing");
}

#[test]
fn members_of_a_deployment_that_is_gone_are_waited_for_if_they_have_another_assignor() {
    let now = Instant::now();
    let early = now.checked_sub(Duration::from_secs(1)).unwrap();
    let killed = |at| Some(seen(at, STABLE, Some(Sticky), &[OURS]));
    let ours = || Obstacle::Members(vec![OURS.into()]);
    for (had, snapshot, obstacle) in [
        (Some(Sticky), killed(now), ours()),
        (None, killed(now), ours()),
        (Some(Range), killed(now), ours()),
        (
            Some(Sticky),
            Some(seen(now, STABLE, Some(Sticky), &["somebody"])),
            Obstacle::Members(vec!["somebody".into()]),
        ),
        (None, killed(early), Obstacle::GroupNotRead),
        (Some(Sticky), Some(seen(early, EMPTY, None, &[])), Obstacle::GroupNotRead),
        (Some(Sticky), Some(seen(now, None, None, &[])), Obstacle::GroupNotRead),
        (Some(Sticky), None, Obstacle::GroupNotRead),
    ] {
        let case = Case::gone(now, had, snapshot);
        assert_eq!(case.pending(), (Sticky, obstacle, ChangeMode::Recreate), "had {had:?}");
    }
    let left = Case::gone(now, Some(Sticky), Some(seen(now, EMPTY, None, &[])));
    assert_eq!(left.choice(), AssignorChoice { assignor: Range, pending: None, replaces: Some(Sticky) });
    let joinable = Case::gone(now, Some(Sticky), Some(seen(now, STABLE, Some(Range), &["somebody"])));
    assert_eq!(joinable.choice(), left.choice(), "others alone keep nobody out who has their assignor");
    let unchanged = Case::gone(now, Some(Range), Some(seen(now, STABLE, Some(Range), &[OURS])));
    assert_eq!(unchanged.choice().pending, None, "killed members with the same assignor keep nobody out");
    assert_eq!(Case::gone(now, Some(Range), None).choice().pending, None, "what did not change waits for no reading");
    let mut unknown = Case::gone(now, None, None);
    unknown.group.status.as_mut().unwrap().assignor = Some("OfALaterRelease".into());
    assert_eq!(unknown.choice().pending, None);
}

#[test]
fn what_is_left_is_asked_for_where_something_says_that_there_were_workers() {
    let first = object(Range, None);
    let now = Instant::now();
    assert!(!needs_remaining_pods(&first, None, false, None), "a first Deployment waits for nothing");
    assert!(needs_remaining_pods(&first, None, true, None));
    assert!(needs_remaining_pods(&Case::gone(now, Some(Sticky), None).group, None, false, None));
    let has = |client| seen(now, STABLE, Some(Sticky), &[client]);
    assert!(needs_remaining_pods(&first, None, false, Some(&has(OURS))));
    assert!(!needs_remaining_pods(&first, None, false, Some(&has("somebody"))));
    let asks = |workers: Deployment| needs_remaining_pods(&first, Some(&workers), true, None);
    assert!(asks(deployment(0, 2, false, Sticky)));
    assert!(!asks(deployment(1, 2, false, Sticky)) && !asks(deployment(0, 2, false, Range)));
}

#[test]
fn who_changes_it_by_hand_is_looked_after_soon_only_while_pods_end() {
    let now = Instant::now();
    let by_hand = |pods, snapshot| {
        let stopped = Case { pods: Some(pods), ..Case::stopped(now, snapshot) };
        Case { workers: Some(deployment(0, 0, false, Sticky)), group: object(Range, None), ..stopped }
    };
    let member = |client| Some(seen(now, STABLE, Some(Sticky), &[client]));
    for (case, mode, soon) in [
        (by_hand(vec![("shop-5d4f-aaaaa", Some(Sticky))], None), ChangeMode::Manual, Some(REQUEUE_AFTER)),
        // The next poll triggers these.
        (by_hand(Vec::new(), member(OURS)), ChangeMode::Manual, None),
        (by_hand(Vec::new(), member("somebody")), ChangeMode::Manual, None),
        // A poll that equals the last one triggers nothing.
        (by_hand(Vec::new(), None), ChangeMode::Manual, Some(POLL_INTERVAL)),
        (Case::stopped(now, member(OURS)), ChangeMode::Recreate, None),
        (Case::stopped(now, None), ChangeMode::Recreate, Some(REQUEUE_AFTER)),
    ] {
        let (_, obstacle, found) = case.pending();
        assert_eq!((found, case.choice().requeue_after()), (mode, soon), "{obstacle:?}");
    }
}

#[test]
fn that_no_pod_is_left_is_known_of_one_generation_of_a_deployment_that_asks_for_none() {
    let now = Instant::now();
    let none = RemainingPods { pods: Vec::new(), at: now };
    let some = RemainingPods { pods: vec![("a".into(), None)], at: now };
    let zero = deployment(0, 3, true, Sticky);
    let earlier = now.checked_sub(Duration::from_secs(9)).unwrap();
    assert_eq!(no_pod(Some(&zero), Some(&none), None), Some((Some(4), now)));
    assert_eq!(no_pod(Some(&zero), Some(&none), Some((Some(4), earlier))), Some((Some(4), earlier)));
    assert_eq!(no_pod(Some(&zero), Some(&none), Some((Some(3), earlier))), Some((Some(4), now)), "scaled meanwhile");
    assert_eq!(no_pod(Some(&zero), Some(&some), Some((Some(4), earlier))), None);
    assert_eq!(no_pod(Some(&zero), None, Some((Some(4), earlier))), None);
    let mut unobserved = zero.clone();
    unobserved.status.as_mut().unwrap().observed_generation = Some(3);
    assert_eq!(no_pod(Some(&unobserved), Some(&none), None), None, "the cluster does not know of the 0 yet");
    let mut left = zero;
    left.status.as_mut().unwrap().replicas = Some(1);
    assert_eq!(no_pod(Some(&left), Some(&none), None), None);
    assert_eq!(no_pod(Some(&deployment(2, 2, false, Sticky)), Some(&none), None), None);
    assert_eq!(no_pod(None, Some(&none), Some((Some(4), earlier))), Some((None, now)), "of a Deployment that is gone");
    assert_eq!(no_pod(None, Some(&none), Some((None, earlier))), Some((None, earlier)));
    assert_eq!(no_pod(None, Some(&some), Some((None, earlier))), None);
    assert_eq!(no_pod(None, None, Some((None, earlier))), None);
}

#[test]
fn before_workers_start_it_is_forgotten_that_no_pod_was_left() {
    let now = Instant::now();
    let none = RemainingPods { pods: Vec::new(), at: now };
    let mut kept = None;
    let group = Case::gone(now, Some(Sticky), None).group;
    assert!(evaluate(&group, None, &[], Some(&none), None, &mut kept).pending.is_some());
    assert_eq!(kept, Some((None, now)));
    let empty = seen(now, EMPTY, None, &[]);
    assert_eq!(evaluate(&group, None, &[], Some(&none), Some(&empty), &mut kept).pending, None);
    assert_eq!(kept, None, "the write may arrive, and the Deployment be gone again, before the next reconcile");
}
