//! Another assignor for workers that run, under traffic: held, carried out by the operator, and by the commands that
//! the condition prints.

use std::process::Command;
use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, KAFKA_OUTSIDE, Scenario, wait_until};
use balancefleet_e2e::stream::{Settings, Stream};
use balancefleet_e2e::traffic::Background;
use serde_json::{Value, json};

use crate::support::{Failure, Outcome, PARTITIONS, every_balance_is_right, scenario, variable};

const PENDING: &str = "AssignorChangePending";
const RATE: u32 = 100;

#[test]
fn recreate_gives_all_workers_another_assignor_and_every_balance_stays_right() -> Outcome {
    scenario("recreate", |scenario| {
        let (group, topic, traffic) = under_traffic(scenario, json!({"replicas": 3}), 3)?;
        group.patch(&consumer(&json!({"assignor": "Range"})))?;
        group.wait_for_condition("Ready", "False", PENDING)?;
        assert_eq!(assignors(&group)?, ["cooperative-sticky"; 3], "the workers go on");

        group.patch(&consumer(&json!({"assignorChange": "Recreate"})))?;
        has_another(&group, "range", 3)?;
        traffic.stop()?;
        every_balance_is_right(scenario, &group, &topic)?;
        Ok(())
    })
}

#[test]
fn the_commands_that_the_condition_prints_change_the_assignor_of_an_automatic_fleet() -> Outcome {
    scenario("by-hand", |scenario| {
        let (group, topic, traffic) = under_traffic(scenario, json!({"scaling": {"minReplicas": 2}}), 2)?;
        group.patch(&consumer(&json!({"assignor": "RoundRobin"})))?;
        let message = group.wait_for_condition(PENDING, "True", PENDING)?;
        let commands = message.split("by hand: ").nth(1).and_then(|rest| rest.split(". To stay").next());
        let commands = commands.ok_or_else(|| format!("no commands in {message}"))?;
        let output = Command::new("sh").args(["-c", commands]).output()?;
        assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));

        has_another(&group, "roundrobin", 2)?;
        assert_eq!(group.object()?["spec"]["replicas"], Value::Null, "the fleet is automatic again");
        traffic.stop()?;
        every_balance_is_right(scenario, &group, &topic)?;
        Ok(())
    })
}

fn consumer(settings: &Value) -> Value {
    json!({"spec": {"kafka": {"consumer": settings}}})
}

fn under_traffic(scenario: &Scenario, changes: Value, workers: usize) -> Result<(Group, String, Background), Failure> {
    let topic = scenario.create_topic("transactions", PARTITIONS)?;
    let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, changes))?;
    let traffic = Background::start(KAFKA_OUTSIDE, &topic, Stream::new(Settings::default()), RATE)?;
    group.wait_for_assignment(workers, PARTITIONS)?;
    Ok((group, topic, traffic))
}

/// The assignor of each pod.
fn assignors(group: &Group) -> Result<Vec<String>, ClusterError> {
    Ok(group.pods()?.iter().map(|pod| variable(pod, "KAFKA_ASSIGNOR").unwrap_or_default()).collect())
}

/// Waits until at least so many workers, all with this assignor, share the partitions, and nothing waits any more.
fn has_another(group: &Group, assignor: &str, workers: usize) -> Outcome {
    wait_until(&format!("{workers} workers have {assignor}"), Duration::from_secs(120), || {
        let found = assignors(group)?;
        let all = found.len() >= workers && found.iter().all(|name| name == assignor);
        if all { Ok(()) } else { Err(ClusterError::Unexpected(format!("{found:?}"))) }
    })?;
    group.wait_for_condition("Ready", "True", "WorkersReady")?;
    let workers = group.pods()?.len();
    group.wait_for_assignment(workers, PARTITIONS)?;
    assert!(group.condition(PENDING).is_err(), "nothing waits any more");
    Ok(())
}
