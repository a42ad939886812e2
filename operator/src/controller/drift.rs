//! Pure. Whether a child is as desired. Three signs, all in the live object, so that a restart applies nothing: the
//! hash of the last applied object shows fields that are no longer desired; a comparison with the desired object shows
//! fields that others changed or removed; `managed_fields` shows fields that others added to the pod template.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;

use super::{build::REPLICAS_ANNOTATION, hash::short_hash, quantity::is_same};

/// The annotation with the hash of the last applied object. Its key dates from the first release and must not change:
/// every child in every cluster carries it.
pub(super) const APPLIED_HASH_ANNOTATION: &str = "balancefleet.io/intent";

/// An object to apply, with its hash written into it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DesiredObject {
    /// The full object to apply.
    pub object: Value,
    hash: String,
}

impl DesiredObject {
    /// Adds the hash to an object. The hash leaves out the replicas and their annotation, though they are compared like
    /// any other field: while another writer contends them, the object is applied with the replicas of that writer,
    /// which must not make it another desired object.
    pub(super) fn new(mut object: Value) -> Self {
        let mut hashed = object.clone();
        if let Some(spec) = hashed.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("replicas");
        }
        if let Some(annotations) = hashed.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(REPLICAS_ANNOTATION);
        }
        // The version is a precondition of the write, not a part of the desired state.
        if let Some(metadata) = hashed.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        let hash = short_hash(hashed.to_string().as_bytes());
        object["metadata"]["annotations"][APPLIED_HASH_ANNOTATION] = Value::String(hash.clone());
        Self { object, hash }
    }

    /// Whether a live object needs this one applied.
    pub(super) fn differs(&self, live: &Value) -> bool {
        let applied = live.pointer("/metadata/annotations").and_then(|all| all.get(APPLIED_HASH_ANNOTATION));
        applied.and_then(Value::as_str) != Some(&self.hash) || !contains(live, &self.object)
    }
}

/// Whether the object of this uid controls a child with these owner references.
pub(super) fn controlled_by(references: &[OwnerReference], uid: &str) -> bool {
    references.iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Whether the live value contains all that is desired; it may contain more.
fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        // The API server leaves out empty values.
        (_, Value::Null) => true,
        (Value::Null, desired) => is_empty(desired),
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(key, value)| contains(live.get(key).unwrap_or(&Value::Null), value))
        }
        (Value::Array(live), Value::Array(desired)) => {
            desired.iter().all(|element| live.iter().any(|candidate| contains(candidate, element)))
        }
        (Value::String(live), Value::String(desired)) => live == desired || is_same(live, desired),
        (live, desired) => live == desired,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn desired() -> DesiredObject {
        DesiredObject::new(json!({
            "metadata": {"name": "x", "labels": {"a": "1"}},
            "spec": {"replicas": 3,
                "containers": [{"name": "worker", "env": [{"name": "A", "value": ""}, {"name": "B", "value": "2"}]}],
                "limits": {"cpu": "0.5", "memory": "1024Mi"}},
        }))
    }

    fn live() -> Value {
        let mut live = desired().object;
        live["spec"]["limits"] = json!({"cpu": "500m", "memory": "1Gi"});
        live["spec"]["containers"][0]["env"][0] = json!({"name": "A"});
        live["spec"]["defaulted"] = json!(true);
        live
    }

    #[test]
    fn what_the_server_defaults_and_rewrites_is_no_drift() {
        assert!(!desired().differs(&live()));
    }

    #[test]
    fn every_edit_of_ours_is_drift() {
        for (pointer, value) in [
            ("/metadata/labels/a", json!("2")),
            ("/metadata/labels", json!({})),
            ("/spec/replicas", json!(4)),
            ("/spec/containers/0/env/1/value", json!("3")),
            ("/spec/containers/0/env", json!([{"name": "A"}])),
            ("/spec/limits/cpu", json!("600m")),
            ("/metadata/annotations", json!({})),
        ] {
            let mut live = live();
            *live.pointer_mut(pointer).unwrap() = value;
            assert!(desired().differs(&live), "{pointer}");
        }
    }

    #[test]
    fn what_is_no_longer_wanted_is_drift_though_the_rest_is_there() {
        let mut smaller = desired().object;
        smaller["spec"].as_object_mut().unwrap().remove("limits");
        assert!(DesiredObject::new(smaller).differs(&live()));
    }

    #[test]
    fn the_replicas_are_no_part_of_the_hash() {
        let mut other = desired().object;
        other["spec"]["replicas"] = json!(4);
        other["metadata"]["annotations"] = json!({});
        let hash = |desired: &DesiredObject| desired.object["metadata"]["annotations"][APPLIED_HASH_ANNOTATION].clone();
        let mut plain = desired().object;
        plain["metadata"]["annotations"] = json!({});
        assert_eq!(hash(&DesiredObject::new(other)), hash(&DesiredObject::new(plain)));
    }
}
