//! Several watched namespaces: one that may not be read holds up nobody else.

use balancefleet_operator::metrics::Metrics;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Client, api::PostParams};
use serde_json::json;

use crate::support::{IMAGE, OPERATOR_USER, Operator, Site, config, eventually};

/// Gives a user the operator's rights in one namespace.
async fn allow(site: &Site, user: &str) {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": OPERATOR_USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))
    .unwrap();
    site.api().create(&PostParams::default(), &binding).await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_may_not_be_read_yet_keeps_no_other_from_being_served() {
    const USER: &str = "balancefleet-tests-two-namespaces";
    let (closed, open) = (Site::new("closed").await, Site::new("open").await);
    allow(&open, USER).await;
    let mut config = config().await;
    config.auth_info.impersonate = Some(USER.to_owned());
    let client = Client::try_from(config).unwrap();
    let namespaces = [closed.namespace.as_str(), open.namespace.as_str()];
    let operator = Operator::start_in(client, Metrics::default(), &namespaces, IMAGE);
    open.create("shop", json!({})).await;
    open.until_replicas("shop", 1).await;
    let waits_for = operator.health.ready().unwrap_err();
    assert!(waits_for.contains(&closed.namespace) && waits_for.contains("forbidden"), "{waits_for}");

    // Of another name, since the group is called after it.
    closed.create("till", json!({})).await;
    allow(&closed, USER).await;
    closed.until_replicas("till", 1).await;
    eventually("it is ready", || async { operator.health.ready().ok() }).await;
    operator.stop().await;
    closed.close().await;
    open.close().await;
}
