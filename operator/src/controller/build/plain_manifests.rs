//! `config/kubernetes` runs the workers without the operator: with the same objects that the operator creates, so that
//! neither can change without the other.

use serde_json::Value;

use super::{KINDS, Replicas, fixtures::minimal};
use crate::controller::validate::{ValidationContext, validate};

/// In the order in which the operator applies its children.
const MANIFESTS: [&str; 5] = [
    include_str!("../../../../config/kubernetes/serviceaccount.yaml"),
    include_str!("../../../../config/kubernetes/service-peers.yaml"),
    include_str!("../../../../config/kubernetes/service.yaml"),
    include_str!("../../../../config/kubernetes/poddisruptionbudget.yaml"),
    include_str!("../../../../config/kubernetes/deployment.yaml"),
];
/// The image of this release.
const IMAGE: &str = concat!("balancefleet/worker:", env!("CARGO_PKG_VERSION"));

#[test]
fn the_manifests_without_the_operator_are_the_children_that_it_creates() {
    let mut group = minimal();
    group.metadata.name = Some("balance-service".to_owned());
    group.spec.kafka.bootstrap_servers = "kafka.kafka.svc:9092".to_owned();
    let group = validate(&group, &ValidationContext { release_image: IMAGE, ..ValidationContext::default() }).unwrap();
    let children = KINDS.iter().filter_map(|kind| (kind.build)(&group, Replicas::both(1)));
    let children: Vec<_> = children.map(|child| without_the_operator(&child.unwrap())).collect();
    assert_eq!(children.len(), MANIFESTS.len(), "a manifest in config/kubernetes for each child");
    for (manifest, child) in MANIFESTS.iter().zip(children) {
        let manifest: Value = serde_yaml::from_str(manifest).unwrap();
        assert!(manifest == child, "the manifest\n{manifest:#}\nis not the child\n{child:#}");
    }
}

/// Only the operator names an owner and itself, records its decisions in annotations, and decides on replicas and
/// pauses. It knows the namespace; the manifests are applied to any.
fn without_the_operator(child: &Value) -> Value {
    let text = child.to_string().replace("balance-service-peers.bank.svc:8080", "balance-service-peers:8080");
    let mut child: Value = serde_json::from_str(&text).unwrap();
    for (parent, fields) in [
        ("/metadata", vec!["namespace", "ownerReferences", "annotations"]),
        ("/metadata/labels", vec!["app.kubernetes.io/managed-by"]),
        ("/spec", vec!["replicas", "paused"]),
        ("/spec/template/metadata/labels", vec!["app.kubernetes.io/managed-by"]),
    ] {
        if let Some(parent) = child.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.retain(|field, _| !fields.contains(&field.as_str()));
        }
    }
    child
}
