//! Bad input: the object says what is wrong and what to do, and running workers stay.

use std::time::Duration;

use balancefleet_crds::{BalanceConsumerGroup, conditions, reasons};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, events::v1::Event};
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use crate::support::{Operator, Site, find_condition};

fn login(password: &str) -> Secret {
    let object = json!({"metadata": {"name": "login"}, "stringData": {"username": "ada", "password": password}});
    serde_json::from_value(object).unwrap()
}

async fn events(site: &Site, reason: &str) -> usize {
    let all = site.api::<Event>().list(&ListParams::default()).await.unwrap();
    all.items.iter().filter(|event| event.reason.as_deref() == Some(reason)).count()
}

#[tokio::test]
async fn a_missing_secret_is_reported_once_and_found_when_it_comes() {
    let site = Site::new("secret").await;
    let operator = Operator::start(&site.namespace).await;
    let sasl = json!({"kafka": {"sasl": {"mechanism": "Plain", "credentialsSecretRef": {"name": "login"}}}});
    site.create("shop", sasl).await;
    let group = site.until_condition("shop", conditions::READY, "False", reasons::SECRET_NOT_FOUND).await;
    let (_, _, message) = find_condition(&group, conditions::READY).unwrap();
    assert!(message.contains("Secret `login`") && message.contains("create it"), "{message}");
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!(site.get::<Deployment>("shop").await.is_none(), "a pod would hang without it");
    assert_eq!(events(&site, reasons::SECRET_NOT_FOUND).await, 1, "published once, though retried");

    site.api::<Secret>().create(&Default::default(), &login("one")).await.unwrap();
    let first = site.until("shop", "comes with the Secret", |_: &Deployment| true).await;

    // Gone again: the workers stay as they are.
    site.api::<Secret>().delete("login", &DeleteParams::default()).await.unwrap();
    site.until_condition("shop", conditions::READY, "False", reasons::SECRET_NOT_FOUND).await;
    let kept = site.get::<Deployment>("shop").await.unwrap();
    assert_eq!(kept.metadata.generation, first.metadata.generation);

    // A rotated one rolls the workers.
    site.api::<Secret>().create(&Default::default(), &login("two")).await.unwrap();
    let newer = |than: &Deployment| {
        let than = than.metadata.generation;
        move |child: &Deployment| child.metadata.generation > than
    };
    let second = site.until("shop", "a new template", newer(&first)).await;
    // Also one that was changed in place, which nothing announces.
    site.edit::<Secret>("login", json!({"stringData": {"password": "three"}})).await;
    site.until("shop", "another template", newer(&second)).await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_kafka_that_is_away_is_reported_and_the_workers_are_there() {
    let site = Site::new("kafka").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({"scaling": {"minReplicas": 2}})).await;
    site.until_replicas("shop", 2).await;
    let group = site.until_condition("shop", conditions::READY, "False", reasons::KAFKA_UNREACHABLE).await;
    let (_, _, message) = find_condition(&group, conditions::READY).unwrap();
    assert!(message.contains("127.0.0.1:9") || message.contains("bootstrap"), "{message}");
    operator.settled(Duration::from_secs(10)).await;
    assert_eq!(events(&site, reasons::KAFKA_UNREACHABLE).await, 1);
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn the_younger_of_two_objects_with_one_group_gets_no_workers() {
    let site = Site::new("conflict").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("a-first", json!({"kafka": {"groupId": "shared"}})).await;
    site.until_replicas("a-first", 1).await;
    site.create("b-second", json!({"kafka": {"groupId": "shared"}})).await;
    let group = site.until_condition("b-second", conditions::READY, "False", reasons::GROUP_SHARED).await;
    let (_, _, message) = find_condition(&group, conditions::READY).unwrap();
    assert!(message.contains("a-first"), "{message}");
    assert!(site.get::<Deployment>("b-second").await.is_none());
    site.api::<BalanceConsumerGroup>().delete("a-first", &DeleteParams::default()).await.unwrap();
    site.until("b-second", "served once it is alone", |_: &Deployment| true).await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_child_that_the_server_refuses_is_reported_in_its_words() {
    let site = Site::new("refused").await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/poddisruptionbudgets.policy": "0"}}});
    let quota: k8s_openapi::api::core::v1::ResourceQuota = serde_json::from_value(quota).unwrap();
    site.api().create(&Default::default(), &quota).await.unwrap();
    site.until("none", "the quota is counted", |quota: &k8s_openapi::api::core::v1::ResourceQuota| {
        quota.status.as_ref().is_some_and(|status| status.hard.is_some())
    })
    .await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({})).await;
    let group = site.until_condition("shop", conditions::READY, "False", reasons::APPLY_FAILED).await;
    let (_, _, message) = find_condition(&group, conditions::READY).unwrap();
    assert!(message.contains("exceeded quota"), "{message}");
    operator.stop().await;
    site.close().await;
}
