//! Balances of the whole fleet against the oracle.

use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, KAFKA_OUTSIDE, Scenario, wait_until};
use balancefleet_e2e::oracle::Signs;
use balancefleet_e2e::stream::Settings;
use balancefleet_e2e::traffic::{Keying, Sender};
use serde_json::{Value, json};

use crate::support::{
    Failure, Outcome, PARTITIONS, PATIENCE, ask, every_balance_is_right, every_balance_is_right_by, scenario, send,
};

#[test]
fn a_backlog_of_a_hundred_thousand_scales_the_fleet_to_six_and_every_balance_and_count_is_right() -> Outcome {
    scenario("backlog", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let currencies = ["EUR", "USD", "JPY", "KWD"].map(str::parse).into_iter().collect::<Result<Vec<_>, _>>()?;
        let settings = Settings { customers: 5_000, skew: 0.8, currencies, ..Settings::default() };
        send(&topic, settings, 100_000)?;
        let work = json!({"worker": {"simulatedWork": "2ms"}});
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, work))?;
        wait_until("the fleet grows to one worker for each partition", PATIENCE, || {
            let status = group.status()?;
            if status["replicas"] == 6 { Ok(()) } else { Err(ClusterError::Unexpected(status.to_string())) }
        })?;
        let verdict = every_balance_is_right(scenario, &group, &topic)?;
        assert_eq!((verdict.transactions, verdict.refused), (100_000, 0));
        Ok(())
    })
}

#[test]
fn the_same_balances_come_from_whichever_worker_is_asked() -> Outcome {
    scenario("same", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let currencies = ["EUR", "JPY"].map(str::parse).into_iter().collect::<Result<Vec<_>, _>>()?;
        send(&topic, Settings { currencies, multi_currency: true, customers: 300, ..Settings::default() }, 5_000)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 3})))?;
        let assignment = group.wait_for_assignment(3, PARTITIONS)?;
        every_balance_is_right(scenario, &group, &topic)?;
        let expected = ask(&group)?;
        for (worker, _) in &assignment {
            assert_eq!(worker.balances()?.rows, expected.rows, "{worker:?}");
        }
        let customer = &expected.rows[0].customer_id;
        let path = format!("/api/Balance/balances/{customer}");
        let one: Value = serde_json::from_str(&group.get(&path)?)?;
        assert_eq!(one["customerId"], customer.as_str());
        assert_eq!(one["transactionCount"], expected.rows[0].count);
        let unknown = assignment[0].0.get("/api/Balance/balances/NOBODY").unwrap_err().to_string();
        assert!(unknown.contains("NotFound") || unknown.contains("not found"), "{unknown}");
        Ok(())
    })
}

#[test]
fn poison_is_counted_as_errors_and_changes_no_balance() -> Outcome {
    scenario("poison", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        send(&topic, Settings { poison: 3.0, customers: 200, ..Settings::default() }, 5_000)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 1})))?;
        let verdict = every_balance_is_right(scenario, &group, &topic)?;
        assert!(verdict.refused > 100);
        let (worker, _) = group.wait_for_assignment(1, PARTITIONS)?.remove(0);
        let metrics = worker.metrics()?;
        assert_eq!(metrics.processing_errors, verdict.refused);
        assert_eq!(metrics.balance_updates, verdict.transactions);
        assert_eq!(metrics.status, "Consuming");
        Ok(())
    })
}

const DEPOSIT: &str = r#"{"transactionId":"BAL-001","fromAccount":"BANK","toAccount":"FR7630001000123456789","amount":5000.00,"currency":"EUR","type":3,"description":"Depot initial","customerId":"CUST-001","timestamp":"2026-02-08T22:00:00Z","riskScore":0,"status":1}"#;
const TRANSFER: &str = r#"{"transactionId":"BAL-002","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":1200.00,"currency":"EUR","type":1,"description":"Virement loyer","customerId":"CUST-001","timestamp":"2026-02-08T22:01:00Z","riskScore":0,"status":1}"#;

#[test]
fn one_line_of_configuration_decides_between_the_3800_and_the_350_of_the_guides() -> Outcome {
    scenario("signs", |scenario| {
        let (debit, code) = (scenario.create_topic("debit", PARTITIONS)?, scenario.create_topic("code", PARTITIONS)?);
        Sender::new(KAFKA_OUTSIDE, &debit, Keying::None)?.send_all([DEPOSIT, TRANSFER])?;
        let transfers = [TRANSFER.replace("1200.00", "250.00"), TRANSFER.replace("1200.00", "100.00")];
        Sender::new(KAFKA_OUTSIDE, &code, Keying::None)?.send_all(transfers.iter().map(String::as_str))?;

        let debits = json!({"balances": {"signs": {"Transfer": "Debit"}}});
        let by_setting = Group::apply(scenario, &scenario.manifest("setting", &debit, debits))?;
        let by_default = Group::apply(scenario, &scenario.manifest("code", &code, json!({})))?;
        every_balance_is_right_by(scenario, &by_setting, &debit, &"Transfer=debit".parse::<Signs>()?)?;
        every_balance_is_right(scenario, &by_default, &code)?;
        assert_eq!(balance_of(&by_setting)?, "3800");
        assert_eq!(balance_of(&by_default)?, "350");
        Ok(())
    })
}

fn balance_of(group: &Group) -> Result<String, Failure> {
    let rows = ask(group)?.rows;
    let row = rows.iter().find(|row| row.customer_id == "CUST-001").ok_or("no CUST-001")?;
    assert_eq!((row.count, row.last_transaction_id.as_str()), (2, "BAL-002"));
    Ok(row.balances.values().next().ok_or("no balance")?.to_string())
}

#[test]
fn the_sample_of_the_demo_runs_as_it_is_but_for_its_address() -> Outcome {
    scenario("sample", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        send(&topic, Settings::default(), 1_000)?;
        let group = Group::apply(scenario, &sample(scenario, &topic)?)?;
        group.wait_for_condition("Ready", "True", "WorkersReady")?;
        every_balance_is_right(scenario, &group, &topic)?;
        wait_until("the lag is gone", Duration::from_secs(60), || {
            let status = group.status()?;
            if status["lag"] == 0 { Ok(()) } else { Err(ClusterError::Unexpected(status.to_string())) }
        })?;
        Ok(())
    })
}

/// `config/samples/demo.yaml`, moved into the scenario's namespace, topic and group.
fn sample(scenario: &Scenario, topic: &str) -> Result<Value, Failure> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples/demo.yaml");
    let list = scenario.kubectl().json(&["create", "--dry-run=client", "--filename", path])?;
    let mut object = list.get("items").and_then(|items| items.get(0)).unwrap_or(&list).clone();
    object["metadata"] = json!({"name": "sample", "namespace": scenario.kubectl().namespace()});
    object["spec"]["kafka"]["topic"] = topic.into();
    object["spec"]["kafka"]["groupId"] = scenario.unique("sample").into();
    Ok(object)
}
