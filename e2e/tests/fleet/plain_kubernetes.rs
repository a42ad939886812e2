//! `config/kubernetes`: workers without the operator, handled with kubectl alone.

use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Scenario, wait_until};
use balancefleet_e2e::stream::Settings;

use crate::support::{
    Outcome, PARTITIONS, apply_config, config, every_balance_is_right, objects, scenario, send, shares, variable,
    wait_until_removed,
};

const DEPLOYMENT: &str = "deployment/balance-service";

#[test]
fn workers_without_the_operator_are_scaled_and_configured_by_kubectl_and_every_balance_is_right() -> Outcome {
    scenario("plain", |scenario| {
        let kubectl = scenario.kubectl();
        let before = objects(scenario)?;
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        send(&topic, Settings::default(), 1_000)?;
        let fleet = apply_config(scenario, "kubernetes", &topic)?;
        fleet.wait_for_assignment(1, PARTITIONS)?;
        kubectl.run(&["scale", DEPLOYMENT, "--replicas=3"])?;
        assert_eq!(shares(&fleet.wait_for_assignment(3, PARTITIONS)?), [2, 2, 2]);

        // Some records come while workers are replaced.
        kubectl.run(&["set", "env", DEPLOYMENT, "SIMULATED_WORK=20ms"])?;
        send(&topic, Settings { run: "more".into(), ..Settings::default() }, 300)?;
        kubectl.run(&["rollout", "status", DEPLOYMENT, "--timeout=135s"])?;
        assert_eq!(shares(&fleet.wait_for_assignment(3, PARTITIONS)?), [2, 2, 2]);
        let pods = fleet.pods()?;
        assert!(pods.iter().all(|pod| variable(pod, "SIMULATED_WORK").as_deref() == Some("20ms")), "{pods:#?}");
        // No worker holds all customers: a complete answer means that they find each other by the headless Service.
        let verdict = every_balance_is_right(scenario, &fleet, &topic)?;
        assert_eq!((verdict.transactions, verdict.refused), (1_300, 0));

        let peers = kubectl.json(&["get", "service", "balance-service-peers"])?;
        assert_eq!(peers["spec"]["clusterIP"], "None");
        assert_eq!(peers["spec"]["publishNotReadyAddresses"], true);
        for service in ["balance-service", "balance-service-peers"] {
            wait_until(&format!("three workers are behind {service}"), Duration::from_secs(30), || {
                three_are_ready(scenario, service)
            })?;
        }
        wait_until("a drain would take one worker of three", Duration::from_secs(30), || {
            let budget = kubectl.json(&["get", "poddisruptionbudget", "balance-service"])?;
            let status = &budget["status"];
            let as_expected = status["expectedPods"] == 3 && status["disruptionsAllowed"] == 1;
            if as_expected { Ok(()) } else { Err(ClusterError::Unexpected(status.to_string())) }
        })?;

        kubectl.run(&["delete", "--kustomize", &config("kubernetes")])?;
        wait_until_removed(scenario, &before)
    })
}

fn three_are_ready(scenario: &Scenario, service: &str) -> Result<(), ClusterError> {
    let selector = format!("--selector=kubernetes.io/service-name={service}");
    let slices = scenario.kubectl().json(&["get", "endpointslices", &selector])?;
    let endpoints = slices["items"].as_array().into_iter().flatten().flat_map(|slice| slice["endpoints"].as_array());
    let ready = endpoints.flatten().filter(|endpoint| endpoint["conditions"]["serving"] == true).count();
    if ready == 3 { Ok(()) } else { Err(ClusterError::Unexpected(slices.to_string())) }
}
