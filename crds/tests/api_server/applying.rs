//! Applying, from the client's side and from the server's, and what then stands in the object.

use balancefleet_crds::{BalanceConsumerGroup, BalanceConsumerGroupSpec};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{EVERY_FIELD, MINIMAL, kubectl, merge, refusal, with_server};

#[tokio::test]
async fn the_crd_applies_from_both_sides_without_a_warning() {
    with_server("definition", |server| async move {
        let mut crd = server.crd();
        // Not the one the test runs under: that one is owned by another manager.
        let group = format!("again.{}", server.group);
        merge(
            &mut crd,
            &json!({
                "metadata": { "name": format!("balanceconsumergroups.{group}") },
                "spec": { "group": group },
            }),
        );
        for arguments in
            [["apply", "-f", "-"].as_slice(), &["apply", "-f", "-"], &["apply", "--server-side", "-f", "-"]]
        {
            let (_, warnings) = kubectl(arguments, &crd);
            assert_eq!(warnings, "", "{arguments:?}");
        }
        kubectl(&["delete", "--wait=false", "-f", "-"], &crd);
    })
    .await;
}

#[tokio::test]
async fn an_object_applies_from_both_sides_and_a_second_time_changes_nothing() {
    with_server("objects", |server| async move {
        for (name, mode) in [("client", "--server-side=false"), ("server", "--server-side=true")] {
            let object = server.object(EVERY_FIELD, &json!({ "metadata": { "name": name } }));
            let apply = ["apply", "--namespace=default", "--validate=strict", mode, "-f", "-"];
            let (_, warnings) = kubectl(&apply, &object);
            assert_eq!(warnings, "");
            let before = server.objects().get(name).await.unwrap().metadata.resource_version;
            kubectl(&apply, &object);
            assert_eq!(server.objects().get(name).await.unwrap().metadata.resource_version, before, "{mode}");
        }
    })
    .await;
}

#[tokio::test]
async fn defaults_are_filled_in_and_nothing_else() {
    with_server("defaults", |server| async move {
        let created = server.create(server.object(MINIMAL, &json!({})), true).await.unwrap();
        let mut expected = server.object(MINIMAL, &json!({}))["spec"].clone();
        merge(
            &mut expected,
            &json!({
                "kafka": { "consumer": {
                    "sessionTimeout": "10s", "heartbeatInterval": "500ms", "maxPollInterval": "60s",
                    "assignor": "CooperativeSticky", "startFrom": "Earliest",
                } },
                "ledger": "Balances",
                "scaling": { "minReplicas": 1, "lagSLO": "60s", "targetUtilization": 90, "dryRun": false },
                "worker": { "terminationGracePeriod": "30s", "simulatedWork": "0s" },
                "paused": false,
            }),
        );
        assert_eq!(created.data["spec"], expected);
    })
    .await;
}

#[tokio::test]
async fn a_half_written_parent_still_gets_its_other_defaults() {
    with_server("halves", |server| async move {
        let half = json!({ "spec": { "scaling": { "maxReplicas": 3 }, "kafka": { "consumer": { "sessionTimeout": "20s" } } } });
        let created = server.create(server.object(MINIMAL, &half), true).await.unwrap();
        assert_eq!(created.data["spec"]["scaling"]["lagSLO"], "60s");
        assert_eq!(created.data["spec"]["kafka"]["consumer"]["maxPollInterval"], "60s");
    })
    .await;
}

#[tokio::test]
async fn conditions_of_two_managers_live_side_by_side() {
    with_server("conditions", |server| async move {
        server.create(server.object(MINIMAL, &json!({})), false).await.unwrap();
        for (manager, condition) in [("one", "Ready"), ("two", "LagKnown")] {
            let status = json!({
                "apiVersion": format!("{}/v1alpha1", server.group),
                "kind": "BalanceConsumerGroup",
                "status": { "conditions": [{
                    "type": condition, "status": "True", "reason": "Test", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }] },
            });
            let params = PatchParams::apply(manager);
            server.objects().patch_status("balance-service", &params, &Patch::Apply(status)).await.unwrap();
        }
        let object = server.objects().get("balance-service").await.unwrap();
        assert_eq!(object.data["status"]["conditions"].as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_these_types_apply_owns_no_nulls_and_reads_back() {
    with_server("types", |server| async move {
        let spec: BalanceConsumerGroupSpec =
            serde_json::from_value(server.object(MINIMAL, &json!({}))["spec"].clone()).unwrap();
        let mut object = json!(BalanceConsumerGroup::new("typed", spec.clone()));
        object["apiVersion"] = json!(format!("{}/v1alpha1", server.group));
        let applied = server.objects().patch("typed", &PatchParams::apply("types"), &Patch::Apply(&object)).await;
        assert_eq!(refusal(applied), None);
        let stored: Value = server.objects().get("typed").await.unwrap().data["spec"].clone();
        assert_eq!(serde_json::from_value::<BalanceConsumerGroupSpec>(stored).unwrap(), spec);
    })
    .await;
}
