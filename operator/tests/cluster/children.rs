//! The children: that they come, belong, are restored, and go.

use std::time::Duration;

use balancefleet_crds::{BalanceConsumerGroup, conditions, reasons};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, ResourceExt, api::DeleteParams};
use serde_json::json;

use crate::support::{Operator, Site, eventually};

fn belongs(child: &impl Resource, group: &BalanceConsumerGroup) -> bool {
    let owners = child.owner_references();
    owners.len() == 1 && owners[0].controller == Some(true) && Some(&owners[0].uid) == group.metadata.uid.as_ref()
}

#[tokio::test]
async fn every_child_comes_belongs_to_the_object_and_goes_with_it() {
    let site = Site::new("children").await;
    let operator = Operator::start(&site.namespace).await;
    let group = site.create("shop", json!({})).await;
    site.until("shop", "Deployment", |child: &Deployment| belongs(child, &group)).await;
    site.until("shop", "Service", |child: &Service| belongs(child, &group)).await;
    site.until("shop-peers", "headless Service", |child: &Service| belongs(child, &group)).await;
    site.until("shop", "ServiceAccount", |child: &ServiceAccount| belongs(child, &group)).await;
    site.until("shop", "budget", |child: &PodDisruptionBudget| belongs(child, &group)).await;
    let group = site.until_condition("shop", conditions::LAG_KNOWN, "False", reasons::KAFKA_UNREACHABLE).await;
    let status = group.status.unwrap();
    assert_eq!(status.observed_generation, Some(1));
    assert!(status.lag.is_none(), "unknown lag is absent");
    assert!(group.metadata.finalizers.is_none(), "nothing may keep the object from going");

    site.api::<BalanceConsumerGroup>().delete("shop", &DeleteParams::default()).await.unwrap();
    eventually("all children are collected", || async {
        let gone = site.get::<Deployment>("shop").await.is_none()
            && site.get::<Service>("shop").await.is_none()
            && site.get::<Service>("shop-peers").await.is_none()
            && site.get::<ServiceAccount>("shop").await.is_none()
            && site.get::<PodDisruptionBudget>("shop").await.is_none();
        gone.then_some(())
    })
    .await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_child_edited_by_hand_is_restored() {
    let site = Site::new("edited").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({})).await;
    site.until_replicas("shop", 1).await;
    operator.settled(Duration::from_secs(3)).await;

    // A changed value and an added one, of the pod template.
    let edit = json!({"spec": {"minReadySeconds": 1, "template": {"spec": {
        "hostNetwork": true, "containers": [{"name": "worker", "image": "stolen:1"}]}}}});
    site.edit::<Deployment>("shop", edit).await;
    let restored = site
        .until("shop", "template is ours again", |child: &Deployment| {
            let pod = child.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
            let worker = &pod.containers[0];
            pod.host_network.is_none()
                && worker.image.as_deref() == Some(crate::support::IMAGE)
                && worker.env.as_ref().is_some_and(|env| env.len() > 10)
        })
        .await;
    assert_eq!(restored.spec.unwrap().min_ready_seconds, Some(1), "outside the template others may add");

    // What a rollout restart writes stays.
    let restart = json!({"spec": {"template": {"metadata": {"annotations":
        {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}});
    site.edit::<Deployment>("shop", restart).await;
    operator.settled(Duration::from_secs(3)).await;
    let template = site.get::<Deployment>("shop").await.unwrap().spec.unwrap().template;
    assert!(template.metadata.unwrap().annotations.unwrap().contains_key("kubectl.kubernetes.io/restartedAt"));

    // Labels by which the operator watches, an owner reference, a port.
    let edit = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}, "ownerReferences": null}});
    site.edit::<Service>("shop-peers", edit).await;
    let service: Service = eventually("the headless Service is ours again or reported", || async {
        let service = site.get::<Service>("shop-peers").await?;
        let group = site.get::<BalanceConsumerGroup>("shop").await?;
        let reported = crate::support::find_condition(&group, conditions::READY)
            .is_some_and(|found| found.1 == reasons::NAME_TAKEN);
        (service.labels().contains_key("app.kubernetes.io/managed-by") || reported).then_some(service)
    })
    .await;
    assert!(service.owner_references().is_empty(), "a child that was disowned by hand is foreign");
    site.api::<Service>().delete("shop-peers", &DeleteParams::default()).await.unwrap();
    site.until("shop-peers", "comes again", |child: &Service| !child.owner_references().is_empty()).await;

    // A deleted child.
    for _ in 0..2 {
        site.api::<PodDisruptionBudget>().delete("shop", &DeleteParams::default()).await.unwrap();
        site.until("shop", "budget comes again", |_: &PodDisruptionBudget| true).await;
    }
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_foreign_child_of_that_name_is_never_touched() {
    let site = Site::new("taken").await;
    let foreign = json!({"metadata": {"name": "shop"}, "spec": {"ports": [{"port": 1}]}});
    let foreign: Service = serde_json::from_value(foreign).unwrap();
    let before = site.api::<Service>().create(&Default::default(), &foreign).await.unwrap();
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({})).await;
    let group = site.until_condition("shop", conditions::READY, "False", reasons::NAME_TAKEN).await;
    let (_, _, message) = crate::support::find_condition(&group, conditions::READY).unwrap();
    assert!(message.contains("Service `shop`") && message.contains("delete it"), "{message}");
    operator.settled(Duration::from_secs(3)).await;
    let after = site.get::<Service>("shop").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    assert!(site.get::<Deployment>("shop").await.is_none(), "half a fleet is none");

    site.api::<Service>().delete("shop", &DeleteParams::default()).await.unwrap();
    site.until("shop", "created once the name is free", |_: &Deployment| true).await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn an_own_service_account_replaces_ours() {
    let site = Site::new("account").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({})).await;
    site.until("shop", "our account", |_: &ServiceAccount| true).await;
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"worker": {"serviceAccountName": "default"}}})).await;
    site.until("shop", "the pods use it", |child: &Deployment| {
        let pod = child.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        pod.service_account_name.as_deref() == Some("default")
    })
    .await;
    eventually("our account is removed", || async { site.get::<ServiceAccount>("shop").await.is_none().then_some(()) })
        .await;
    assert!(site.get::<ServiceAccount>("default").await.is_some());
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"worker": {"serviceAccountName": null}}})).await;
    site.until("shop", "our account comes again", |_: &ServiceAccount| true).await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_field_that_is_no_longer_wanted_goes() {
    let site = Site::new("dropped").await;
    let operator = Operator::start(&site.namespace).await;
    site.create(
        "shop",
        json!({"worker": {"nodeSelector": {"disk": "fast"}, "env": [{"name": "LOG_LEVEL", "value": "debug"}]}}),
    )
    .await;
    let pod = |child: &Deployment| child.spec.clone().unwrap().template.spec.unwrap();
    site.until("shop", "selector is there", |child: &Deployment| pod(child).node_selector.is_some()).await;
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"worker": {"nodeSelector": null, "env": null}}})).await;
    let child = site.until("shop", "selector is gone", |child: &Deployment| pod(child).node_selector.is_none()).await;
    assert!(pod(&child).containers[0].env.as_ref().unwrap().iter().all(|variable| variable.name != "LOG_LEVEL"));
    operator.stop().await;
    site.close().await;
}
