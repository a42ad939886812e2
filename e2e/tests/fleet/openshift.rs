//! Pods as OpenShift runs them: as a user that only their namespace has. The policy in `e2e/openshift` does here what
//! the security context constraints `restricted-v2` do there.

use std::process::Command;
use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, Scenario, process_ids, wait_until};
use balancefleet_e2e::stream::Settings;
use serde_json::{Value, json};

use crate::support::{Failure, Outcome, PARTITIONS, PATIENCE, apply_config, every_balance_is_right, scenario, send};

const POLICY: &str = include_str!("../../openshift/restricted-v2.yaml");
const USER: i64 = 1_000_650_000;
/// User and group of a process. Nobody sets the group; the image's own belongs to the image's own user.
const IDS: &str = "1000650000:0";

#[test]
fn workers_run_as_the_user_of_their_namespace_with_and_without_the_operator() -> Outcome {
    scenario("openshift", |scenario| {
        let _policy = Policy::install(scenario)?;
        let plain_topic = scenario.create_topic("plain", PARTITIONS)?;
        let plain = apply_config(scenario, "openshift", &plain_topic)?;
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 1})))?;
        for (fleet, topic) in [(&plain, &plain_topic), (&group, &topic)] {
            send(topic, Settings::default(), 500)?;
            fleet.wait_for_assignment(1, PARTITIONS)?;
            let pods = fleet.pods()?;
            assert_eq!(pods.len(), 1);
            assert_eq!(process_ids(&pods[0])?, IDS);
            every_balance_is_right(scenario, fleet, topic)?;
        }
        Ok(())
    })
}

#[test]
fn the_operator_runs_as_the_user_of_its_namespace() -> Outcome {
    scenario("openshift-operator", |scenario| {
        let _policy = Policy::install(scenario)?;
        let kubectl = scenario.kubectl();
        let namespace = kubectl.namespace();
        // The installed one serves this namespace: this one has no rights, and so nothing to do.
        let values = format!("image.tag=dev,rbac.create=false,watchNamespaces={{{namespace}}}");
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/balancefleet");
        let mut helm = Command::new("helm");
        let rendered =
            helm.args(["template", "balancefleet", chart, "--namespace", namespace, "--set", &values]).output()?;
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        kubectl.run_with(&["apply", "--filename=-"], &String::from_utf8(rendered.stdout)?)?;
        let ids = wait_until("the operator is alive", PATIENCE, || {
            let selector = "--selector=app.kubernetes.io/name=balancefleet-operator";
            let pod = kubectl.json(&["get", "pods", selector])?["items"][0].take();
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            kubectl.raw(&format!("/api/v1/namespaces/{namespace}/pods/{name}:8080/proxy/livez"))?;
            process_ids(&pod)
        })?;
        assert_eq!(ids, IDS);
        Ok(())
    })
}

/// The policy for one namespace, which belongs to the whole cluster and is removed with the scenario.
struct Policy<'a> {
    scenario: &'a Scenario,
    manifest: String,
}

impl<'a> Policy<'a> {
    /// Returns when it is in force.
    fn install(scenario: &'a Scenario) -> Result<Self, Failure> {
        let kubectl = scenario.kubectl();
        let range = format!("openshift.io/sa.scc.uid-range={USER}/10000");
        kubectl.run(&["annotate", "namespace", kubectl.namespace(), &range])?;
        let policy = Self { scenario, manifest: POLICY.replace("NAMESPACE", kubectl.namespace()) };
        kubectl.run_with(&["create", "--filename=-"], &policy.manifest).map_err(|error| {
            format!("{error}; a cluster that is older than e2e/cluster/kind.yaml: make cluster-down")
        })?;
        wait_until("the user of the image is refused", Duration::from_secs(30), || {
            match create(scenario, Some(65_532)) {
                Err(error) if error.to_string().contains("runAsUser must be in the namespace's range") => Ok(()),
                other => Err(ClusterError::Unexpected(format!("{other:?}"))),
            }
        })?;
        wait_until("a pod without a user gets one", Duration::from_secs(30), || {
            let security = create(scenario, None)?["spec"]["securityContext"].take();
            if security["runAsUser"] == USER { Ok(()) } else { Err(ClusterError::Unexpected(security.to_string())) }
        })?;
        Ok(policy)
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.scenario.kubectl().run_with(&["delete", "--filename=-"], &self.manifest) {
            eprintln!("the policy stays: {error}");
        }
    }
}

/// What the API server would make of a pod with this user.
fn create(scenario: &Scenario, user: Option<i64>) -> Result<Value, ClusterError> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": {
            "securityContext": {"runAsUser": user, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "worker",
                "image": "balancefleet/worker:dev",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    let arguments = ["create", "--dry-run=server", "--output=json", "--filename=-"];
    let text = scenario.kubectl().run_with(&arguments, &pod.to_string())?;
    serde_json::from_str(&text).map_err(|source| ClusterError::Json { what: "the pod".to_owned(), source })
}
