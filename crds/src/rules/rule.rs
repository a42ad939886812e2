//! One validation rule, and helpers to write several of them.

/// One rule of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationRule {
    /// The field whose schema has the rule, for example `.spec.worker.env[]`; empty for the object itself.
    pub at: &'static str,
    /// A CEL expression that is true for good objects.
    pub rule: String,
    /// The message when it is false.
    pub message: String,
    /// A CEL expression for a more specific message.
    pub message_expression: Option<String>,
    /// The field to report, relative to `at`, when it is not `at` itself.
    pub field_path: Option<&'static str>,
}

pub(super) fn rule(at: &'static str, rule: impl Into<String>, message: impl Into<String>) -> ValidationRule {
    ValidationRule { at, rule: rule.into(), message: message.into(), message_expression: None, field_path: None }
}

/// A rule of the object that reports one of its fields as immutable; `effective` gives the value to compare, in CEL.
pub(super) fn immutable(
    field_path: &'static str,
    effective: impl Fn(&str) -> String,
    message: impl Into<String>,
) -> ValidationRule {
    let same = format!("{} == {}", effective("self"), effective("oldSelf"));
    ValidationRule { field_path: Some(field_path), ..rule("", same, message) }
}

/// A rule that `at` is a valid topic name; `field` is its name in the message.
pub(super) fn topic_name(at: &'static str, field: &str) -> ValidationRule {
    rule(
        at,
        "self.matches('^[A-Za-z0-9._-]+$') && self != '.' && self != '..'",
        format!("{field} must be a valid Kafka topic name: letters, digits, '.', '_' and '-'"),
    )
}

/// A CEL expression: a field and all fields above it, from `balances` on, are present.
pub(super) fn is_written(path: &str) -> String {
    let from = path.find(".balances").map_or(0, |dot| dot + 1);
    let ends = path.match_indices('.').map(|(end, _)| end).filter(|end| *end > from).chain([path.len()]);
    ends.map(|end| format!("has({})", &path[..end])).collect::<Vec<_>>().join(" && ")
}

/// A list of words in CEL.
pub(super) fn list(words: &[&str]) -> String {
    format!("['{}']", words.join("', '"))
}
