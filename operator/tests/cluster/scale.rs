//! The scale subresource: the door for people and for other autoscalers.

use balancefleet_crds::{BalanceConsumerGroup, conditions, reasons};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::support::{Operator, Site, find_condition};

/// What the condition about scaling says.
fn says(group: &BalanceConsumerGroup, words: &str) -> bool {
    find_condition(group, conditions::SCALING_ACTIVE).is_some_and(|(_, _, message)| message.contains(words))
}

#[tokio::test]
async fn a_scale_pins_is_obeyed_as_it_is_and_can_be_taken_back() {
    let site = Site::new("scale").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({"scaling": {"minReplicas": 2, "maxReplicas": 3}})).await;
    site.until_replicas("shop", 2).await;

    // What `kubectl scale` sends; beyond the maximum on purpose.
    let api = site.api::<BalanceConsumerGroup>();
    let params = PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() };
    api.patch_scale("shop", &params, &Patch::Merge(json!({"spec": {"replicas": 4}}))).await.unwrap();
    site.until_replicas("shop", 4).await;
    let group = site.until_condition("shop", conditions::SCALING_ACTIVE, "False", reasons::PINNED).await;
    let (_, _, message) = find_condition(&group, conditions::SCALING_ACTIVE).unwrap();
    assert!(message.contains("spec.replicas is 4"), "{message}");
    assert_eq!(group.status.unwrap().scaling.unwrap().mode.as_str(), "Pinned");

    let scale = api.get_scale("shop").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(4));
    let selector = scale.status.unwrap().selector.unwrap();
    assert!(selector.contains("balancefleet.io/group=shop"), "{selector}");

    // Through /scale the API server records the writer only of a field that has a recorded writer already.
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"replicas": 5}})).await;
    site.until("shop", "names who pinned it", |group: &BalanceConsumerGroup| says(group, "is 5, set by somebody"))
        .await;
    api.patch_scale("shop", &params, &Patch::Merge(json!({"spec": {"replicas": 3}}))).await.unwrap();
    site.until("shop", "names who scaled it", |group: &BalanceConsumerGroup| says(group, "is 3, set by kubectl")).await;

    api.patch_scale("shop", &params, &Patch::Merge(json!({"spec": {"replicas": 0}}))).await.unwrap();
    site.until_replicas("shop", 0).await;

    // Back to automatic: unknown lag keeps what is there, within the limits of the object.
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"replicas": null}})).await;
    site.until_replicas("shop", 2).await;
    site.until_condition("shop", conditions::SCALING_ACTIVE, "False", reasons::HOLDING).await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn unknown_lag_keeps_the_number_also_through_a_restart() {
    let site = Site::new("hold").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({"replicas": 5})).await;
    site.until_replicas("shop", 5).await;
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"replicas": null}})).await;
    site.until_condition("shop", conditions::SCALING_ACTIVE, "False", reasons::HOLDING).await;
    operator.stop().await;
    let operator = Operator::start(&site.namespace).await;
    // The edit shows that the new operator has reconciled.
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"scaling": {"maxReplicas": 6}}})).await;
    site.until("shop", "seen", |group: &BalanceConsumerGroup| {
        group.status.as_ref().and_then(|status| status.observed_generation) == group.metadata.generation
    })
    .await;
    site.until_replicas("shop", 5).await;
    operator.stop().await;
    site.close().await;
}
