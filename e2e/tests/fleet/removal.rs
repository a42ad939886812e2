//! What is left when an object is deleted: nothing.

use balancefleet_e2e::cluster::Group;
use serde_json::json;

use crate::support::{Outcome, PARTITIONS, objects, scenario, wait_until_removed};

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
        wait_until_removed(scenario, &before)
    })
}
