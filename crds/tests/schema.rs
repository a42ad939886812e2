//! What the generated schema promises, read from the CRD itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is how a test fails")]

use std::collections::BTreeSet;

use balancefleet_crds::crd::crd;
use balancefleet_crds::{BalanceConsumerGroup, BalanceConsumerGroupSpec, Consumer, Scaling, StoreKind, Worker};
use serde_json::{Map, Value, json};

const EVERY_FIELD: &str = include_str!("every-field.yaml");
/// Kubernetes' own schemas, whose descriptions are left out.
const BORROWED: [&str; 3] =
    [".spec.worker.affinity.", ".spec.worker.tolerations[].", ".spec.worker.topologySpreadConstraints[]."];

fn schema() -> Value {
    let document = serde_json::to_value(crd().unwrap()).unwrap();
    document["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Every schema with its path: `.spec.worker.env[].name`, map values as `{}`.
fn fields(path: &str, schema: &Value, found: &mut Vec<(String, Map<String, Value>)>) {
    let Some(object) = schema.as_object() else { return };
    found.push((path.to_owned(), object.clone()));
    for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
        fields(&format!("{path}.{name}"), property, found);
    }
    fields(&format!("{path}[]"), object.get("items").unwrap_or(&Value::Null), found);
    fields(&format!("{path}{{}}"), object.get("additionalProperties").unwrap_or(&Value::Null), found);
}

fn all_fields() -> Vec<(String, Map<String, Value>)> {
    let mut found = Vec::new();
    fields("", &schema(), &mut found);
    assert!(found.len() > 100, "the walk finds the fields");
    found
}

fn without(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<String> = violations.into_iter().collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn only_formats_that_the_api_server_knows_are_used() {
    let known = ["int32", "int64", "date-time"];
    without(
        all_fields()
            .into_iter()
            .filter(|(_, field)| field.get("format").is_some_and(|format| !known.iter().any(|name| format == name)))
            .map(|(path, field)| format!("{path}: {}", field["format"])),
    );
}

#[test]
fn nothing_is_nullable_and_no_default_is_empty() {
    let empty = [json!({}), json!([]), Value::Null];
    without(
        all_fields()
            .into_iter()
            .filter(|(_, field)| {
                field.contains_key("nullable")
                    || field.get("default").is_some_and(|default| empty.contains(default))
                    || field.get("enum").and_then(Value::as_array).is_some_and(|words| words.contains(&Value::Null))
            })
            .map(|(path, _)| path),
    );
}

#[test]
fn every_list_says_how_it_merges_and_how_long_it_may_be() {
    without(
        all_fields()
            .into_iter()
            .filter(|(_, field)| field.get("type") == Some(&json!("array")))
            .filter(|(_, field)| !field.contains_key("x-kubernetes-list-type") || !field.contains_key("maxItems"))
            .map(|(path, _)| path),
    );
}

#[test]
fn every_text_and_every_map_has_a_maximum() {
    let bounded = |field: &Map<String, Value>| match field.get("type").and_then(Value::as_str) {
        Some("string") => ["maxLength", "enum", "format"].iter().any(|limit| field.contains_key(*limit)),
        Some("object") => !field.contains_key("additionalProperties") || field.contains_key("maxProperties"),
        None => field.contains_key("maxLength"),
        _ => true,
    };
    without(all_fields().into_iter().filter(|(_, field)| !bounded(field)).map(|(path, _)| path));
}

#[test]
fn every_field_of_ours_is_described_in_one_paragraph() {
    let ours =
        |path: &str| !path.ends_with("[]") && !path.ends_with("{}") && !BORROWED.iter().any(|p| path.starts_with(p));
    let described = |field: &Map<String, Value>| {
        field.get("description").and_then(Value::as_str).is_some_and(|text| text.len() > 5 && !text.contains('\n'))
    };
    without(all_fields().into_iter().filter(|(path, field)| ours(path) && !described(field)).map(|(path, _)| path));
}

#[test]
fn a_parent_of_defaults_carries_them_all() {
    without(all_fields().into_iter().filter_map(|(path, field)| {
        let children: Map<String, Value> = field
            .get("properties")
            .and_then(Value::as_object)?
            .iter()
            .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
            .collect();
        // An object that must be written, or is a choice of its own, is no default.
        let optional = path == ".spec.kafka.consumer" || path == ".spec.scaling" || path == ".spec.worker";
        let carried = field.get("default").cloned();
        (optional && carried != Some(Value::Object(children.clone())))
            .then(|| format!("{path}: {carried:?} instead of {children:?}"))
    }));
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_types() {
    let schema = schema();
    let default = |path: &str| schema.pointer(&format!("{path}/default")).cloned().unwrap_or_default();
    let spec = "/properties/spec/properties";
    assert_eq!(default(&format!("{spec}/scaling")), json!(Scaling::default()));
    assert_eq!(default(&format!("{spec}/worker")), json!(Worker::default()));
    assert_eq!(default(&format!("{spec}/kafka/properties/consumer")), json!(Consumer::default()));
    assert_eq!(json!(Consumer::default())["heartbeatInterval"], "500ms");
}

#[test]
fn an_object_written_by_these_types_holds_no_null() {
    let spec: BalanceConsumerGroupSpec =
        serde_json::from_value(json!({ "kafka": { "bootstrapServers": "kafka:9092", "topic": "t" } })).unwrap();
    let text = serde_json::to_string(&BalanceConsumerGroup::new("name", spec)).unwrap();
    assert!(!text.contains("null"), "{text}");
}

#[test]
fn every_field_is_read_and_written_without_loss() {
    let written: Value = serde_yaml::from_str(EVERY_FIELD).unwrap();
    let read: BalanceConsumerGroup = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), written);
}

#[test]
fn the_sample_with_every_field_has_every_field() {
    let object: Value = serde_yaml::from_str(EVERY_FIELD).unwrap();
    let ours = |path: &str| {
        path.starts_with(".spec.")
            && !path.contains(['[', '{'])
            && !BORROWED.iter().any(|p| path.starts_with(p))
            // An object has one store; the sample has the changelog.
            && ![".spec.balances.store.replay", ".spec.balances.store.postgres"].iter().any(|p| path.starts_with(p))
    };
    let pointer = |path: &str| path.replace('.', "/");
    without(
        all_fields()
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| ours(path) && object.pointer(&pointer(path)).is_none()),
    );
}

/// A store without rules could be exchanged for another one, and its balances with it.
#[test]
fn the_admission_rules_know_every_store() {
    let schema = schema();
    let stores = schema.pointer("/properties/spec/properties/balances/properties/store/properties").unwrap();
    let in_schema: BTreeSet<_> = stores.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(in_schema, BTreeSet::from(StoreKind::ALL.map(StoreKind::name)));
}

#[test]
fn the_crd_fits_the_annotation_of_a_client_side_apply() {
    let bytes = serde_json::to_string(&crd().unwrap()).unwrap().len();
    assert!(bytes < 200_000, "{bytes} bytes, and annotations end at 262144");
}

#[test]
fn the_committed_crd_is_the_generated_one() {
    let committed: Value = serde_yaml::from_str(include_str!("../../config/crd/balanceconsumergroups.yaml")).unwrap();
    assert_eq!(committed, serde_json::to_value(crd().unwrap()).unwrap(), "run `make generate`");
}
