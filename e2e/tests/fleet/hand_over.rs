//! Workers that stop and workers that are killed, under traffic.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use balancefleet_e2e::cluster::{ClusterError, Group, KAFKA_OUTSIDE, Scenario, kill_process, wait_until};
use balancefleet_e2e::stream::{Settings, Stream};
use balancefleet_e2e::traffic::Background;
use serde_json::{Value, json};

use crate::support::{Failure, Outcome, PARTITIONS, every_balance_is_right, scenario};

/// The default of `spec.kafka.consumer.sessionTimeout`.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const RATE: u32 = 100;

/// Three pinned workers and traffic at the rate of a normal day.
fn three_workers_under_traffic(scenario: &Scenario) -> Result<(Group, String, Background), Failure> {
    three_workers_with(scenario, json!({"replicas": 3}))
}

/// The same with this in the spec.
fn three_workers_with(scenario: &Scenario, changes: Value) -> Result<(Group, String, Background), Failure> {
    let topic = scenario.create_topic("transactions", PARTITIONS)?;
    let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, changes))?;
    let traffic = Background::start(KAFKA_OUTSIDE, &topic, Stream::new(Settings::default()), RATE)?;
    group.wait_for_assignment(3, PARTITIONS)?;
    Ok((group, topic, traffic))
}

/// Waits until workers other than `gone` have all partitions; gives how long that took since `began`.
fn wait_for_heirs(group: &Group, gone: &str, began: Instant) -> Result<Duration, Failure> {
    wait_until("the partitions have other owners", Duration::from_secs(40), || {
        let mut owned = BTreeSet::new();
        for worker in group.workers()?.iter().filter(|worker| worker.pod() != gone) {
            // A pod that is just starting or ending does not answer; the others count.
            owned.extend(worker.metrics().map(|metrics| metrics.assigned_partitions).unwrap_or_default());
        }
        if owned.len() == PARTITIONS as usize { Ok(()) } else { Err(ClusterError::Unexpected(format!("{owned:?}"))) }
    })?;
    Ok(began.elapsed())
}

#[test]
fn a_worker_that_is_stopped_hands_its_partitions_over_at_once_and_every_balance_stays_right() -> Outcome {
    scenario("stop", |scenario| {
        // Long beside the slowest hand-over of a loaded machine: what is quicker did not wait for the session to end.
        let session = Duration::from_secs(60);
        let changes = json!({"replicas": 3, "kafka": {"consumer": {"sessionTimeout": "60s"}}});
        let (group, topic, traffic) = three_workers_with(scenario, changes)?;
        let leaver = group.workers()?.remove(0);
        let logs = scenario.kubectl().follow_logs(leaver.pod())?;
        let began = Instant::now();
        scenario.kubectl().run(&["delete", "pod", leaver.pod(), "--wait=false"])?;
        let took = wait_for_heirs(&group, leaver.pod(), began)?;
        assert!(took < session / 2, "the hand-over took {took:?}: that of a worker that said nothing");

        group.wait_for_assignment(3, PARTITIONS)?;
        traffic.stop()?;
        every_balance_is_right(scenario, &group, &topic)?;
        let logs = logs.join().map_err(|_| "the thread that reads logs panicked")??;
        for line in [
            "Subscribed to topic",
            "Partitions ASSIGNED: [",
            "Offsets committed before revocation",
            "Partitions REVOKED: [",
        ] {
            assert!(logs.contains(line), "no {line:?} in the log of the worker that left:\n{logs}");
        }
        Ok(())
    })
}

#[test]
fn the_history_of_the_workers_that_stay_shows_what_moved_and_nothing_else_moved() -> Outcome {
    scenario("history", |scenario| {
        let (group, topic, traffic) = three_workers_under_traffic(scenario)?;
        let before = group.wait_for_assignment(3, PARTITIONS)?;
        group.scale(2)?;
        let after = group.wait_for_assignment(2, PARTITIONS)?;
        traffic.stop()?;
        every_balance_is_right(scenario, &group, &topic)?;
        for (worker, partitions) in &after {
            let kept = before.iter().find(|(old, _)| old.pod() == worker.pod()).map(|(_, kept)| kept.clone());
            let kept = kept.ok_or("a worker that was not there before")?;
            // Cooperative-sticky: what a worker had it kept, and what came is one event.
            assert!(kept.iter().all(|partition| partitions.contains(partition)), "{kept:?} → {partitions:?}");
            let newest = worker.history()?.remove(0);
            let gained: Vec<_> = partitions.iter().copied().filter(|partition| !kept.contains(partition)).collect();
            assert_eq!((newest.event_type.as_str(), newest.partitions), ("Assigned", gained));
        }
        Ok(())
    })
}

#[test]
fn a_killed_process_shows_as_lag_until_its_session_ends_and_every_balance_stays_right() -> Outcome {
    scenario("kill", |scenario| {
        let (group, topic, traffic) = three_workers_under_traffic(scenario)?;
        let victim = group.workers()?.remove(0);
        let began = Instant::now();
        kill_process(&victim.object()?)?;
        let (mut highest, mut shown) = (0, 0);
        let took = wait_until("the partitions have owners and no lag", Duration::from_secs(60), || {
            let lag = lag(scenario, &topic)?;
            highest = highest.max(lag);
            shown = shown.max(group.status()?["lag"].as_i64().unwrap_or_default());
            let restarted = victim.object()?["status"]["containerStatuses"][0]["restartCount"] == 1;
            // What waits for a commit is unread too, up to a second's records: that much is no sign of the victim yet.
            if restarted && highest >= 2 * i64::from(RATE) && lag < i64::from(RATE) {
                return Ok(began.elapsed());
            }
            Err(Failure::from(format!("lag {lag}, highest {highest}, restarted {restarted}")))
        })?;
        // A third of the traffic waits for about the session timeout: some 330 records.
        assert!(highest < 1_500, "the lag rose to {highest}");
        assert!(shown > 0, "the status never showed the lag, which rose to {highest}");
        assert!(took < 4 * SESSION_TIMEOUT, "the partitions came back after {took:?}");
        group.wait_for_assignment(3, PARTITIONS)?;
        traffic.stop()?;
        every_balance_is_right(scenario, &group, &topic)?;
        // A pinned group at rest has its lag written once a minute.
        wait_until("the lag in the status is gone", Duration::from_secs(135), || {
            let status = group.status()?;
            if status["lag"] == 0 { Ok(()) } else { Err(ClusterError::Unexpected(status.to_string())) }
        })?;
        Ok(())
    })
}

fn lag(scenario: &Scenario, topic: &str) -> Result<i64, Failure> {
    let read = scenario.topic(topic);
    let (committed, ends) = (read.committed(&scenario.unique("fleet"))?, read.ends()?);
    Ok(ends.iter().map(|(partition, end)| end - committed.get(partition).copied().unwrap_or(0)).sum())
}

#[test]
fn a_pod_deleted_without_grace_loses_and_doubles_nothing_with_the_replay_store() -> Outcome {
    scenario("force", |scenario| {
        let (group, topic, traffic) =
            three_workers_with(scenario, json!({"replicas": 3, "balances": {"store": {"replay": {}}}}))?;
        let victim = group.workers()?.remove(0);
        let began = Instant::now();
        scenario.kubectl().run(&["delete", "pod", victim.pod(), "--grace-period=0", "--force"])?;
        let took = wait_for_heirs(&group, victim.pod(), began)?;
        assert!(took < 3 * SESSION_TIMEOUT, "the hand-over took {took:?}");
        group.wait_for_assignment(3, PARTITIONS)?;
        traffic.stop()?;
        every_balance_is_right(scenario, &group, &topic)?;
        Ok(())
    })
}
