//! Somebody else scales the Deployment instead of the object.

use std::time::Duration;

use balancefleet_crds::conditions;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::{Operator, Site};

#[tokio::test]
async fn foreign_replicas_are_restored_three_times_and_then_reported() {
    let site = Site::new("contended").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({"replicas": 2})).await;
    site.until_replicas("shop", 2).await;
    let params = PatchParams { field_manager: Some("an-autoscaler".to_owned()), ..PatchParams::default() };
    let scale = || async {
        let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
        site.api::<Deployment>().patch_scale("shop", &params, &patch).await.unwrap();
    };
    for _ in 0..3 {
        scale().await;
        site.until_replicas("shop", 2).await;
    }
    site.until_condition("shop", conditions::REPLICAS_CONTENDED, "True", conditions::REPLICAS_CONTENDED).await;
    operator.settled(Duration::from_secs(3)).await;
    scale().await;
    let writes = operator.settled(Duration::from_secs(5)).await;
    site.until_replicas("shop", 5).await;

    // Everything else is still applied, with their number.
    site.edit::<balancefleet_crds::BalanceConsumerGroup>(
        "shop",
        json!({"spec": {"worker": {"podLabels": {"a": "b"}}}}),
    )
    .await;
    let child = site
        .until("shop", "the label is there", |child: &Deployment| {
            let template = child.spec.as_ref().unwrap().template.metadata.as_ref().unwrap();
            template.labels.as_ref().unwrap().contains_key("a")
        })
        .await;
    assert_eq!(child.spec.unwrap().replicas, Some(5));
    assert!(operator.settled(Duration::from_secs(5)).await > writes);
    operator.stop().await;
    site.close().await;
}
