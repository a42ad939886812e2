//! The validation rules of the schema (CEL): what the API server checks beyond types and limits, each with the message
//! a user reads.
//!
//! A value that can be absent is compared in its effective form. A rule on an optional field does not run when the
//! field is added or removed, so rules about immutable values are attached to the object itself.

mod balances;
mod client_settings;
mod kafka;
mod rule;
mod scaling;
mod stores;
mod worker;

use crate::balances::{Sign, TRANSACTION_TYPES};
use rule::{immutable, is_written, rule};

pub use rule::ValidationRule;

/// All rules.
pub fn rules() -> Vec<ValidationRule> {
    [
        object(),
        stores::immutability(),
        settings_stay(),
        kafka::connection(),
        kafka::consumer(),
        client_settings::rules(),
        balances::rules(),
        stores::rules(),
        scaling::rules(),
        worker::rules(),
    ]
    .concat()
}

fn object() -> Vec<ValidationRule> {
    vec![
        rule(
            "",
            "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name becomes the name of Services and pods: use at most 52 lower-case letters, digits and '-', \
             starting with a letter and not ending with '-'",
        ),
        immutable(
            ".spec.kafka.topic",
            |object| format!("{object}.spec.kafka.topic"),
            "kafka.topic cannot change because progress belongs to one topic: create another object",
        ),
        immutable(
            ".spec.kafka.groupId",
            |object| {
                format!("(has({object}.spec.kafka.groupId) ? {object}.spec.kafka.groupId : {object}.metadata.name)")
            },
            "kafka.groupId cannot change (default: the object's name) because progress belongs to the group: \
             create another object",
        ),
        immutable(
            ".spec.ledger",
            |object| format!("{object}.spec.ledger"),
            "ledger cannot change because a count cannot be converted to balances, or balances to a count: create \
             another object",
        ),
    ]
}

/// The settings by which balances were computed cannot change.
fn settings_stay() -> Vec<ValidationRule> {
    vec![
        ValidationRule {
            field_path: Some(".spec.balances"),
            ..rule(
                "",
                minor_units_stay(),
                "balances.minorUnits may gain currencies, but decimals that are set cannot be changed or removed \
                 because the same digits would be worth a different amount: create another object with its own \
                 kafka.groupId",
            )
        },
        ValidationRule {
            field_path: Some(".spec.balances"),
            ..rule(
                "",
                same_signs(),
                "balances.signs cannot change because two ledgers would be mixed: create another object with its own \
                 kafka.groupId",
            )
        },
    ]
}

/// Compares signs one by one with their defaults filled in: to write out a default is not a change.
fn same_signs() -> String {
    let defaults: Vec<String> =
        TRANSACTION_TYPES.iter().map(|(name, sign)| format!("'{name}': '{}'", sign_word(*sign))).collect();
    let effective = |object: &str| {
        let signs = format!("{object}.spec.balances.signs");
        format!("({} && t in {signs} ? {signs}[t] : sign)", is_written(&signs))
    };
    format!("{{{}}}.all(t, sign, {} == {})", defaults.join(", "), effective("self"), effective("oldSelf"))
}

/// Every former currency is still there with the same decimals.
fn minor_units_stay() -> String {
    let [(units, is_written), (former, was_written)] = ["self", "oldSelf"].map(|object| {
        let units = format!("{object}.spec.balances.minorUnits");
        let is_written = is_written(&units);
        (units, is_written)
    });
    format!(
        "!({was_written}) || {former}.all(code, decimals, {is_written} && code in {units} && {units}[code] == decimals)"
    )
}

fn sign_word(sign: Sign) -> &'static str {
    match sign {
        Sign::Credit => "Credit",
        Sign::Debit => "Debit",
        Sign::Ignore => "Ignore",
    }
}
