//! Promises of the status, from its input to conditions.

mod assignor;

use std::time::{Duration, Instant};

use balancefleet_autoscaler::{
    Capacity, CapacitySource, Decision, Lag, LagReading, Limit, PartitionLag, Reason, SavedHistory,
};
use balancefleet_crds::{
    Assignor, BalanceConsumerGroup, BalanceConsumerGroupStatus as Status, ScalingMode, conditions, reasons,
};
use balancefleet_kafka::GroupState;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::{StatusInput, next, saved_history};
use crate::{
    controller::{
        assignor::{ChangeMode, Obstacle, Pending},
        build::fixtures::{RELEASE_IMAGE, full, minimal},
        desired_replicas::Plan,
        validate::{Problem, Remedy},
    },
    poller::{KafkaProblem, MemberLag, ProblemKind, Rounded, Snapshot},
};

fn snapshot() -> Snapshot {
    let partition = |partition| PartitionLag { partition, lag: Some(700), age: None, lost: 0, ahead_of_log: false };
    let member = |pod: &str, partitions: &[i32]| MemberLag {
        client_id: format!("balance-worker-shop-5d4f-{pod}-0123abcd"),
        partitions: partitions.to_vec(),
        lag: Some(2_149),
    };
    Snapshot {
        lag: LagReading::Known(Lag { partitions: (0..6).map(partition).collect() }),
        rounded: Rounded { lag: Some(4_200), lag_age: Some(Duration::from_secs(10)) },
        partitions: Some(6),
        topic_id: None,
        group_state: Some(GroupState::Stable),
        group_assignor: Some("cooperative-sticky".into()),
        members: vec![member("bbbbb", &[3, 4, 5]), member("aaaaa", &[0, 1, 2])],
        decision: Decision {
            replicas: 2,
            reason: Reason::Sufficient,
            explanation: "2 workers carry 150 records/s".into(),
            needed: Some(2),
            blocked_by: None,
            limited_by: None,
            hot_partition: None,
            confirm: false,
            candidates: Vec::new(),
            capacity: Some(Capacity { rate: 104.6, source: CapacitySource::BusyTime }),
            arrival_rate: Some(150.0),
        },
        problem: None,
        taken_at: Instant::now(),
    }
}

fn plan() -> Plan {
    Plan {
        replicas: 2,
        desired: 2,
        mode: ScalingMode::Auto,
        reason: "Sufficient".into(),
        explanation: "2 workers carry 150 records/s".into(),
        limited_by: None,
    }
}

fn deployment(wanted: i32, existing: i32, updated: i32, ready: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "shop", "annotations":
            {"balancefleet.io/replicas": wanted.to_string(), "balancefleet.io/worker-image": RELEASE_IMAGE}},
        "spec": {"replicas": wanted, "selector": {}, "template": {}},
        "status": {"replicas": existing, "updatedReplicas": updated, "readyReplicas": ready,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]},
    }))
    .unwrap()
}

struct Case {
    group: BalanceConsumerGroup,
    deployment: Option<Deployment>,
    snapshot: Option<Snapshot>,
    plan: Option<Plan>,
    problem: Option<Problem>,
    pending: Option<Pending>,
    contended: bool,
    now: i64,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            group: minimal(),
            deployment: Some(deployment(2, 2, 2, 2)),
            snapshot: Some(snapshot()),
            plan: Some(plan()),
            problem: None,
            pending: None,
            contended: false,
            now: 1_000_000,
        }
    }
}

impl Case {
    fn after(&self, old: &Status) -> Status {
        let input = StatusInput {
            group: &self.group,
            deployment: self.deployment.as_ref(),
            snapshot: self.snapshot.as_ref(),
            plan: self.plan.as_ref(),
            problem: self.problem.as_ref(),
            pending: self.pending.as_ref(),
            contended: self.contended,
            release_image: RELEASE_IMAGE,
            now: Timestamp::from_millisecond(self.now * 1_000 + 750).unwrap(),
            instant: Instant::now(),
            learned_figures_due: false,
        };
        next(old, &input)
    }

    fn condition(&self, name: &str) -> Option<(String, String)> {
        self.condition_after(&Status::default(), name)
    }

    /// Status and reason, and the message.
    fn reported(&self, name: &str) -> Option<(String, String)> {
        let status = self.after(&Status::default());
        let found = status.conditions.into_iter().find(|condition| condition.type_ == name)?;
        Some((format!("{}/{}", found.status, found.reason), found.message))
    }

    fn condition_after(&self, old: &Status, name: &str) -> Option<(String, String)> {
        let status = self.after(old);
        let found = status.conditions.into_iter().find(|condition| condition.type_ == name)?;
        Some((found.status, found.reason))
    }
}

fn pair(status: &str, reason: &str) -> Option<(String, String)> {
    Some((status.to_owned(), reason.to_owned()))
}

#[test]
fn a_healthy_object() {
    insta::assert_yaml_snapshot!(Case::default().after(&Status::default()));
}

#[test]
fn an_object_before_anything_is_known() {
    let case = Case { deployment: None, snapshot: None, plan: None, ..Case::default() };
    insta::assert_yaml_snapshot!(case.after(&Status::default()));
}

#[test]
fn nothing_changes_while_nothing_changes() {
    let first = Case::default().after(&Status::default());
    let later = Case { now: 2_000_000, ..Case::default() };
    assert_eq!(later.after(&first), first);
}

#[test]
fn a_transition_time_moves_only_when_the_status_flips() {
    let first = Case::default().after(&Status::default());
    let worse = Case { deployment: Some(deployment(2, 2, 2, 1)), now: 2_000_000, ..Case::default() }.after(&first);
    let time = |status: &Status, name: &str| {
        status.conditions.iter().find(|condition| condition.type_ == name).unwrap().last_transition_time.clone()
    };
    assert_ne!(time(&worse, conditions::READY), time(&first, conditions::READY));
    assert_eq!(time(&worse, conditions::LAG_KNOWN), time(&first, conditions::LAG_KNOWN));
    let other_reason = Case {
        problem: Some(Problem { reason: reasons::NAME_TAKEN, message: "x".into(), remedy: Remedy::Retry }),
        now: 3_000_000,
        ..Case::default()
    };
    assert_eq!(time(&other_reason.after(&worse), conditions::READY), time(&worse, conditions::READY));
}

#[test]
fn a_status_round_trips_through_the_api_server() {
    let status = Case::default().after(&Status::default());
    let text = serde_json::to_string(&status).unwrap();
    assert!(!text.contains("null"), "a null is a field that we own: {text}");
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
}

#[test]
fn unknown_lag_is_absent_and_said() {
    let mut gone = snapshot();
    gone.lag = LagReading::Unknown;
    gone.rounded = Rounded::default();
    let problem = |kind, ago| KafkaProblem {
        kind,
        message: "do this".into(),
        since: Instant::now().checked_sub(Duration::from_secs(ago)).unwrap(),
    };
    gone.problem = Some(problem(ProblemKind::BrokerUnreachable, 60));
    let case = Case { snapshot: Some(gone.clone()), ..Case::default() };
    let status = case.after(&Status::default());
    assert_eq!((status.lag, status.lag_age.as_deref()), (None, None));
    assert_eq!(case.condition(conditions::LAG_KNOWN), pair("False", reasons::KAFKA_UNREACHABLE));
    assert_eq!(case.condition(conditions::READY), pair("False", reasons::KAFKA_UNREACHABLE));

    gone.problem = Some(problem(ProblemKind::BrokerUnreachable, 3));
    let restarting = Case { snapshot: Some(gone.clone()), ..Case::default() };
    assert_eq!(restarting.condition(conditions::READY), pair("True", reasons::WORKERS_READY), "a broker restarts");
    assert_eq!(
        restarting.condition_after(&status, conditions::READY),
        pair("False", reasons::KAFKA_UNREACHABLE),
        "an outage is not over because its error changed"
    );

    gone.problem = Some(problem(ProblemKind::UnknownTopic, 0));
    let wrong = Case { snapshot: Some(gone), ..Case::default() };
    assert_eq!(wrong.condition(conditions::READY), pair("False", reasons::TOPIC_NOT_FOUND), "time does not end it");
}

#[test]
fn the_words_of_a_lasting_problem_stay() {
    let with = |message: &str| {
        let mut gone = snapshot();
        let since = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        gone.lag = LagReading::Unknown;
        gone.problem = Some(KafkaProblem { kind: ProblemKind::BrokerUnreachable, message: message.into(), since });
        Case { snapshot: Some(gone), ..Case::default() }
    };
    let first = with("refused (1 identical error)").after(&Status::default());
    assert_eq!(with("refused (2 identical errors)").after(&first), first);
    let mut edited = with("unknown host");
    edited.group.metadata.generation = Some(2);
    let words = |status: &Status| status.conditions.iter().map(|found| found.message.clone()).collect::<Vec<_>>();
    assert_ne!(words(&edited.after(&first)), words(&first));
}

#[test]
fn a_restart_of_the_operator_takes_nothing_back() {
    let mut lossy = snapshot();
    let LagReading::Known(lag) = &mut lossy.lag else { panic!("known") };
    lag.partitions[2].lost = 5;
    let before = Case { snapshot: Some(lossy), ..Case::default() }.after(&Status::default());
    let holding = Plan {
        mode: ScalingMode::Holding,
        reason: reasons::LAG_NOT_READ_YET.into(),
        explanation: "the lag has not been read yet".into(),
        ..plan()
    };
    let restarted = Case { snapshot: None, plan: Some(holding), now: 2_000_000, ..Case::default() };
    assert_eq!(restarted.after(&before), before);
    let problem = Problem { reason: reasons::SECRET_NOT_FOUND, message: "create it".into(), remedy: Remedy::Retry };
    let blocked = Case { problem: Some(problem), plan: None, ..restarted };
    assert_eq!(blocked.condition_after(&before, conditions::LAG_KNOWN), pair("Unknown", reasons::LAG_NOT_READ_YET));
    assert_eq!(blocked.after(&before).lag, None, "nobody polls, so nothing is known");
}

#[test]
fn a_problem_keeps_the_last_decision_in_sight() {
    let first = Case::default().after(&Status::default());
    let problem = Problem { reason: reasons::SECRET_NOT_FOUND, message: "create it".into(), remedy: Remedy::Retry };
    let case = Case { problem: Some(problem), plan: None, ..Case::default() };
    assert_eq!(case.condition_after(&first, conditions::READY), pair("False", reasons::SECRET_NOT_FOUND));
    assert_eq!(case.after(&first).scaling, first.scaling);
}

#[test]
fn progress_is_distinguished_by_what_changes() {
    let with = |deployment| Case { deployment: Some(deployment), ..Case::default() }.condition(conditions::PROGRESSING);
    assert_eq!(with(deployment(2, 2, 2, 2)), pair("False", reasons::SETTLED));
    assert_eq!(with(deployment(6, 2, 2, 2)), pair("True", reasons::SCALING));
    assert_eq!(with(deployment(2, 3, 1, 2)), pair("True", reasons::ROLLING_OUT));
    let mut stuck = deployment(2, 3, 1, 2);
    stuck.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "False".into();
    assert_eq!(with(stuck.clone()), pair("False", reasons::ROLLOUT_STUCK));
    let edited = |mut deployment: Deployment| {
        deployment.metadata.generation = Some(2);
        deployment.status.as_mut().unwrap().observed_generation = Some(1);
        deployment
    };
    assert_eq!(with(edited(deployment(2, 2, 2, 2))), pair("True", reasons::ROLLING_OUT), "not taken up yet");
    assert_eq!(with(edited(stuck)), pair("True", reasons::ROLLING_OUT), "the edit may end it");
}

#[test]
fn no_foreign_member_and_no_topic_makes_a_status_that_the_server_refuses() {
    let mut seen = snapshot();
    let names = ["x".repeat(32_000), "y".repeat(32_000)];
    seen.members.extend(names.map(|client_id| MemberLag { client_id, ..snapshot().members[0].clone() }));
    let partition = |partition| PartitionLag { partition, lag: None, age: None, lost: 1, ahead_of_log: true };
    let partitions = (0..10_000).filter(|number| number % 2 == 0).map(partition).collect();
    seen.lag = LagReading::Partial(Lag { partitions });
    seen.problem = Some(KafkaProblem {
        kind: ProblemKind::ReadFailed,
        message: "é".repeat(40_000),
        since: Instant::now().checked_sub(Duration::from_secs(60)).unwrap(),
    });
    let status = Case { snapshot: Some(seen), ..Case::default() }.after(&Status::default());
    for name in [conditions::FOREIGN_MEMBERS, conditions::DATA_LOSS, conditions::OFFSET_AHEAD_OF_LOG, conditions::READY]
    {
        let message = &status.conditions.iter().find(|found| found.type_ == name).unwrap().message;
        assert!(message.chars().count() <= 4_001, "{name}: {}", message.len());
    }
}

#[test]
fn a_problem_with_a_secret_names_it() {
    let ready = |group: BalanceConsumerGroup, kind| {
        let mut gone = snapshot();
        gone.problem = Some(KafkaProblem { kind, message: "it failed".into(), since: Instant::now() });
        let status = Case { group, snapshot: Some(gone), ..Case::default() }.after(&Status::default());
        let found = status.conditions.into_iter().find(|found| found.type_ == conditions::READY).unwrap();
        (found.reason, found.message)
    };
    let reported = |reason: &str, message: &str| (reason.to_owned(), message.to_owned());
    let (login, tls) = ("it failed; look at Secret `kafka-login`", "it failed; look at Secret `kafka-tls`");
    assert_eq!(ready(full(), ProblemKind::AuthenticationFailed), reported(reasons::AUTHENTICATION_FAILED, login));
    assert_eq!(ready(full(), ProblemKind::TlsFailed), reported(reasons::TLS_FAILED, tls));
    let both = "it failed; look at the Secrets `kafka-login`, `kafka-tls`";
    assert_eq!(ready(full(), ProblemKind::InvalidConnection), reported(reasons::SECRET_INCOMPLETE, both));
    assert_eq!(ready(minimal(), ProblemKind::InvalidConnection), reported(reasons::INVALID_SPEC, "it failed"));
}

#[test]
fn a_pin_names_its_value_and_who_set_it() {
    let mut case = Case::default();
    case.group.spec.replicas = Some(4);
    case.group.metadata.managed_fields = serde_json::from_value(json!([
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]))
    .unwrap();
    case.plan = Some(Plan { mode: ScalingMode::Pinned, ..plan() });
    let status = case.after(&Status::default());
    let active = status.conditions.iter().find(|found| found.type_ == conditions::SCALING_ACTIVE).unwrap();
    assert_eq!((active.status.as_str(), active.reason.as_str()), ("False", reasons::PINNED));
    assert!(active.message.contains("is 4, set by kubectl") && active.message.contains("kubectl patch bcg shop"));
}

#[test]
fn conditions_that_are_there_only_while_true() {
    let mut seen = snapshot();
    for extra in 0..6 {
        seen.members.push(MemberLag { partitions: Vec::new(), ..seen.members[0].clone() });
        seen.members[extra + 2].client_id = format!("balance-worker-shop-5d4f-idle{extra}-0123abcd");
    }
    let idle = Case { snapshot: Some(seen.clone()), ..Case::default() };
    assert_eq!(idle.condition(conditions::OVER_CAPACITY), pair("True", reasons::IDLE_WORKERS));
    let rolling = Case { snapshot: Some(seen.clone()), deployment: Some(deployment(8, 9, 1, 8)), ..Case::default() };
    assert_eq!(rolling.condition(conditions::OVER_CAPACITY), None, "a surge pod is idle by design");
    let before = idle.after(&Status::default());
    seen.group_state = Some(GroupState::PreparingRebalance);
    let rebalancing = Case { snapshot: Some(seen), ..Case::default() };
    assert_eq!(rebalancing.condition(conditions::OVER_CAPACITY), None);
    assert!(rebalancing.condition_after(&before, conditions::OVER_CAPACITY).is_some());

    let mut seen = snapshot();
    seen.members[0].client_id = "somebody-else".into();
    let LagReading::Known(lag) = &mut seen.lag else { panic!("known") };
    (lag.partitions[2].lost, lag.partitions[4].ahead_of_log) = (5, true);
    let case = Case { snapshot: Some(seen), contended: true, ..Case::default() };
    for name in [
        conditions::FOREIGN_MEMBERS,
        conditions::DATA_LOSS,
        conditions::OFFSET_AHEAD_OF_LOG,
        conditions::REPLICAS_CONTENDED,
    ] {
        assert!(case.condition(name).is_some(), "{name}");
        assert!(Case::default().condition(name).is_none(), "{name}");
    }
}

#[test]
fn a_partition_that_no_single_worker_carries_is_hot() {
    assert!(Case::default().condition(conditions::HOT_PARTITION).is_none());
    let hot = Case { snapshot: Some(limited()), ..Case::default() };
    let (said, message) = hot.reported(conditions::HOT_PARTITION).unwrap();
    assert_eq!(said, "True/HotPartition");
    assert!(message.starts_with("partition 3 gets more records than one worker can process"), "{message}");
}

/// A group at its limits.
fn limited() -> Snapshot {
    let mut seen = snapshot();
    (seen.decision.limited_by, seen.decision.hot_partition) = (Some(Limit::Partitions), Some(3));
    seen
}

#[test]
fn what_a_status_says_of_earlier_polls_is_the_checkpoint() {
    let plan = Plan { limited_by: Some(Limit::Partitions), ..plan() };
    let case = Case { snapshot: Some(limited()), plan: Some(plan), ..Case::default() };
    let mut group = minimal();
    assert_eq!(saved_history(&group), SavedHistory::default());
    group.status = Some(case.after(&Status::default()));
    let Decision { replicas, reason, explanation, limited_by, hot_partition, .. } = limited().decision;
    let expected = SavedHistory {
        decision: Some((replicas, reason, explanation)),
        capacity: Some(Capacity { rate: 110.0, source: CapacitySource::BusyTime }),
        limited_by,
        hot_partition,
    };
    assert_eq!(saved_history(&group), expected);
}

#[test]
fn an_age_that_is_not_known_yet_leaves_the_last_known_one_as_long_as_the_lag_is_known() {
    let before = Case::default().after(&Status::default());
    assert_eq!(before.lag_age.as_deref(), Some("10s"));
    let with = |rounded| Case { snapshot: Some(Snapshot { rounded, ..snapshot() }), ..Case::default() };
    let restarted = with(Rounded { lag: Some(4_200), lag_age: None });
    assert_eq!(restarted.after(&before), before);
    assert_eq!(with(Rounded::default()).after(&before).lag_age, None, "unknown lag has no age");
    assert_eq!(restarted.after(&Status::default()).lag_age, None);
}

#[test]
fn a_newer_release_is_reported_and_changes_nothing() {
    let mut case = Case::default();
    let annotations = case.deployment.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
    annotations.insert("balancefleet.io/worker-image".into(), "registry.example/balance-worker:1.0.0".into());
    assert!(case.condition(conditions::WORKER_IMAGE_OUTDATED).is_some());
    case.group.spec.worker.image = Some("registry.example/balance-worker:1.0.0".into());
    assert!(case.condition(conditions::WORKER_IMAGE_OUTDATED).is_none(), "a chosen image is nobody's business");
}
