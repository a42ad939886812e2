//! What people see: columns, explanations, and the scale subresource.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{MINIMAL, Server, kubectl, with_server};

async fn with_status(server: &Server) {
    server.create(server.object(MINIMAL, &json!({})), false).await.unwrap();
    let status = json!({ "status": {
        "replicas": 3, "readyReplicas": 2, "selector": "balancefleet.io/group=balance-service",
        "groupId": "balance-service", "partitions": 6, "lag": 1500, "lagAge": "5s", "members": 3, "groupState": "Stable",
        "scaling": { "mode": "Auto", "reason": "Lag", "explanation": "1 → 3" },
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "WorkersNotReady", "message": "1 of 3 is starting",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    } });
    server.objects().patch_status("balance-service", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// Header and first row of what `kubectl get` prints, as words.
fn table(server: &Server, output: &str) -> (Vec<String>, Vec<String>) {
    let resource = server.resource();
    let (text, _) = kubectl(&["get", "--namespace=default", &resource, output], &Value::Null);
    let mut lines = text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect());
    (lines.next().unwrap(), lines.next().unwrap())
}

#[tokio::test]
async fn kubectl_get_shows_partitions_workers_and_lag() {
    with_server("columns", |server| async move {
        with_status(&server).await;
        let (header, row) = table(&server, "--output=");
        assert_eq!(header, ["NAME", "PARTITIONS", "REPLICAS", "READY", "LAG", "BEHIND", "SCALING", "AGE"]);
        assert_eq!(row[..7], ["balance-service", "6", "3", "2", "1500", "5s", "Auto"]);
        let (header, row) = table(&server, "--output=wide");
        assert_eq!(header[8..], ["TOPIC", "GROUP", "MEMBERS", "STATE", "REASON"]);
        assert_eq!(row[8..], ["banking.transactions", "balance-service", "3", "Stable", "WorkersNotReady"]);
    })
    .await;
}

#[tokio::test]
async fn kubectl_scale_pins_and_the_selector_is_a_text() {
    with_server("scale", |server| async move {
        with_status(&server).await;
        let target = format!("{}/balance-service", server.resource());
        kubectl(&["scale", "--namespace=default", &target, "--replicas=4"], &Value::Null);
        let object = server.objects().get("balance-service").await.unwrap();
        assert_eq!(object.data["spec"]["replicas"], 4);
        let scale = server.objects().get_scale("balance-service").await.unwrap();
        assert_eq!(scale.spec.unwrap().replicas, Some(4));
        let status = scale.status.unwrap();
        assert_eq!((status.replicas, status.selector.as_deref()), (3, Some("balancefleet.io/group=balance-service")));
    })
    .await;
}

#[tokio::test]
async fn a_pin_is_taken_off_by_a_merge_patch() {
    with_server("unpin", |server| async move {
        server.create(server.object(MINIMAL, &json!({ "spec": { "replicas": 4 } })), false).await.unwrap();
        let patch = ["patch", "--namespace=default", "--type=merge", "-p", r#"{"spec":{"replicas":null}}"#];
        let target = format!("{}/balance-service", server.resource());
        kubectl(&[patch.as_slice(), &[&target]].concat(), &Value::Null);
        let object = server.objects().get("balance-service").await.unwrap();
        assert_eq!(object.data["spec"].get("replicas"), None);
    })
    .await;
}

#[tokio::test]
async fn kubectl_explain_reads_as_documentation() {
    with_server("explain", |server| async move {
        let version = format!("--api-version={}/v1alpha1", server.group);
        let explain = |path: &str| {
            // The document that kubectl reads follows the CRD by some seconds.
            for _ in 0..60 {
                let path = format!("balanceconsumergroups.{path}");
                let text = std::process::Command::new("kubectl").args(["explain", &path, &version]).output().unwrap();
                if text.status.success() {
                    return String::from_utf8_lossy(&text.stdout).into_owned();
                }
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
            panic!("kubectl explain {path} {version} does not work");
        };
        let spec = explain("spec");
        for field in ["kafka", "ledger", "balances", "replicas", "scaling", "worker", "paused"] {
            assert!(spec.contains(&format!("\n  {field}\t<")), "{field} in {spec}");
        }
        assert!(!spec.contains("<no description>"), "{spec}");
        assert!(explain("spec.scaling").contains("Target for the age of the oldest unread record"));
        assert!(explain("spec.kafka").contains("-required-"));
        let stores = explain("spec.balances.store");
        assert!(
            ["changelog", "postgres", "replay"].iter().all(|name| stores.contains(&format!("\n  {name}\t<"))),
            "{stores}"
        );
    })
    .await;
}
