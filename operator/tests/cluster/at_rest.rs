//! After convergence nothing is written: not by reconciles, not after a restart, not for objects with odd values.

use std::time::Duration;

use balancefleet_crds::{BalanceConsumerGroup, conditions, reasons};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::{
    kafka,
    support::{Operator, Site},
};

#[tokio::test]
async fn nothing_is_written_at_rest_nor_after_a_restart() {
    let site = Site::new("rest").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("plain", json!({})).await;
    // Values that the server writes in another way than we do.
    let odd = json!({
        "replicas": 2,
        "kafka": {"extraConfig": {"client.dns.lookup": "use_all_dns_ips"}},
        "worker": {
            "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"memory": "1.5Gi"}},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "env": [{"name": "EMPTY", "value": ""}],
            "podLabels": {"team": "ledger"},
            "topologySpreadConstraints":
                [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}],
        },
    });
    site.create("odd", odd).await;
    site.until_replicas("odd", 2).await;
    for name in ["plain", "odd"] {
        site.until_condition(name, conditions::READY, "False", reasons::KAFKA_UNREACHABLE).await;
    }
    let settled = operator.settled(Duration::from_secs(10)).await;
    // Reconciles without an edit of the object, and with one that means nothing.
    for round in 0..5 {
        let note = json!({"metadata": {"annotations": {"note": round.to_string()}}});
        site.edit::<BalanceConsumerGroup>("plain", note.clone()).await;
        site.edit::<BalanceConsumerGroup>("odd", note).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(operator.writes(), settled, "no write at rest");
    operator.stop().await;

    let operator = Operator::start(&site.namespace).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let writes = operator.settled(Duration::from_secs(10)).await;
    assert_eq!(writes, 0, "a restart writes nothing");
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_restart_writes_nothing_while_kafka_answers() {
    let site = Site::new("read").await;
    let operator = Operator::start(&site.namespace).await;
    let topic = kafka::unique("read");
    kafka::create_topic(&topic, 6).await;
    let limits = json!({"minReplicas": 2, "expectedRatePerReplica": 100});
    let spec = json!({"kafka": {"bootstrapServers": kafka::broker(), "topic": topic}, "scaling": limits});
    site.create("shop", spec).await;
    site.until_condition("shop", conditions::LAG_KNOWN, "True", reasons::LAG_READ).await;
    site.until_condition("shop", conditions::SCALING_LIMITED, "True", reasons::AT_MIN_REPLICAS).await;
    operator.settled(Duration::from_secs(20)).await;
    operator.stop().await;
    let before = site.get::<BalanceConsumerGroup>("shop").await.unwrap();

    let operator = Operator::start(&site.namespace).await;
    // Longer than the longest interval of a status that is not urgent.
    tokio::time::sleep(Duration::from_secs(75)).await;
    let after = site.get::<BalanceConsumerGroup>("shop").await.unwrap();
    assert_eq!((after.status, operator.writes()), (before.status, 0));
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_newer_release_restarts_no_worker() {
    let site = Site::new("release").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({})).await;
    let before = site.until_replicas("shop", 1).await;
    operator.settled(Duration::from_secs(3)).await;
    operator.stop().await;

    let (operator, _) = crate::cut::start(&site.namespace, i64::MAX, "balancefleet/worker:next").await;
    site.until_condition("shop", conditions::WORKER_IMAGE_OUTDATED, "True", conditions::WORKER_IMAGE_OUTDATED).await;
    let after = site.until_replicas("shop", 1).await;
    assert_eq!(after.metadata.generation, before.metadata.generation, "the Deployment was not touched");
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"worker": {"image": "balancefleet/worker:next"}}})).await;
    site.until("shop", "rolls on request", |child: &k8s_openapi::api::apps::v1::Deployment| {
        child.metadata.generation != before.metadata.generation
    })
    .await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_paused_object_is_left_alone() {
    let site = Site::new("paused").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({})).await;
    site.until_replicas("shop", 1).await;
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"paused": true, "replicas": 3}})).await;
    site.until_condition("shop", conditions::SCALING_ACTIVE, "False", reasons::PAUSED).await;
    site.until_replicas("shop", 1).await;
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"paused": false}})).await;
    site.until_replicas("shop", 3).await;
    operator.stop().await;
    site.close().await;
}

/// The test's own yardstick: an edit that is no part of any promise stays.
#[tokio::test]
async fn objects_of_others_are_not_written() {
    let site = Site::new("others").await;
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "shop"}, "data": {"a": "1"}})).unwrap();
    let before = site.api::<ConfigMap>().create(&Default::default(), &map).await.unwrap();
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({})).await;
    site.until_replicas("shop", 1).await;
    let after = site.get::<ConfigMap>("shop").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    operator.stop().await;
    site.close().await;
}
