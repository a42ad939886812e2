//! What the lag poller promises, on a real broker. `make integration` starts one and runs this.

#[cfg(test)]
mod support;

use std::time::{Duration, Instant};

use balancefleet_autoscaler::{CapacitySource, LagReading, POLL_INTERVAL, Policy, Reason};
use balancefleet_kafka::{Connection, GroupState, Sasl, SaslMechanism};
use balancefleet_operator::poller::{LagRegistry, PollTarget, ProblemKind, Snapshot};
use futures::StreamExt;
use support::{Worker, add_partitions, address, create_topic, key, produce, producer, snapshot, target, unique};

fn is_known(snapshot: &Snapshot) -> bool {
    matches!(snapshot.lag, LagReading::Known(_))
}

fn has_problem(kind: ProblemKind) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| snapshot.problem.as_ref().is_some_and(|problem| problem.kind == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_what_was_produced_less_what_was_committed() {
    let (topic, group) = (unique("transactions"), unique("group"));
    create_topic(&topic, 3).await;
    produce(&producer(), &topic, 3, 100);
    let (registry, mut triggers) = LagRegistry::new();
    registry.register(key(&group), target(&topic, &group));
    let fresh = snapshot(&registry, &key(&group), is_known).await;
    assert_eq!((fresh.lag.records(), fresh.partitions), (Some(300), Some(3)));
    assert_eq!((fresh.group_state, fresh.members.len()), (Some(GroupState::Dead), 0));
    assert_eq!(triggers.next().await, Some(key(&group)));

    let worker = Worker::join(&group, &topic, "balance-worker-one-00000000");
    let worker = tokio::task::spawn_blocking(move || {
        worker.read(300);
        for (partition, offset) in [(0, 100), (1, 40), (2, 75)] {
            worker.commit(partition, offset);
        }
        worker
    });
    let worker = worker.await.expect("a worker");
    let read = snapshot(&registry, &key(&group), |snapshot| snapshot.lag.records() == Some(85)).await;
    let member = &read.members[0];
    assert_eq!((member.client_id.as_str(), member.lag), ("balance-worker-one-00000000", Some(85)));
    assert_eq!(member.partitions, [0, 1, 2]);
    assert_eq!((read.group_state, read.rounded.lag), (Some(GroupState::Stable), Some(85)));
    assert_eq!(read.topic_id.as_ref().map(String::len), Some(22));

    // Two reports, and it is known what a worker can do.
    tokio::task::spawn_blocking(move || {
        worker.idle(Duration::from_secs(6));
        produce(&producer(), &topic, 3, 400);
        worker.read(1_200);
        (0..3).for_each(|partition| worker.commit(partition, 500));
        worker.idle(Duration::from_secs(6));
    })
    .await
    .expect("a worker");
    let busy = snapshot(&registry, &key(&group), |snapshot| snapshot.lag.records() == Some(0)).await;
    let capacity = busy.decision.capacity.expect("a capacity");
    assert_eq!(capacity.source, CapacitySource::BusyTime);
    assert!((capacity.rate - 1_000.0 / 7.0).abs() < 1.0, "{capacity:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_answered_within_seven_seconds() {
    let (topic, group) = (unique("transactions"), unique("group"));
    create_topic(&topic, 6).await;
    let (registry, _triggers) = LagRegistry::new();
    let policy = Policy { expected_rate_per_replica: Some(140), ..Policy::default() };
    registry.register(key(&group), PollTarget { policy, ..target(&topic, &group) });
    snapshot(&registry, &key(&group), |snapshot| snapshot.decision.reason == Reason::Sufficient).await;
    let burst = Instant::now();
    let traffic = tokio::task::spawn_blocking(move || {
        let (producer, mut sent) = (producer(), 0);
        while burst.elapsed() < Duration::from_secs(9) {
            // 100 a second and partition by the clock, however long sending takes.
            let wanted = burst.elapsed().as_millis() as usize / 10;
            produce(&producer, &topic, 6, wanted - sent);
            sent = wanted;
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let answer = snapshot(&registry, &key(&group), |snapshot| snapshot.decision.replicas > 1).await;
    let after = burst.elapsed();
    let decision = &answer.decision;
    assert_eq!((decision.replicas, decision.reason), (6, Reason::ArrivalRate), "{}", decision.explanation);
    assert!(after <= Duration::from_secs(7), "{after:?}");
    traffic.await.expect("traffic");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_topic_is_named_and_noticed_once_it_exists() {
    let (topic, group) = (unique("later"), unique("group"));
    let (registry, _triggers) = LagRegistry::new();
    registry.register(key(&group), target(&topic, &group));
    let missing = snapshot(&registry, &key(&group), has_problem(ProblemKind::UnknownTopic)).await;
    assert_eq!((&missing.lag, missing.decision.replicas), (&LagReading::Unknown, 1));
    assert!(missing.problem.as_ref().is_some_and(|problem| problem.message.contains(&topic)), "{missing:?}");
    create_topic(&topic, 2).await;
    let found = snapshot(&registry, &key(&group), is_known).await;
    assert_eq!((found.partitions, &found.problem), (Some(2), &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_while_running_are_polled_too() {
    let (topic, group) = (unique("growing"), unique("group"));
    create_topic(&topic, 1).await;
    let (registry, _triggers) = LagRegistry::new();
    registry.register(key(&group), target(&topic, &group));
    snapshot(&registry, &key(&group), |snapshot| snapshot.partitions == Some(1)).await;
    add_partitions(&topic, 4).await;
    snapshot(&registry, &key(&group), |snapshot| is_known(snapshot) && snapshot.partitions == Some(4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_reached_stops_nobody_else() {
    let (topic, group) = (unique("transactions"), unique("group"));
    create_topic(&topic, 1).await;
    let (registry, _triggers) = LagRegistry::new();
    let dead = PollTarget { connection: Connection::plaintext("127.0.0.1:1"), ..target(&topic, "dead") };
    registry.register(key("dead"), dead);
    registry.register(key(&group), target(&topic, &group));
    let dead = snapshot(&registry, &key("dead"), has_problem(ProblemKind::BrokerUnreachable)).await;
    let alive = snapshot(&registry, &key(&group), is_known).await;
    // Reading the dead cluster took seconds, again and again; meanwhile the other one was read on time.
    assert!(alive.taken_at.elapsed() < POLL_INTERVAL * 2, "{:?}", alive.taken_at.elapsed());
    assert_eq!((&dead.lag, dead.decision.replicas), (&LagReading::Unknown, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_reported_and_another_one_is_tried_at_once() {
    let (topic, group) = (unique("transactions"), unique("group"));
    create_topic(&topic, 1).await;
    let login = |password: &str| {
        let sasl =
            Sasl { mechanism: SaslMechanism::ScramSha256, username: "balance".into(), password: password.into() };
        let bootstrap_servers = address("BALANCEFLEET_TEST_KAFKA_SASL");
        PollTarget {
            connection: Connection { bootstrap_servers, tls: None, sasl: Some(sasl) },
            ..target(&topic, &group)
        }
    };
    let (registry, _triggers) = LagRegistry::new();
    registry.register(key(&group), login("wrong"));
    let refused = snapshot(&registry, &key(&group), has_problem(ProblemKind::AuthenticationFailed)).await;
    assert!(refused.problem.as_ref().is_some_and(|problem| !problem.message.contains("wrong")), "{refused:?}");
    // A group that comes while the cluster is left alone learns why without another attempt.
    registry.register(key("second"), login("wrong"));
    let begin = Instant::now();
    snapshot(&registry, &key("second"), has_problem(ProblemKind::AuthenticationFailed)).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    registry.register(key(&group), login("balance-secret"));
    snapshot(&registry, &key(&group), is_known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_group_has_no_snapshot() {
    let (topic, group) = (unique("transactions"), unique("group"));
    create_topic(&topic, 1).await;
    let (registry, _triggers) = LagRegistry::new();
    registry.register(key(&group), target(&topic, &group));
    snapshot(&registry, &key(&group), is_known).await;
    registry.forget(&key(&group));
    assert!(registry.snapshot(&key(&group)).is_none());
    registry.forget(&key(&group));
}
