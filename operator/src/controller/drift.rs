//! Pure. Whether a child is as intended. Three signs, none of which needs a memory, so that a restart applies nothing:
//! the hash of the last applied intent (finds what we no longer want), whether the live object contains the intent
//! (finds what others changed or removed), and fields of the pod template owned by others (finds what they added).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;

use super::{build::REPLICAS_ANNOTATION, hash::short_hash, quantity::is_same};

/// Holds the hash of what was last applied.
pub(super) const INTENT_ANNOTATION: &str = "balancefleet.io/intent";

/// An intent with its hash written into it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Intent {
    /// The full object to apply.
    pub object: Value,
    hash: String,
}

impl Intent {
    /// Stamps an object. The number of workers and our record of it are left out of the hash, though they are compared
    /// like any other field: while somebody else fights over the number, the object is applied with theirs, and that
    /// alone must not look like a new intent.
    pub(super) fn new(mut object: Value) -> Self {
        let mut hashed = object.clone();
        if let Some(spec) = hashed.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("replicas");
        }
        if let Some(annotations) = hashed.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(REPLICAS_ANNOTATION);
        }
        // A precondition, and no part of what is wanted.
        if let Some(metadata) = hashed.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        let hash = short_hash(hashed.to_string().as_bytes());
        object["metadata"]["annotations"][INTENT_ANNOTATION] = Value::String(hash.clone());
        Self { object, hash }
    }

    /// Whether a live object needs this intent applied.
    pub(super) fn differs(&self, live: &Value) -> bool {
        let applied = live.pointer("/metadata/annotations").and_then(|all| all.get(INTENT_ANNOTATION));
        applied.and_then(Value::as_str) != Some(&self.hash) || !contains(live, &self.object)
    }
}

/// Whether the object of this uid controls a child with these owner references.
pub(super) fn controlled_by(references: Option<&[OwnerReference]>, uid: &str) -> bool {
    references.unwrap_or_default().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Whether all that is intended is there; what else is there is not looked at.
fn contains(live: &Value, intent: &Value) -> bool {
    match (live, intent) {
        // The server leaves out what is empty.
        (_, Value::Null) => true,
        (Value::Null, intent) => is_empty(intent),
        (Value::Object(live), Value::Object(intent)) => {
            intent.iter().all(|(key, value)| contains(live.get(key).unwrap_or(&Value::Null), value))
        }
        (Value::Array(live), Value::Array(intent)) => {
            intent.iter().all(|element| live.iter().any(|candidate| contains(candidate, element)))
        }
        (Value::String(live), Value::String(intent)) => live == intent || is_same(live, intent),
        (live, intent) => live == intent,
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

    fn intent() -> Intent {
        Intent::new(json!({
            "metadata": {"name": "x", "labels": {"a": "1"}},
            "spec": {"replicas": 3,
                "containers": [{"name": "worker", "env": [{"name": "A", "value": ""}, {"name": "B", "value": "2"}]}],
                "limits": {"cpu": "0.5", "memory": "1024Mi"}},
        }))
    }

    fn live() -> Value {
        let mut live = intent().object;
        live["spec"]["limits"] = json!({"cpu": "500m", "memory": "1Gi"});
        live["spec"]["containers"][0]["env"][0] = json!({"name": "A"});
        live["spec"]["defaulted"] = json!(true);
        live
    }

    #[test]
    fn what_the_server_defaults_and_rewrites_is_no_drift() {
        assert!(!intent().differs(&live()));
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
            assert!(intent().differs(&live), "{pointer}");
        }
    }

    #[test]
    fn what_is_no_longer_wanted_is_drift_though_the_rest_is_there() {
        let mut smaller = intent().object;
        smaller["spec"].as_object_mut().unwrap().remove("limits");
        assert!(Intent::new(smaller).differs(&live()));
    }

    #[test]
    fn the_number_of_workers_is_no_part_of_the_hash() {
        let mut other = intent().object;
        other["spec"]["replicas"] = json!(4);
        other["metadata"]["annotations"] = json!({});
        let hash = |intent: &Intent| intent.object["metadata"]["annotations"][INTENT_ANNOTATION].clone();
        let mut plain = intent().object;
        plain["metadata"]["annotations"] = json!({});
        assert_eq!(hash(&Intent::new(other)), hash(&Intent::new(plain)));
    }
}
