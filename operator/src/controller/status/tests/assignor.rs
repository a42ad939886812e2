//! What is said of an assignor that has to wait.

use super::*;

fn waiting(obstacle: Obstacle, mode: ChangeMode) -> Option<Pending> {
    Some(Pending { from: Assignor::CooperativeSticky, to: Assignor::Range, obstacle, mode })
}

fn pending_message(case: &Case) -> String {
    let (status, message) = case.reported(conditions::ASSIGNOR_CHANGE_PENDING).expect("the condition");
    assert_eq!(status, format!("True/{}", conditions::ASSIGNOR_CHANGE_PENDING));
    message
}

#[test]
fn a_held_assignor_says_the_commands_of_every_way_on() {
    let mut case = Case { pending: waiting(Obstacle::Running, ChangeMode::Manual), ..Case::default() };
    insta::assert_snapshot!("a_held_assignor_of_an_automatic_fleet", pending_message(&case));
    let (ready, message) = case.reported(conditions::READY).unwrap();
    assert_eq!(ready, format!("False/{}", conditions::ASSIGNOR_CHANGE_PENDING));
    assert_eq!(
        message,
        "spec.kafka.consumer.assignor is Range and the workers have CooperativeSticky: see the condition \
         AssignorChangePending"
    );
    case.group.spec.replicas = Some(4);
    let pinned = pending_message(&case);
    assert!(pinned.contains("&& kubectl -n bank scale bcg/shop --replicas=4. To stay"), "{pinned}");
    case.pending = None;
    assert_eq!(case.condition(conditions::ASSIGNOR_CHANGE_PENDING), None);
}

#[test]
fn a_change_of_the_assignor_says_what_it_waits_for() {
    let foreign = || vec!["somebody".to_owned()];
    let worker = || vec!["balance-worker-shop-5d4f-aaaaa-0123abcd".to_owned()];
    let pods = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned(), "d".to_owned()];
    for (obstacle, mode, says) in [
        (
            Obstacle::Running,
            ChangeMode::Blocked(Obstacle::Members(foreign())),
            "somebody has to stop them: somebody; to stay with",
        ),
        (Obstacle::Running, ChangeMode::Blocked(Obstacle::GroupNotRead), "Kafka has not said yet who is a member"),
        (
            Obstacle::Running,
            ChangeMode::Recreate,
            "all workers are stopped for the change from CooperativeSticky to Range",
        ),
        (
            Obstacle::Pods(pods()),
            ChangeMode::Recreate,
            "the last pod has ended; still there: a, b, c and 1 more; to stay with",
        ),
        (
            Obstacle::Members(worker()),
            ChangeMode::Recreate,
            "workers of this object are still members (a killed one for 10s): balance-worker-shop-5d4f",
        ),
        (Obstacle::Members(foreign()), ChangeMode::Recreate, "there are others, which somebody has to stop: somebody"),
        (
            Obstacle::GroupNotRead,
            ChangeMode::Manual,
            "Range takes the place of CooperativeSticky when Kafka says that the group",
        ),
        (Obstacle::Paused, ChangeMode::Manual, "waits as long as spec.paused is true"),
    ] {
        let message = pending_message(&Case { pending: waiting(obstacle, mode), ..Case::default() });
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_change_that_waits_for_the_rest_of_a_deleted_deployment_says_so() {
    let case = Case::default();
    for (obstacle, says) in [
        (
            Obstacle::Pods(vec!["shop-5d4f-aaaaa".into()]),
            "pods of a Deployment that is gone are still there with CooperativeSticky: shop-5d4f-aaaaa. Workers with Range",
        ),
        (Obstacle::Pods(Vec::new()), "start when the last pod has ended; to stay with CooperativeSticky: kubectl"),
        (Obstacle::GroupNotRead, "Workers with Range cannot join them and start when Kafka says that the group has no"),
        (
            Obstacle::Members(vec!["balance-worker-shop-5d4f-aaaaa-0123abcd".into()]),
            "no members; workers of this object are still members (a killed one for 10s): balance-worker",
        ),
    ] {
        let message =
            super::super::left_by_deleted_deployment(&case.group, &waiting(obstacle, ChangeMode::Recreate).unwrap());
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn what_the_workers_had_stays_on_record_when_their_deployment_is_gone() {
    let assignor = |case: &Case, old: Option<&str>| {
        let old = Status { assignor: old.map(str::to_owned), ..Status::default() };
        case.after(&old).assignor
    };
    let gone = Case { deployment: None, ..Case::default() };
    assert_eq!(assignor(&gone, None), None, "there has been no worker yet");
    assert_eq!(assignor(&gone, Some("RoundRobin")).as_deref(), Some("RoundRobin"));
    let mut workers = deployment(2, 2, 2, 0);
    workers.metadata.annotations.as_mut().unwrap().insert("balancefleet.io/assignor".into(), "range".into());
    let mut live = Case { deployment: Some(workers), ..Case::default() };
    assert_eq!(assignor(&live, Some("RoundRobin")).as_deref(), Some("Range"));
    live.pending = waiting(Obstacle::Running, ChangeMode::Manual);
    assert_eq!(assignor(&live, None).as_deref(), Some("CooperativeSticky"), "what runs, whatever a template says");
}

#[test]
fn workers_that_are_away_for_another_assignor_are_no_settled_fleet() {
    let mut away = deployment(0, 0, 0, 0);
    let annotations = away.metadata.annotations.as_mut().unwrap();
    annotations.insert("balancefleet.io/stopped-for-assignor".into(), "range".into());
    annotations.insert("balancefleet.io/replicas".into(), "2".into());
    let mut case = Case {
        deployment: Some(away),
        pending: waiting(Obstacle::GroupNotRead, ChangeMode::Recreate),
        ..Case::default()
    };
    assert_eq!(case.reported(conditions::PROGRESSING).unwrap().0, "True/RollingOut");
    // Changed back, and paused before they are back.
    case.pending = None;
    case.group.spec.paused = true;
    let (ready, message) = case.reported(conditions::READY).unwrap();
    assert_eq!((ready.as_str(), message.as_str()), ("False/WorkersNotReady", "0 of 2 workers are ready"));
}

#[test]
fn foreign_members_with_another_assignor_are_said_to_keep_the_workers_out() {
    let mut case = Case::default();
    let mut workers = deployment(2, 2, 2, 0);
    workers
        .metadata
        .annotations
        .as_mut()
        .unwrap()
        .insert("balancefleet.io/assignor".into(), "cooperative-sticky".into());
    case.deployment = Some(workers);
    let seen = case.snapshot.as_mut().unwrap();
    seen.members.truncate(1);
    seen.members[0].client_id = "somebody".into();
    seen.group_assignor = Some("range".into());
    let (_, message) = case.reported(conditions::FOREIGN_MEMBERS).unwrap();
    assert!(message.contains("range") && message.contains("cannot join them"), "{message}");
}
