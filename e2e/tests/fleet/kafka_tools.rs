//! What `kubectl get bcg` shows against Kafka's own tool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, GroupRow, Line, Scenario, describe_group, wait_until};
use balancefleet_e2e::stream::Settings;
use serde_json::json;

use crate::support::{Failure, Outcome, PARTITIONS, every_balance_is_right, scenario, send};

#[test]
fn kubectl_get_bcg_agrees_with_kafka_consumer_groups_on_members_offsets_and_lag() -> Outcome {
    scenario("tools", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 3})))?;
        group.wait_for_assignment(3, PARTITIONS)?;
        send(&topic, Settings::default(), 6_000)?;
        every_balance_is_right(scenario, &group, &topic)?;
        let line = wait_for_columns(&group, &[("LAG", "0"), ("READY", "3"), ("STATE", "Stable"), ("MEMBERS", "3")])?;
        let rows = wait_for_kafka(scenario, |rows| lag(rows) == 0)?;
        assert_eq!((line["PARTITIONS"].as_str(), rows.len()), ("6", 6));
        assert_eq!((line["REPLICAS"].as_str(), line["BEHIND"].as_str()), ("3", "0s"));
        assert_eq!(
            (line["TOPIC"].as_str(), line["GROUP"].as_str()),
            (topic.as_str(), scenario.unique("fleet").as_str())
        );
        members_and_offsets_agree(&group, &rows)?;

        // Nobody reads: all that comes now is lag, for both.
        group.scale(0)?;
        wait_until("all workers are gone", Duration::from_secs(90), || match group.pods()?.len() {
            0 => Ok(()),
            left => Err(ClusterError::Unexpected(format!("{left} pods"))),
        })?;
        send(&topic, Settings { run: "more".into(), ..Settings::default() }, 600)?;
        wait_for_columns(&group, &[("LAG", "600"), ("STATE", "Empty"), ("MEMBERS", "0"), ("REPLICAS", "0")])?;
        let rows = wait_for_kafka(scenario, |rows| rows.iter().all(|row| row.client_id.is_none()))?;
        assert_eq!(lag(&rows), 600);
        Ok(())
    })
}

/// Kafka's tool names each partition's owner and offset: the pods must say the same of themselves.
fn members_and_offsets_agree(group: &Group, rows: &[GroupRow]) -> Outcome {
    let mut owners = BTreeMap::new();
    for (worker, partitions) in group.assignment()? {
        let metrics = worker.metrics()?;
        let prefix = format!("balance-worker-{}-", worker.pod());
        assert!(metrics.consumer_id.starts_with(&prefix), "{} of {worker:?}", metrics.consumer_id);
        for partition in partitions {
            owners.insert(partition as i32, (metrics.consumer_id.clone(), metrics.partition_offsets.clone()));
        }
    }
    for row in rows {
        let (consumer_id, offsets) = &owners[&row.partition];
        assert_eq!(row.client_id.as_ref(), Some(consumer_id));
        assert_eq!(row.committed, Some(row.end));
        // The worker tells the last offset it has processed, Kafka the next one it will.
        assert_eq!(offsets.get(&row.partition).map(|last| last + 1), row.committed, "partition {}", row.partition);
    }
    let members: BTreeSet<_> = rows.iter().filter_map(|row| row.client_id.as_ref()).collect();
    assert_eq!(members.len(), 3);
    Ok(())
}

fn wait_for_columns(group: &Group, expected: &[(&str, &str)]) -> Result<Line, ClusterError> {
    wait_until(&format!("kubectl get bcg shows {expected:?}"), Duration::from_secs(135), || {
        let line = group.columns()?;
        if expected.iter().all(|(column, value)| line.get(*column).map(String::as_str) == Some(*value)) {
            return Ok(line);
        }
        Err(ClusterError::Unexpected(format!("{line:?}")))
    })
}

fn wait_for_kafka(scenario: &Scenario, wanted: impl Fn(&[GroupRow]) -> bool) -> Result<Vec<GroupRow>, Failure> {
    let rows = wait_until("kafka-consumer-groups agrees", Duration::from_secs(60), || {
        let rows = describe_group(&scenario.unique("fleet"))?;
        if wanted(&rows) { Ok(rows) } else { Err(ClusterError::Unexpected(format!("{rows:?}"))) }
    })?;
    Ok(rows)
}

fn lag(rows: &[GroupRow]) -> i64 {
    rows.iter().filter_map(|row| row.lag).sum()
}
