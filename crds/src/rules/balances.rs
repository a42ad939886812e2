//! Valid settings of the balances. What every store must have an answer for is in [`super::stores`].

use super::rule::{ValidationRule, is_written, list, rule, topic_name};
use crate::balances::TRANSACTION_TYPES;

pub(super) fn rules() -> Vec<ValidationRule> {
    [ledger(), changelog(), topics()].concat()
}

fn ledger() -> Vec<ValidationRule> {
    vec![
        ValidationRule {
            field_path: Some(".balances"),
            ..rule(
                ".spec",
                "self.ledger != 'Count' || !has(self.balances)",
                "balances cannot be set with ledger: Count, which keeps no balances: remove it",
            )
        },
        rule(
            ".spec.balances.signs",
            format!("self.all(type, type in {})", list(&TRANSACTION_TYPES.map(|(name, _)| name))),
            "the keys of signs must be transaction types: Transfer, Payment, Deposit, Withdrawal, CardPayment, \
             InternationalTransfer, BillPayment",
        ),
        rule(
            ".spec.balances.minorUnits",
            "self.all(currency, currency.matches('^[A-Z]{3}$'))",
            "the keys of minorUnits must be currency codes: three capital letters",
        ),
    ]
}

fn changelog() -> Vec<ValidationRule> {
    vec![rule(
        ".spec.balances.store.changelog",
        "!has(self.commitInterval) || \
         (duration(self.commitInterval) > duration('0s') && duration(self.commitInterval) <= duration('60s'))",
        "commitInterval must be more than 0 and at most 60s: uncommitted records count as lag and are read again after \
         a crash",
    )]
}

/// Rules about the topics that workers write to: they must not be the topic that is read, nor the same topic.
fn topics() -> Vec<ValidationRule> {
    let (changelog, dead_letters) = ("self.balances.store.changelog.topic", "self.balances.deadLetterTopic");
    vec![
        topic_name(".spec.balances.store.changelog.topic", "changelog.topic"),
        topic_name(".spec.balances.deadLetterTopic", "deadLetterTopic"),
        ValidationRule {
            field_path: Some(".balances.deadLetterTopic"),
            ..rule(
                ".spec",
                format!("!({}) || {dead_letters} != self.kafka.topic", is_written(dead_letters)),
                "deadLetterTopic must not be kafka.topic: dead letters would be read and written again endlessly",
            )
        },
        ValidationRule {
            field_path: Some(".balances.store.changelog.topic"),
            ..rule(
                ".spec",
                format!(
                    "!({}) || ({changelog} != self.kafka.topic && (!({}) || {changelog} != {dead_letters}))",
                    is_written(changelog),
                    is_written(dead_letters)
                ),
                "changelog.topic must be a topic of its own: neither kafka.topic nor deadLetterTopic",
            )
        },
    ]
}
