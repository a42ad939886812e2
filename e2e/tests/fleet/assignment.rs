//! How partitions are shared.

use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, wait_until};
use serde_json::json;

use crate::support::{Outcome, PARTITIONS, scenario, shares};

#[test]
fn six_partitions_are_shared_evenly_and_two_of_eight_workers_are_reported_idle() -> Outcome {
    scenario("assignment", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 1})))?;
        let even =
            [(1, vec![6]), (2, vec![3, 3]), (3, vec![2, 2, 2]), (6, vec![1; 6]), (8, vec![1, 1, 1, 1, 1, 1, 0, 0])];
        for (workers, each) in even {
            group.scale(workers)?;
            assert_eq!(shares(&group.wait_for_assignment(each.len(), PARTITIONS)?), each);
        }
        let message = wait_until("two idle workers are reported", Duration::from_secs(60), || {
            let condition = group.condition("OverCapacity")?;
            let message = condition["message"].as_str().unwrap_or_default().to_owned();
            if condition["status"] == "True" && message.contains("2 of 8") {
                Ok(message)
            } else {
                Err(ClusterError::Unexpected(condition.to_string()))
            }
        })?;
        assert!(message.contains("idle"), "{message}");
        Ok(())
    })
}

#[test]
fn every_pod_in_the_status_has_the_partitions_that_it_says_itself() -> Outcome {
    scenario("rows", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 3})))?;
        let assignment = group.wait_for_assignment(3, PARTITIONS)?;
        let mut expected: Vec<_> =
            assignment.iter().map(|(worker, partitions)| (worker.pod().to_owned(), ranges(partitions))).collect();
        expected.sort();
        wait_until("the status shows the assignment", Duration::from_secs(60), || {
            let status = group.status()?;
            let rows = status["assignment"].as_array().cloned().unwrap_or_default();
            let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let mut shown: Vec<_> = rows.iter().map(|row| (text(row, "pod"), text(row, "partitions"))).collect();
            shown.sort();
            if shown == expected { Ok(()) } else { Err(ClusterError::Unexpected(format!("{shown:?}"))) }
        })?;
        Ok(())
    })
}

/// `0-2,5`, as the status writes partitions.
fn ranges(partitions: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &partition in partitions {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == partition => *last = partition,
            _ => ranges.push((partition, partition)),
        }
    }
    let text = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(",")
}
