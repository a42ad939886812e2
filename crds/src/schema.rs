//! Schemas of fields whose Rust type says less, or more, than the API server should check.

use schemars::{Schema, SchemaGenerator, json_schema};

/// One CamelCase word.
pub(crate) fn word(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 64 })
}

/// The list of conditions: one per type, with the limits Kubernetes itself sets, so that server-side apply merges by type.
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
                "type": { "type": "string", "minLength": 1, "maxLength": 316, "description": "What this condition is about." },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown." },
                "reason": { "type": "string", "minLength": 1, "maxLength": 1024, "description": "One word for why." },
                "message": { "type": "string", "maxLength": 32768, "description": "What happened and what to do next." },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "The metadata.generation this condition was set for."
                },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time", "description": "When the status last changed."
                },
            },
        },
    })
}
