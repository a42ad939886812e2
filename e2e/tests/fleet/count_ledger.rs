//! The `Count` ledger, which processes and counts records of any content.

use balancefleet_e2e::cluster::{ClusterError, Group, KAFKA_OUTSIDE, wait_until};
use balancefleet_e2e::traffic::{Keying, Sender};
use serde_json::{Value, json};

use crate::support::{Failure, Outcome, PARTITIONS, PATIENCE, scenario};

#[test]
fn the_count_ledger_counts_the_orders_of_the_first_lab() -> Outcome {
    scenario("orders", |scenario| {
        let topic = scenario.create_topic("orders", PARTITIONS)?;
        let orders: Vec<_> =
            (1..=300).map(|n| format!(r#"{{"orderId":"ORD-{n:03}","amount":99.99,"status":"NEW"}}"#)).collect();
        let records = orders.iter().map(String::as_str).chain(["no JSON at all", ""]);
        Sender::new(KAFKA_OUTSIDE, &topic, Keying::None)?.send_all(records)?;

        let count = json!({"ledger": "Count", "replicas": 2});
        let group = Group::apply(scenario, &scenario.manifest("orders", &topic, count))?;
        let workers = group.wait_for_assignment(2, PARTITIONS)?;
        wait_until("all records are counted", PATIENCE, || {
            let mut processed = 0;
            for (worker, _) in &workers {
                let stats: Value = worker.get_as("/api/v1/stats")?;
                processed += stats["messagesProcessed"].as_u64().unwrap_or_default();
            }
            if processed == 302 { Ok(()) } else { Err(ClusterError::Unexpected(format!("{processed} of 302"))) }
        })?;
        for (worker, partitions) in &workers {
            let named: Vec<_> = partitions.iter().map(|partition| format!("{topic}-{partition}")).collect();
            let answer: Value = worker.get_as("/api/v1/partitions")?;
            assert_eq!(answer, json!({"partitions": named, "count": named.len()}));
            assert_eq!(worker.metrics()?.processing_errors, 0);
        }
        wait_until("all offsets are committed", PATIENCE, || -> Result<(), Failure> {
            let read = scenario.topic(&topic);
            let (ends, committed) = (read.ends()?, read.committed(&scenario.unique("orders"))?);
            if ends == committed { Ok(()) } else { Err(format!("{committed:?} of {ends:?}").into()) }
        })?;
        Ok(())
    })
}
