//! What a record does to a balance: the ledger kind, the sign of each transaction type, the decimals of each currency.
//!
//! Kind and signs decide which ledger a worker keeps: answers of workers with different ones are never added. Decimals
//! are compared per currency ([`crate::domain::ledger_rules`]), because one more known currency changes no balance.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::{
    exponents::Exponents,
    ledger::Posting,
    transaction::{BadRecord, Transaction, TransactionType},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LedgerKind {
    /// Exact balances per customer.
    Balances,
    /// Records of any content are processed and counted; there are no balances.
    Count,
}

impl LedgerKind {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Balances, Self::Count].into_iter().find(|kind| kind.to_string() == name)
    }
}

impl fmt::Display for LedgerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What transactions of one type do to a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sign {
    Credit,
    Debit,
    /// Nothing: the record is consumed, but changes no balance and no transaction count.
    Ignore,
}

impl Sign {
    /// Its name in settings.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
            Self::Ignore => "ignore",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Credit, Self::Debit, Self::Ignore].into_iter().find(|sign| sign.name().eq_ignore_ascii_case(name))
    }
}

/// One sign per transaction type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signs([Sign; TransactionType::ALL.len()]);

impl Signs {
    /// The default signs, with `overrides` over them. The .NET consumers that this worker replaces have the default
    /// ones.
    pub(crate) fn with_overrides(overrides: &BTreeMap<TransactionType, Sign>) -> Self {
        Self(TransactionType::ALL.map(|kind| overrides.get(&kind).copied().unwrap_or_else(|| default_sign(kind))))
    }

    pub(crate) fn of(&self, kind: TransactionType) -> Sign {
        self.0[kind as usize]
    }
}

fn default_sign(kind: TransactionType) -> Sign {
    match kind {
        TransactionType::Withdrawal | TransactionType::CardPayment | TransactionType::BillPayment => Sign::Debit,
        TransactionType::Transfer
        | TransactionType::Payment
        | TransactionType::Deposit
        | TransactionType::InternationalTransfer => Sign::Credit,
    }
}

/// The configured rules by which a worker reads records. A comparison with a stored ledger goes through
/// [`WorkerRules`](crate::domain::ledger_rules::WorkerRules).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) ledger: LedgerKind,
    pub(crate) signs: Signs,
    pub(crate) exponents: Exponents,
}

impl Rules {
    /// Reads one record into what it does to the ledger. Restoring and processing share this.
    ///
    /// `None` when it does nothing: its type is ignored, or the ledger only counts.
    pub(crate) fn read<'a>(&self, value: Option<&'a [u8]>) -> Result<Option<Posting<'a>>, BadRecord> {
        if self.ledger == LedgerKind::Count {
            return Ok(None);
        }
        let transaction = Transaction::parse(value, &self.exponents)?;
        let minor_units = match self.signs.of(transaction.transaction_type) {
            Sign::Credit => transaction.minor_units,
            Sign::Debit => -transaction.minor_units,
            Sign::Ignore => return Ok(None),
        };
        Ok(Some(Posting {
            customer: transaction.customer_id,
            currency: transaction.currency,
            minor_units,
            transaction_id: transaction.transaction_id,
            timestamp: transaction.timestamp,
        }))
    }

    /// Reads one record and hands what it does to the ledger to `apply`; true when it does something.
    pub(crate) fn fold<E: Into<BadRecord>>(
        &self,
        value: Option<&[u8]>,
        apply: impl FnOnce(&Posting<'_>) -> Result<(), E>,
    ) -> Result<bool, BadRecord> {
        let Some(posting) = self.read(value)? else { return Ok(false) };
        apply(&posting).map_err(Into::into)?;
        Ok(true)
    }

    /// Kind and signs in words, without those at their default: `ledger=count`, `Transfer=debit Payment=ignore`. So a
    /// setting that a later release adds does not change the words of existing ledgers.
    pub(crate) fn non_default_rules(&self) -> String {
        let mut words = Vec::new();
        if self.ledger != LedgerKind::Balances {
            words.push(format!("ledger={}", self.ledger));
        }
        let changed = TransactionType::ALL.into_iter().filter(|kind| self.signs.of(*kind) != default_sign(*kind));
        words.extend(changed.map(|kind| format!("{}={}", kind.name(), self.signs.of(kind).name())));
        words.join(" ")
    }

    /// The rules with these [`Self::non_default_rules`]; `None` if a newer release wrote them.
    pub(crate) fn of_non_default(words: &str, exponents: Exponents) -> Option<Self> {
        let (mut ledger, mut signs) = (LedgerKind::Balances, BTreeMap::new());
        for word in words.split_ascii_whitespace() {
            match word.split_once('=')? {
                ("ledger", kind) => ledger = LedgerKind::named(kind)?,
                (kind, sign) => {
                    signs.insert(TransactionType::named(kind)?, Sign::named(sign)?);
                }
            }
        }
        Some(Self { ledger, signs: Signs::with_overrides(&signs), exponents })
    }

    /// SHA-256 over kind, signs and all of `exponents`, in hex. The first release (commit de74611) compares it, so its
    /// text never changes.
    pub(crate) fn hash_with(&self, exponents: &Exponents) -> String {
        let mut text = format!("balancefleet rules 1\nledger {}\n", self.ledger);
        for kind in TransactionType::ALL {
            text.push_str(&format!("sign {} {}\n", kind.name(), self.signs.of(kind).name()));
        }
        for (currency, exponent) in exponents.iter() {
            text.push_str(&format!("exponent {currency} {exponent}\n"));
        }
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(signs: &[(TransactionType, Sign)], ledger: LedgerKind) -> Rules {
        let signs = Signs::with_overrides(&signs.iter().copied().collect());
        Rules { ledger, signs, exponents: Exponents::iso_4217(&BTreeMap::new()) }
    }

    #[test]
    fn the_signs_are_the_defaults_unless_configured() {
        let signs = Signs::with_overrides(&BTreeMap::from([(TransactionType::Transfer, Sign::Debit)]));
        let expected = [Sign::Debit, Sign::Credit, Sign::Credit, Sign::Debit, Sign::Debit, Sign::Credit, Sign::Debit];
        assert_eq!(TransactionType::ALL.map(|kind| signs.of(kind)), expected);
        assert_eq!(Signs::with_overrides(&BTreeMap::new()).of(TransactionType::Transfer), Sign::Credit);
    }

    #[test]
    fn kind_and_signs_at_their_default_add_no_words() {
        let defaults = rules(&[], LedgerKind::Balances);
        assert_eq!(defaults.non_default_rules(), "");
        assert_eq!(rules(&[(TransactionType::Transfer, Sign::Credit)], LedgerKind::Balances).non_default_rules(), "");
        let changed = [(TransactionType::Transfer, Sign::Debit), (TransactionType::Deposit, Sign::Ignore)];
        assert_eq!(
            rules(&changed, LedgerKind::Count).non_default_rules(),
            "ledger=count Transfer=debit Deposit=ignore"
        );
        let mut finer = defaults.clone();
        for rules in [&defaults, &rules(&changed, LedgerKind::Count)] {
            assert_eq!(
                Rules::of_non_default(&rules.non_default_rules(), rules.exponents.clone()).as_ref(),
                Some(rules)
            );
        }
        for newer in ["ledger=newer", "Refund=credit", "Transfer=newer", "newer"] {
            assert_eq!(Rules::of_non_default(newer, defaults.exponents.clone()), None, "{newer}");
        }
        finer.exponents =
            Exponents::iso_4217(&BTreeMap::from([(crate::domain::money::Currency::parse("XTS").unwrap(), 3)]));
        assert_eq!(finer.non_default_rules(), "");
    }

    /// Hashes seen in ledgers that the first release wrote.
    #[test]
    fn the_hash_for_the_first_release_never_changes() {
        let of = |signs: &[_], overrides: &[(&str, u8)]| {
            let overrides =
                overrides.iter().map(|(code, it)| (crate::domain::money::Currency::parse(code).unwrap(), *it));
            rules(signs, LedgerKind::Balances).hash_with(&Exponents::first_release(&overrides.collect()))
        };
        assert_eq!(of(&[], &[]), "dbf0f5ff006bd89e3297d73d1e62d2860f8f40b382b1a8b3fbc555b1ed8b23d7");
        assert_eq!(of(&[], &[("XTS", 3)]), "03759e17bf1a608fab602e776d8c4b372dad096d1217560602c58170277ad308");
        assert_eq!(
            of(&[(TransactionType::Transfer, Sign::Debit)], &[]),
            "40e4f7b9afb40caffb1be6dbbd13c713d02c60fe134920c4d886862d79f089f9"
        );
    }
}
