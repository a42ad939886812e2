//! Which librdkafka settings may be passed on, by their names.

use super::rule::{ValidationRule, list, rule};
use crate::reserved::{CONFIG_KEYS, ReservedKeys};

pub(super) fn rules() -> Vec<ValidationRule> {
    let at = ".spec.kafka.extraConfig";
    let mut rules = vec![rule(
        at,
        "self.all(key, key.size() <= 64 && key.matches('^[a-z][a-z0-9.]*$'))",
        "the keys of extraConfig must be names of librdkafka settings: at most 64 lower-case letters, digits and dots, \
         for example client.dns.lookup",
    )];
    for ReservedKeys { because, keys, prefixes } in &CONFIG_KEYS {
        if !keys.is_empty() {
            rules.push(reserved_keys(at, keys, because));
        }
        if !prefixes.is_empty() {
            rules.push(rule(
                at,
                format!("!self.exists(key, {}.exists(prefix, key.startsWith(prefix)))", list(prefixes)),
                format!("extraConfig may not set keys that begin with {}: {because}", prefixes.join(", ")),
            ));
        }
    }
    rules
}

/// The message finds the key with a chain of choices between literals, because their length is known. A message of
/// unknown length (such as `join` of a filtered list) exceeds the cost limit of the API server.
fn reserved_keys(at: &'static str, keys: &[&str], because: &str) -> ValidationRule {
    let name: String = keys.iter().map(|key| format!("'{key}' in self ? '{key}' : ")).collect();
    ValidationRule {
        message_expression: Some(format!("'extraConfig may not set ' + ({name}'this key') + ': {because}'")),
        ..rule(
            at,
            format!("!{}.exists(key, key in self)", list(keys)),
            format!("extraConfig may not set this key: {because}"),
        )
    }
}
