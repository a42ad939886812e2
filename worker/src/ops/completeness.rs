//! Whether a log still gives what the store has counted.
//!
//! Compaction leaves holes, and so do the markers of transactions, which the client does not show: a hole proves nothing.
//! But a log from which records have gone gives fewer transactions, by the rules that the ledger was made with.

use std::fmt;

use super::{OpsError, Tools, grouped, progress::Progress};
use crate::{
    amount::AmountError,
    failure::{Failure, SettingsChange},
    ledger::Ledger,
    rules::Rules,
    store::{Examined, ToldStanding},
    transaction::BadRecord,
};

/// So many transactions less than were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    counted: u64,
    given: u64,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (given, counted, less) =
            (grouped(self.given), grouped(self.counted), grouped(self.counted.saturating_sub(self.given)));
        write!(
            f,
            "the log gives {given} transactions below the committed offset, the store has counted {counted}: records of \
             {less} are gone (was the topic compacted?), or the store has counted them twice; what the log gives does not \
             say which balances are right"
        )
    }
}

impl Missing {
    fn of(counted: u64, given: u64) -> Option<Self> {
        (given < counted).then_some(Self { counted, given })
    }

    /// How many are missing.
    pub(super) const fn lacking(self) -> u64 {
        self.counted.saturating_sub(self.given)
    }

    /// Of a stored ledger and what its records give now.
    pub(super) fn between(stored: &Ledger, folded: &Ledger) -> Option<Self> {
        Self::of(stored.transactions(), folded.transactions())
    }
}

impl Tools<'_> {
    /// Balances of a currency that is not known would be gone, and with them the only trace of it.
    pub(super) fn check_currencies(&self, partition: i32, found: &Examined) -> Result<(), OpsError> {
        if let Some(forgotten @ Failure::LedgerSettingsChanged(SettingsChange::Forgotten { .. })) = &found.flaw {
            return Err(cannot(partition, forgotten));
        }
        let exponents = &self.book.rules().exponents;
        match found.ledger.currencies().into_iter().find(|currency| exponents.of(*currency).is_none()) {
            None => Ok(()),
            Some(currency) => Err(OpsError::Impossible(format!(
                "partition {partition} cannot be rebuilt: its balances hold {currency}, which this worker does not know, and \
                 would be made without it; set its minor units again (BALANCE_MINOR_UNITS)"
            ))),
        }
    }

    /// What is missing of the records of a partition's ledger, as far as its own count can tell. A store that is not sound
    /// does not count.
    pub(super) fn missing(&self, partition: i32, found: &Examined) -> Result<Option<Missing>, OpsError> {
        let Some(ToldStanding { topic_id, base, next_offset, rules, .. }) = &found.standing else {
            return Ok(None);
        };
        let (log, counted) = (self.bounds(&self.config.topic, partition)?, found.ledger.transactions());
        // Nothing is compared with another log, or where a person has decided about an end that is gone.
        if *topic_id != self.topic.topic_id || *base < log.start || *next_offset > log.end || counted == 0 {
            return Ok(None);
        }
        let records = *base..*next_offset;
        let mut progress = Progress::new(records.end - records.start);
        progress.begin(format!("counting partition {partition}"));
        let given = match &found.flaw {
            None => self.fold(partition, records, rules.as_ref(), &mut progress)?.ledger.transactions(),
            Some(Failure::LedgerSettingsChanged(_)) => self.most_transactions(partition, records, &mut progress)?,
            Some(_) => return Ok(None),
        };
        progress.end();
        Ok(Missing::of(counted, given))
    }

    /// How many transactions records can give at most, whatever the rules.
    fn most_transactions(
        &self,
        partition: i32,
        records: std::ops::Range<i64>,
        progress: &mut Progress,
    ) -> Result<u64, OpsError> {
        let mut most = 0;
        self.read(
            &self.config.topic,
            partition,
            records,
            |record| most += u64::from(may_be_applied(&self.config.rules, record.value)),
            |records| progress.add(records),
        )?;
        Ok(most)
    }
}

/// Why a partition cannot be rebuilt.
pub(super) fn cannot(partition: i32, why: &dyn std::fmt::Display) -> OpsError {
    OpsError::Impossible(format!("partition {partition} cannot be rebuilt: {why}"))
}

/// Whether a record is a transaction by these rules, or may be one by those of another ledger.
fn may_be_applied(rules: &Rules, value: Option<&[u8]>) -> bool {
    match rules.read(value) {
        Ok(_) | Err(BadRecord::UnknownCurrency | BadRecord::Overflow(_)) => true,
        Err(BadRecord::Amount(error)) => error != AmountError::NotANumber,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        exponents::Exponents,
        rules::{LedgerKind, Sign, Signs},
        transaction::TransactionType,
    };

    #[test]
    fn fewer_than_were_counted_are_missing_and_more_are_not() {
        assert_eq!(Missing::of(4, 4), None);
        assert_eq!(Missing::of(4, 5), None);
        let missing = Missing::of(4, 2).unwrap().to_string();
        assert!(missing.contains("gives 2 transactions") && missing.contains("counted 4"), "{missing}");
    }

    #[test]
    fn what_other_rules_could_apply_is_counted() {
        let signs = Signs::labs(&BTreeMap::from([(TransactionType::Transfer, Sign::Ignore)]));
        let exponents = Exponents::iso_4217(&BTreeMap::new());
        let rules = Rules { ledger: LedgerKind::Balances, signs, exponents };
        let may = |amount: &str, currency: &str, kind: u8| {
            let json = format!(
                r#"{{"transactionId":"T","amount":{amount},"currency":"{currency}","type":{kind},"customerId":"A","timestamp":"2026-02-08T22:00:00Z"}}"#
            );
            may_be_applied(&rules, Some(json.as_bytes()))
        };
        assert!(may("1.00", "EUR", 3) && may("1.00", "EUR", 1), "another sign");
        assert!(may("1.00", "XQX", 3) && may("1.001", "EUR", 3), "other decimals");
        assert!(!may("\"one\"", "EUR", 3) && !may_be_applied(&rules, None));
    }
}
