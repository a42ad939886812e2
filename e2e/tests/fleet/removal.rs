//! What is left when an object is deleted: nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, Scenario, wait_until};
use serde_json::json;

use crate::support::{Outcome, PARTITIONS, scenario};

#[test]
fn deleting_the_object_leaves_no_kubernetes_object_behind() -> Outcome {
    scenario("removal", |scenario| {
        let before = objects(scenario)?;
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 2})))?;
        group.wait_for_assignment(2, PARTITIONS)?;
        let during = objects(scenario)?;
        for child in ["deployment.apps/fleet", "service/fleet", "service/fleet-peers", "serviceaccount/fleet"] {
            assert!(during.contains(child), "no {child} in {during:?}");
        }
        scenario.kubectl().run(&["delete", "bcg", "fleet"])?;
        wait_until("the namespace is as it was", Duration::from_secs(135), || {
            let left: Vec<_> = objects(scenario)?.difference(&before).cloned().collect();
            if left.is_empty() { Ok(()) } else { Err(ClusterError::Unexpected(format!("{left:?}"))) }
        })?;
        Ok(())
    })
}

/// Every object of the namespace of every kind there is, but for events, which record what happened.
fn objects(scenario: &Scenario) -> Result<BTreeSet<String>, ClusterError> {
    let kubectl = scenario.kubectl();
    let kinds = kubectl.run(&["api-resources", "--verbs=list", "--namespaced", "--output=name"])?;
    // The same objects under a second name, or none that are stored.
    let uninteresting = ["events", "events.events.k8s.io", "endpoints", "pods.metrics.k8s.io"];
    let kinds: Vec<_> = kinds.lines().filter(|kind| !uninteresting.contains(kind)).collect();
    let names = kubectl.run(&["get", &kinds.join(","), "--output=name", "--ignore-not-found"])?;
    Ok(names.lines().map(str::to_owned).collect())
}
