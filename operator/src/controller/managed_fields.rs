//! Pure. Which field manager owns which fields of a Deployment. Fields that others added to the pod template have to
//! go, because they may change what workers do with money. A forced apply leaves fields that others own. So the
//! operator first takes over their ownership; the next apply, which does not contain them, removes them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

/// The operator's field manager. It must never change: fields of an old name would never be removed.
pub(super) const FIELD_MANAGER: &str = "balancefleet-operator";

/// `kubectl rollout restart` writes this into the template; no other addition of others stays.
const RESTARTED_AT: [&str; 4] = ["f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt"];

/// Whether an entry describes what somebody else wrote into the object itself (not into a subresource).
pub(super) fn is_foreign(entry: &ManagedFieldsEntry) -> bool {
    let ours = entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply");
    !ours && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// Whether others own fields of the pod template that have to go.
pub(super) fn template_has_foreign_fields(entries: &[ManagedFieldsEntry]) -> bool {
    entries.iter().filter(|entry| is_foreign(entry)).any(|entry| split(&fields(entry)).0.is_some())
}

/// The entries with every such field owned by the operator.
pub(super) fn take_over_template_fields(entries: &[ManagedFieldsEntry]) -> Vec<ManagedFieldsEntry> {
    let mut taken_over = Map::new();
    let mut kept = Vec::new();
    for entry in entries {
        let (template, rest) = if is_foreign(entry) { split(&fields(entry)) } else { (None, fields(entry)) };
        if let Some(template) = template {
            merge(&mut taken_over, &template);
        }
        if !rest.is_empty() {
            kept.push(ManagedFieldsEntry { fields_v1: Some(FieldsV1(Value::Object(rest))), ..entry.clone() });
        }
    }
    let is_ours =
        |entry: &ManagedFieldsEntry| !is_foreign(entry) && entry.subresource.as_deref().unwrap_or_default().is_empty();
    match kept.iter_mut().find(|entry| is_ours(entry)) {
        Some(entry) => {
            let mut all = fields(entry);
            merge(&mut all, &taken_over);
            entry.fields_v1 = Some(FieldsV1(Value::Object(all)));
        }
        None => kept.push(ManagedFieldsEntry {
            manager: Some(FIELD_MANAGER.to_owned()),
            operation: Some("Apply".to_owned()),
            api_version: Some("apps/v1".to_owned()),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(Value::Object(taken_over))),
            ..ManagedFieldsEntry::default()
        }),
    }
    kept
}

fn fields(entry: &ManagedFieldsEntry) -> Map<String, Value> {
    match &entry.fields_v1 {
        Some(FieldsV1(Value::Object(fields))) => fields.clone(),
        _ => Map::new(),
    }
}

/// The fields of the template that have to go (under their full path), and all others.
fn split(fields: &Map<String, Value>) -> (Option<Map<String, Value>>, Map<String, Value>) {
    let mut rest = fields.clone();
    let Some(spec) = rest.get_mut("f:spec").and_then(Value::as_object_mut) else { return (None, rest) };
    let Some(template) = spec.remove("f:template") else { return (None, rest) };
    let mut template = Map::from_iter([("f:template".to_owned(), template)]);
    if let Some(restarted) = remove(&mut template, &RESTARTED_AT) {
        let path = RESTARTED_AT
            .iter()
            .rev()
            .fold(restarted, |inner, key| Value::Object(Map::from_iter([((*key).to_owned(), inner)])));
        if let Value::Object(path) = path {
            merge(spec, &path);
        }
    }
    if spec.is_empty() {
        rest.remove("f:spec");
    }
    let foreign = names_a_field(&template).then(|| Map::from_iter([("f:spec".to_owned(), Value::Object(template))]));
    (foreign, rest)
}

/// Removes and gives the value at a path.
fn remove(map: &mut Map<String, Value>, path: &[&str]) -> Option<Value> {
    match path {
        [] => None,
        [last] => map.remove(*last),
        [first, rest @ ..] => remove(map.get_mut(*first)?.as_object_mut()?, rest),
    }
}

/// Whether the map names a field that others added, and not only parents that were there before.
fn names_a_field(map: &Map<String, Value>) -> bool {
    map.iter().any(|(key, value)| match value.as_object() {
        Some(inner) if !inner.is_empty() => names_a_field(inner),
        _ => key != "." && key != "f:template" && key != "f:metadata" && key != "f:annotations",
    })
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
            (Some(into), Some(from)) => merge(into, from),
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    fn ours() -> ManagedFieldsEntry {
        entry(FIELD_MANAGER, "Apply", json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:a": {}}}}}))
    }

    #[test]
    fn a_rollout_restart_stays() {
        let restart = json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations":
            {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}}}});
        let entries = [ours(), entry("kubectl-rollout", "Update", restart)];
        assert!(!template_has_foreign_fields(&entries));
        let taken_over = take_over_template_fields(&entries);
        assert_eq!(taken_over.len(), 2);
        assert!(fields(&taken_over[1]).contains_key("f:spec"));
    }

    #[test]
    fn an_added_field_of_the_template_becomes_ours_and_the_rest_stays_theirs() {
        let edit = json!({"f:metadata": {"f:labels": {"f:team": {}}},
            "f:spec": {"f:template": {"f:spec": {"f:hostNetwork": {}}}}});
        let entries = [ours(), entry("kubectl-edit", "Update", edit)];
        assert!(template_has_foreign_fields(&entries));
        let taken_over = take_over_template_fields(&entries);
        assert_eq!(
            fields(&taken_over[0]),
            *json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:a": {}, "f:hostNetwork": {}}}}})
                .as_object()
                .unwrap()
        );
        assert_eq!(fields(&taken_over[1]), *json!({"f:metadata": {"f:labels": {"f:team": {}}}}).as_object().unwrap());
        assert!(!template_has_foreign_fields(&taken_over));
    }

    #[test]
    fn a_manager_that_owned_nothing_else_is_gone_after_it() {
        let entries = [ours(), entry("x", "Apply", json!({"f:spec": {"f:template": {"f:spec": {"f:b": {}}}}}))];
        assert_eq!(take_over_template_fields(&entries).len(), 1);
    }

    #[test]
    fn status_and_scale_writers_are_not_looked_at() {
        let mut status = entry("kube-controller-manager", "Update", json!({"f:spec": {"f:template": {"f:x": {}}}}));
        status.subresource = Some("status".into());
        assert!(!template_has_foreign_fields(&[ours(), status]));
    }
}
