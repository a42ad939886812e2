//! The CustomResourceDefinition: the derived schema, reduced to what the API server accepts without a warning, with
//! limits for the schemas borrowed from Kubernetes, and with the validation rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::BalanceConsumerGroup;
use crate::columns::{COLUMNS, Column};
use crate::rules::{ValidationRule, rules};

/// The fields with Kubernetes' own schemas. Those have no limits, and their descriptions would make the CRD too big
/// for the annotation of a client-side apply.
const BORROWED: [&str; 3] =
    [".spec.worker.affinity", ".spec.worker.tolerations[]", ".spec.worker.topologySpreadConstraints[]"];
const BORROWED_MAX_LENGTH: u32 = 512;
const BORROWED_MAX_ITEMS: u32 = 32;

/// The pattern of CPU and memory quantities, so that a bad one is refused here and not later with the Deployment.
const QUANTITY_PATTERN: &str =
    r"^\+?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?$";
const QUANTITY_DESCRIPTION: &str = "A Kubernetes quantity, such as 250m, 1 or 64Mi.";

/// Why the CRD cannot be built. Only a mistake in this crate causes it, and its tests find it.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// A rule or limit refers to a field that the types do not have.
    #[error("the schema has no field {0}: correct its path in rules.rs, rules/*.rs or crd.rs")]
    UnknownField(String),
    /// The edited schema is not a valid CRD.
    #[error("the edited schema is not a CustomResourceDefinition: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// The CRD to install.
///
/// # Errors
/// See [`CrdError`].
pub fn crd() -> Result<CustomResourceDefinition, CrdError> {
    let mut document = serde_json::to_value(BalanceConsumerGroup::crd())?;
    document["spec"]["versions"][0]["additionalPrinterColumns"] = COLUMNS.iter().map(column).collect();
    let schema = document
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .ok_or_else(|| CrdError::UnknownField("openAPIV3Schema".to_owned()))?;
    for path in BORROWED {
        let field = field(schema, path)?;
        // The description of the field itself is our own, except for list items.
        let description = field.get("description").filter(|_| !path.ends_with("[]")).cloned();
        walk(field, &limit_borrowed);
        if let (Some(text), Some(field)) = (description, field.as_object_mut()) {
            field.insert("description".to_owned(), text);
        }
    }
    walk(schema, &tidy);
    // The validation rule for the store replaces `oneOf`, whose message would not name the choices.
    if let Some(store) = field(schema, ".spec.balances.store")?.as_object_mut() {
        store.remove("oneOf");
    }
    for rule in rules() {
        attach(field(schema, rule.at)?, rule);
    }
    Ok(serde_json::from_value(document)?)
}

/// The schema of a field: `.a.b` are properties, `[]` the items of a list.
fn field<'a>(schema: &'a mut Value, path: &str) -> Result<&'a mut Value, CrdError> {
    let mut pointer = String::new();
    for name in path.split('.').skip(1) {
        pointer.push_str("/properties/");
        pointer.push_str(name.trim_end_matches("[]"));
        if name.ends_with("[]") {
            pointer.push_str("/items");
        }
    }
    schema.pointer_mut(&pointer).ok_or_else(|| CrdError::UnknownField(path.to_owned()))
}

/// Visits a schema and all schemas in it, innermost first.
fn walk(schema: &mut Value, visit: &dyn Fn(&mut Map<String, Value>)) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(|property| walk(property, visit));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = object.get_mut(inner) {
            walk(schema, visit);
        }
    }
    visit(object);
}

fn limit_borrowed(schema: &mut Map<String, Value>) {
    schema.remove("description");
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => {
            schema.entry("x-kubernetes-list-type").or_insert_with(|| json!("atomic"));
            schema.entry("maxItems").or_insert_with(|| json!(BORROWED_MAX_ITEMS));
        }
        Some("string") => {
            schema.entry("maxLength").or_insert_with(|| json!(BORROWED_MAX_LENGTH));
        }
        Some("object") if schema.contains_key("additionalProperties") => {
            schema.entry("maxProperties").or_insert_with(|| json!(BORROWED_MAX_ITEMS));
        }
        _ => {}
    }
}

/// Removes nulls and empty defaults: an absent field is omitted, and not every object should carry an empty default.
fn tidy(schema: &mut Map<String, Value>) {
    schema.remove("nullable");
    schema.remove("title");
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    // The line breaks of a doc comment come from the source file.
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    let empty = schema.get("default").is_some_and(|default| {
        default.is_null()
            || default.as_object().is_some_and(Map::is_empty)
            || default.as_array().is_some_and(Vec::is_empty)
    });
    if empty {
        schema.remove("default");
    }
    if schema.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        schema.insert("description".to_owned(), json!(QUANTITY_DESCRIPTION));
        schema.insert("pattern".to_owned(), json!(QUANTITY_PATTERN));
        schema.insert("maxLength".to_owned(), json!(32));
    }
}

fn column(column: &Column) -> Value {
    let mut entry = json!({
        "name": column.name, "type": column.kind, "jsonPath": column.path, "description": column.description,
    });
    // The API server drops a priority of 0; if it were written, comparisons with the stored CRD would differ.
    if column.wide {
        entry["priority"] = json!(1);
    }
    entry
}

fn attach(schema: &mut Value, rule: ValidationRule) {
    let mut entry = json!({ "rule": rule.rule, "message": rule.message });
    if let Some(expression) = rule.message_expression {
        entry["messageExpression"] = json!(expression);
    }
    if let Some(path) = rule.field_path {
        entry["fieldPath"] = json!(path);
    }
    if let Some(object) = schema.as_object_mut() {
        let rules = object.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        if let Some(rules) = rules.as_array_mut() {
            rules.push(entry);
        }
    }
}
