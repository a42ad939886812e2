use std::collections::BTreeMap;

use balancefleet_autoscaler::{
    Capacity, CapacitySource, Committed, Current, Limit, Member, Observation, PartitionReading, Policy, Reason,
    SavedHistory, StartFrom,
};
use balancefleet_kafka::{Connection, GroupState};

use super::*;

fn target() -> PollTarget {
    PollTarget {
        connection: Connection::plaintext("kafka:9092"),
        topic: "banking.transactions".into(),
        group: "balance-service".into(),
        start_from: StartFrom::Earliest,
        policy: Policy::default(),
        current: Current { desired: 1, ..Current::default() },
        saved_history: SavedHistory::default(),
    }
}

/// Two partitions with 100 records each, owned by one member.
fn reading(committed: [i64; 2]) -> GroupReading {
    let partition = |partition: i32, committed| PartitionReading {
        partition,
        earliest: Some(0),
        latest: Some(100),
        committed: Committed::At(committed),
        usage: None,
    };
    GroupReading {
        observation: Observation {
            topic_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
            partition_count: 2,
            partitions: vec![partition(0, committed[0]), partition(1, committed[1])],
            members: Some(vec![Member { id: "m-1".into(), partitions: vec![0, 1] }]),
            stable: true,
        },
        state: Some(GroupState::Stable),
        assignor: Some("cooperative-sticky".into()),
        clients: BTreeMap::from([("m-1".into(), "balance-worker-a-00000000".into())]),
        error: None,
    }
}

fn at(start: Instant, seconds: u64) -> PollTime {
    let elapsed = Duration::from_secs(seconds);
    PollTime { instant: start + elapsed, elapsed }
}

fn published(group: &Group) -> Arc<Snapshot> {
    group.snapshot.clone().expect("a snapshot")
}

#[test]
fn a_snapshot_has_lag_members_and_a_decision() {
    let mut group = Group::new(target());
    assert!(group.update(Ok(&reading([40, 95])), at(Instant::now(), 0)).changed);
    let snapshot = published(&group);
    assert_eq!((snapshot.lag.records(), snapshot.rounded.lag), (Some(65), Some(65)));
    assert_eq!((snapshot.partitions, snapshot.group_state), (Some(2), Some(GroupState::Stable)));
    let member = &snapshot.members[0];
    assert_eq!((member.client_id.as_str(), member.partitions.as_slice()), ("balance-worker-a-00000000", &[0, 1][..]));
    assert_eq!((member.lag, snapshot.decision.replicas), (Some(65), 1));
    assert_eq!(snapshot.problem, None);
}

#[test]
fn an_object_is_triggered_only_by_what_changes_its_status_or_decision() {
    let (mut group, start) = (Group::new(target()), Instant::now());
    group.update(Ok(&reading([100, 100])), at(start, 0));
    group.update(Ok(&reading([100, 100])), at(start, 5));
    for poll in 2..20 {
        assert!(!group.update(Ok(&reading([100, 100])), at(start, poll * 5)).changed, "poll {poll}");
    }
    let mut other_member = reading([100, 100]);
    other_member.clients.insert("m-1".into(), "balance-worker-b-00000000".into());
    assert!(group.update(Ok(&other_member), at(start, 100)).changed);
    let mut rebalancing = other_member.clone();
    (rebalancing.state, rebalancing.observation.stable) = (Some(GroupState::PreparingRebalance), false);
    assert!(group.update(Ok(&rebalancing), at(start, 105)).changed);
}

#[test]
fn one_failed_poll_is_repeated_at_once_and_changes_nothing() {
    let (mut group, start) = (Group::new(target()), Instant::now());
    group.update(Ok(&reading([40, 95])), at(start, 0));
    let moving = Error::Transient { what: "group".into(), detail: "not coordinator".into() };
    assert_eq!(
        group.update(Err(&moving), at(start, 5)),
        PollOutcome { changed: false, repoll_after: Some(CONFIRM_AFTER) }
    );
    assert_eq!(published(&group).lag.records(), Some(65));
    assert!(!group.update(Ok(&reading([40, 95])), at(start, 6)).changed || published(&group).problem.is_none());
}

#[test]
fn lag_is_unknown_after_two_failed_polls_and_replicas_are_held() {
    let mut group = Group::new(PollTarget { current: Current { desired: 2, ..Current::default() }, ..target() });
    let start = Instant::now();
    group.update(Ok(&reading([40, 95])), at(start, 0));
    let gone = Error::Unreachable { detail: "connection refused".into() };
    group.update(Err(&gone), at(start, 5));
    assert!(group.update(Err(&gone), at(start, 6)).changed);
    let snapshot = published(&group);
    assert_eq!((&snapshot.lag, snapshot.rounded.lag), (&LagReading::Unknown, None));
    assert_eq!((snapshot.decision.replicas, snapshot.decision.reason), (2, Reason::LagUnknown));
    let problem = snapshot.problem.clone().expect("a problem");
    assert_eq!((problem.kind, problem.since), (ProblemKind::BrokerUnreachable, start + Duration::from_secs(5)));
    assert_eq!(snapshot.partitions, Some(2), "what was known of the topic stays");
    assert!(!group.update(Err(&gone), at(start, 11)).changed, "the same problem triggers nothing");
    assert!(group.update(Ok(&reading([40, 95])), at(start, 16)).changed);
    assert_eq!(published(&group).problem, None);
}

#[test]
fn an_error_that_needs_a_person_is_reported_at_once() {
    for (error, kind) in [
        (Error::UnknownTopic { what: "topic".into() }, ProblemKind::UnknownTopic),
        (Error::Authentication { detail: "refused".into() }, ProblemKind::AuthenticationFailed),
        (Error::Tls { detail: "expired".into() }, ProblemKind::TlsFailed),
        (
            Error::Authorization { operation: "read group".into(), needs: "PollResult", detail: "denied".into() },
            ProblemKind::AuthorizationFailed,
        ),
        (Error::Invalid { detail: "no port".into() }, ProblemKind::InvalidConnection),
    ] {
        let mut group = Group::new(target());
        assert!(group.update(Err(&error), at(Instant::now(), 0)).changed);
        assert_eq!(published(&group).problem.as_ref().map(|problem| problem.kind), Some(kind));
    }
}

#[test]
fn a_partition_without_a_leader_makes_lag_partial_once_it_lasts() {
    let (mut group, start) = (Group::new(target()), Instant::now());
    let mut blind = reading([40, 95]);
    blind.observation.partitions[1].latest = None;
    blind.error = Some(Error::Transient { what: "partition 1".into(), detail: "no leader".into() });
    assert_eq!(group.update(Ok(&blind), at(start, 0)).repoll_after, Some(CONFIRM_AFTER));
    assert!(group.update(Ok(&blind), at(start, 1)).changed);
    let snapshot = published(&group);
    assert!(matches!(&snapshot.lag, LagReading::Partial(lag) if lag.missing() == [1]));
    assert_eq!((snapshot.rounded, snapshot.members[0].lag), (Rounded::default(), None));
    assert_eq!(snapshot.problem.as_ref().map(|problem| problem.kind), Some(ProblemKind::ReadFailed));
}

#[test]
fn another_topic_or_group_keeps_nothing_that_was_learned() {
    let known = target();
    assert!(
        known.is_about_the_same(&PollTarget { policy: Policy { min_replicas: 2, ..Policy::default() }, ..target() })
    );
    assert!(!known.is_about_the_same(&PollTarget { topic: "orders".into(), ..target() }));
    assert!(!known.is_about_the_same(&PollTarget { group: "other".into(), ..target() }));
}

#[test]
fn a_group_goes_on_from_what_its_status_says() {
    let decision = Some((2, Reason::Backlog, "1 → 2: a sentence".to_owned()));
    let capacity = Some(Capacity { rate: 140.0, source: CapacitySource::BusyTime });
    let saved_history = SavedHistory { decision, capacity, limited_by: Some(Limit::MinReplicas), hot_partition: None };
    let policy = Policy { min_replicas: 2, ..Policy::default() };
    let current = Current { desired: 2, ..Current::default() };
    let mut group = Group::new(PollTarget { saved_history, policy, current, ..target() });
    for seconds in [0, 5, 10] {
        group.update(Ok(&reading([100, 100])), at(Instant::now(), seconds));
        let decision = &published(&group).decision;
        assert_eq!((decision.reason, decision.explanation.as_str()), (Reason::Backlog, "1 → 2: a sentence"));
        assert_eq!((decision.capacity, decision.limited_by), (capacity, Some(Limit::MinReplicas)));
    }
}
