//! Which ledger needs what.

use super::{AdmissionRule, list, rule};
use crate::balances::TRANSACTION_TYPES;

pub(super) fn rules() -> Vec<AdmissionRule> {
    vec![
        AdmissionRule {
            field_path: Some(".balances"),
            ..rule(
                ".spec",
                "self.ledger != 'Balances' || (has(self.balances) && has(self.balances.store))",
                "balances.store is needed: write balances: {store: {replay: {}}}, or ledger: Count to keep no balances",
            )
        },
        AdmissionRule {
            field_path: Some(".balances"),
            ..rule(
                ".spec",
                "self.ledger != 'Count' || !has(self.balances)",
                "balances has no meaning with ledger: Count, which keeps none: remove it",
            )
        },
        rule(".spec.balances.store", "has(self.replay)", "store must be one of: replay: {}"),
        AdmissionRule {
            field_path: Some(".kafka.consumer.startFrom"),
            ..rule(
                ".spec",
                "!has(self.balances) || !has(self.balances.store) || !has(self.balances.store.replay) || \
                 self.kafka.consumer.startFrom == 'Earliest'",
                "the store replay reads every partition from its first record, so startFrom must be Earliest",
            )
        },
        rule(
            ".spec.balances.signs",
            format!("self.all(type, type in {})", list(&TRANSACTION_TYPES.map(|(name, _)| name))),
            "the keys of signs are transaction types: Transfer, Payment, Deposit, Withdrawal, CardPayment, \
             InternationalTransfer, BillPayment",
        ),
        rule(
            ".spec.balances.minorUnits",
            "self.all(currency, currency.matches('^[A-Z]{3}$'))",
            "the keys of minorUnits are currencies: three capital letters",
        ),
    ]
}
