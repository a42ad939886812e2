//! Schemas of fields for which the Rust type does not say exactly what the API server should check.

use schemars::{Schema, SchemaGenerator, json_schema};

/// One CamelCase word.
pub(crate) fn word(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 64 })
}

/// A map to texts of at most `max_length` characters.
fn texts(max_properties: u32, max_length: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": max_properties,
        "additionalProperties": { "type": "string", "maxLength": max_length },
    })
}

pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    texts(32, 63)
}

pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    texts(32, 4096)
}

pub(crate) fn client_settings(_: &mut SchemaGenerator) -> Schema {
    texts(32, 1024)
}

/// Decimal places per currency, as many as the worker accepts.
pub(crate) fn minor_units(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "integer", "format": "int32", "minimum": 0, "maximum": 12 },
    })
}

/// The list of conditions: one per type, so that server-side apply merges by type, with the limits Kubernetes itself
/// sets.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "type": "string", "minLength": 1, "maxLength": 316, "description": "Type of the condition."
                },
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "Status of the condition: True, False or Unknown."
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "description": "Reason for the status, as one word."
                },
                "message": {
                    "type": "string", "maxLength": 32768, "description": "What happened and what to do next."
                },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "The metadata.generation that this condition describes."
                },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time", "description": "Time when the status last changed."
                },
            },
        },
    })
}
