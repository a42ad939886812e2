//! The operator is killed at every one of its writes in turn, and the next one ends where an undisturbed one does.

use std::time::Duration;

use balancefleet_crds::BalanceConsumerGroup;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use serde_json::{Value, json};

use crate::{
    cut,
    support::{IMAGE, Operator, Site, essence, eventually},
};

/// All children, comparable between fleets of different names.
async fn children(site: &Site, name: &str) -> Option<Value> {
    Some(json!([
        essence(&site.get::<Deployment>(name).await?, name),
        essence(&site.get::<Service>(name).await?, name),
        essence(&site.get::<Service>(&format!("{name}-peers")).await?, name),
        essence(&site.get::<PodDisruptionBudget>(name).await?, name),
        site.get::<ServiceAccount>(name).await.map(|account| essence(&account, name)),
    ]))
}

/// What changes in the life of an object: fewer workers (with their ranking), another template, another account.
fn change() -> Value {
    json!({"spec": {"replicas": 1, "worker": {"serviceAccountName": "default", "podLabels": {"a": "b"}}}})
}

fn seen(group: &BalanceConsumerGroup) -> bool {
    let status = group.status.as_ref();
    status.and_then(|status| status.observed_generation) == group.metadata.generation
        && status.is_some_and(|status| status.conditions.len() >= 5)
}

async fn converged(site: &Site, name: &str, expected: &Value) {
    eventually(&format!("{name} is as if nothing had happened"), || async {
        (children(site, name).await.as_ref() == Some(expected)).then_some(())
    })
    .await;
    site.until(name, "the status follows", seen).await;
}

/// The next operator after a kill: comes to the expected end and stays there.
async fn recovers(site: &Site, name: &str, expected: &Value) {
    let next = Operator::start(&site.namespace).await;
    converged(site, name, expected).await;
    next.settled(Duration::from_secs(2)).await;
    assert_eq!(children(site, name).await.as_ref(), Some(expected), "{name} stays as it is");
    next.stop().await;
}

#[tokio::test]
async fn a_crash_between_any_two_writes_converges() {
    let site = Site::new("crash").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("model", json!({"replicas": 2})).await;
    site.until("model", "the status follows", seen).await;
    let to_create = operator.settled(Duration::from_secs(5)).await;
    let created = children(&site, "model").await.unwrap();
    site.edit::<BalanceConsumerGroup>("model", change()).await;
    let to_change = operator.settled(Duration::from_secs(5)).await - to_create;
    let changed = children(&site, "model").await.unwrap();
    assert_ne!(created, changed);
    operator.stop().await;

    for fatal in 0..i64::try_from(to_create).unwrap() {
        let name = format!("created-{fatal}");
        let (doomed, fuse) = cut::start(&site.namespace, fatal, IMAGE).await;
        site.create(&name, json!({"replicas": 2})).await;
        // The last writes of a quiet object (an event) may not come: then there is nothing to be killed at.
        let died = tokio::time::timeout(
            Duration::from_secs(20),
            eventually("killed", || async { fuse.has_blown().then_some(()) }),
        );
        let _ = died.await;
        doomed.kill().await;
        recovers(&site, &name, &created).await;
    }
    for fatal in 0..i64::try_from(to_change).unwrap() {
        let name = "created-0";
        let back = json!({"spec": {"replicas": 2, "worker": {"serviceAccountName": null, "podLabels": null}}});
        site.edit::<BalanceConsumerGroup>(name, back).await;
        recovers(&site, name, &created).await;
        let (doomed, fuse) = cut::start(&site.namespace, fatal, IMAGE).await;
        site.edit::<BalanceConsumerGroup>(name, change()).await;
        let died = tokio::time::timeout(
            Duration::from_secs(20),
            eventually("killed", || async { fuse.has_blown().then_some(()) }),
        );
        let _ = died.await;
        doomed.kill().await;
        recovers(&site, name, &changed).await;
    }
    site.close().await;
}
