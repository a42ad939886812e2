//! Whether a log still gives all transactions that the store has counted.
//!
//! A gap in the offsets proves nothing: compaction leaves gaps, and so do transaction markers, which the client does
//! not show. But a log that has lost records gives fewer transactions by the rules that made the ledger. Other settings
//! that refuse counted records give fewer, too.

use std::{collections::BTreeSet, fmt, ops::Range};

use balancefleet_kafka::ReadRecord;

use super::{
    progress_bar::ProgressBar,
    tools::{OpsError, ToolContext, grouped},
};
use crate::{
    domain::{
        amount::AmountError, ledger::Ledger, ledger_rules::LedgerRules, money::Currency, rules::Rules,
        transaction::BadRecord,
    },
    partition_failure::{PartitionFailure, SettingsChange},
    store::{StoredPartition, StoredProgress},
};

/// Transactions that were counted but would not be counted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    counted: u64,
    /// Those whose records the log still has.
    given: u64,
    refused: Option<Refused>,
}

/// Records that were counted, and that the present settings refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    records: u64,
    /// Whether there may be more, because it is unknown which records were counted.
    is_least: bool,
    /// The offset of the first record that may be one.
    first: i64,
    why: BadRecord,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.gone() > 0 {
            let (given, counted, less) = (grouped(self.given), grouped(self.counted), grouped(self.gone()));
            write!(
                f,
                "the log gives {given} transactions below the committed offset, the store has counted {counted}: records of \
                 {less} are gone (was the topic compacted?), or the store has counted them twice; what the log gives does not \
                 say which balances are right"
            )?;
        }
        let Some(Refused { records, is_least, first, why }) = &self.refused else { return Ok(()) };
        let and = if self.gone() > 0 { "; and " } else { "" };
        let (at_least, perhaps) = if *is_least { ("at least ", "perhaps ") } else { ("", "") };
        write!(
            f,
            "{and}the store has counted {at_least}{} transactions that this worker's settings refuse, the first one {perhaps}at offset \
             {first} ({why}): set those again with which the balances were made",
            grouped(*records)
        )
    }
}

impl Missing {
    fn of(counted: u64, given: u64, refused: Option<Refused>) -> Option<Self> {
        let missing = Self { counted, given, refused };
        (missing.lacking() > 0).then_some(missing)
    }

    /// How many no longer have a record.
    pub(super) const fn gone(self) -> u64 {
        self.counted.saturating_sub(self.given)
    }

    /// How many have a record that would be refused.
    pub(super) const fn refused(self) -> u64 {
        match self.refused {
            Some(Refused { records, .. }) => records,
            None => 0,
        }
    }

    /// The total of both.
    pub(super) const fn lacking(self) -> u64 {
        self.gone() + self.refused()
    }

    /// Compares a stored ledger with what its records give now.
    pub(super) fn between(stored: &Ledger, folded: &Ledger) -> Option<Self> {
        Self::of(stored.transactions(), folded.transactions(), None)
    }
}

/// What a ledger of other settings has counted, and by which rules.
struct CountedBy<'a> {
    rules: Option<&'a LedgerRules>,
    held: &'a BTreeSet<Currency>,
    /// `None` if its own count cannot be trusted.
    transactions: Option<u64>,
}

/// Collects what records give now, of those that other rules have counted or may have counted.
#[derive(Default)]
struct Tally {
    counted: u64,
    refused: Option<Refused>,
}

impl Tally {
    /// Notes a counted record, and why it is refused now. An ignored type is no refusal: the user has configured it.
    fn take(&mut self, offset: i64, refused: Option<BadRecord>) {
        self.counted += 1;
        if let Some(why) = refused {
            let none = Refused { records: 0, is_least: false, first: offset, why };
            self.refused.get_or_insert(none).records += 1;
        }
    }

    /// The result for a store that has counted `counted` records, if it is unknown which ones.
    fn of_any(self, counted: u64) -> Self {
        let refused = self.refused.map(|refused| {
            let taken = self.counted - refused.records;
            let records = refused.records.min(counted.saturating_sub(taken));
            Refused { records, is_least: true, ..refused }
        });
        Self { refused: refused.filter(|refused| refused.records > 0), ..self }
    }
}

impl ToolContext<'_> {
    /// Refuses a rebuild while the worker does not know a held currency: its balances would be gone, with the only
    /// trace of them.
    pub(super) fn check_currencies(&self, partition: i32, found: &StoredPartition) -> Result<(), OpsError> {
        if let Some(forgotten @ SettingsChange::Forgotten { .. }) = &found.other_settings {
            return Err(cannot_rebuild(partition, forgotten));
        }
        let exponents = &self.worker_rules.rules().exponents;
        // If the balances cannot be read, only the progress says which currencies they hold.
        let told = found
            .stored_progress
            .iter()
            .filter_map(|stored_progress| stored_progress.rules.as_ref())
            .flat_map(LedgerRules::counted);
        let mut held = told.map(|(currency, _)| currency).chain(found.ledger.currencies());
        match held.find(|currency| exponents.of(*currency).is_none()) {
            None => Ok(()),
            Some(currency) => Err(OpsError::Impossible(format!(
                "partition {partition} cannot be rebuilt: its balances hold {currency}, which this worker does not know, and \
                 would be made without it; set its minor units again (BALANCE_MINOR_UNITS)"
            ))),
        }
    }

    /// The transactions of a partition's ledger that a rebuild would not count again: those whose records are gone, as
    /// far as the ledger's own count shows, and those that the present settings refuse.
    pub(super) fn missing(&self, partition: i32, found: &StoredPartition) -> Result<Option<Missing>, OpsError> {
        let Some(StoredProgress { topic_id, start_offset, next_offset, rules, .. }) = &found.stored_progress else {
            return Ok(None);
        };
        let (log, counted) = (self.bounds(&self.config.topic, partition)?, found.ledger.transactions());
        // A ledger is not compared with the log of another topic.
        if *topic_id != self.topic.topic_id || *start_offset < log.start {
            return Ok(None);
        }
        // The count of an unsound store says nothing, and if the end of the log is gone, the user has decided about
        // that.
        let counted = Some(counted).filter(|counted| *counted > 0 && found.is_sound() && *next_offset <= log.end);
        let has_other_settings = found.other_settings.is_some();
        if counted.is_none() && !has_other_settings {
            return Ok(None);
        }
        let records = *start_offset..(*next_offset).min(log.end).max(*start_offset);
        let progress = ProgressBar::new(records.end - records.start);
        progress.begin(format!("counting partition {partition}"));
        let Tally { counted: given, refused } = if has_other_settings {
            let ledger = CountedBy { rules: rules.as_ref(), held: &found.ledger.currencies(), transactions: counted };
            self.tally(partition, records, &ledger, &progress)?
        } else {
            let folded = self.fold(partition, records, rules.as_ref(), &progress)?;
            Tally { counted: folded.ledger.transactions(), refused: None }
        };
        progress.end();
        Ok(Missing::of(counted.unwrap_or(given), given, refused))
    }

    /// Reads the records that a ledger of other settings has counted. If its rules are unknown, every record that any
    /// rules could count may be one of them, unless no customer holds its currency. Then only the ledger's count says
    /// how many there are at least.
    fn tally(
        &self,
        partition: i32,
        records: Range<i64>,
        by: &CountedBy<'_>,
        progress: &ProgressBar,
    ) -> Result<Tally, OpsError> {
        let former = by.rules.and_then(|ledger| Some((ledger, ledger.rules_of_counted()?)));
        let was_counted = |record: &ReadRecord<'_>| match &former {
            Some((ledger, rules)) => {
                let posting = rules.read(record.value).ok().flatten();
                posting
                    .is_some_and(|posting| record.offset >= ledger.counted_since(posting.currency, &self.worker_rules))
            }
            None => may_be_counted(self.worker_rules.rules(), by.held, record.value),
        };
        let mut tally = Tally::default();
        self.read(
            &self.config.topic,
            partition,
            records,
            |record| {
                if was_counted(record) {
                    tally.take(record.offset, self.worker_rules.rules().read(record.value).err());
                }
            },
            |records| progress.add(records),
        )?;
        Ok(if former.is_some() { tally } else { tally.of_any(by.transactions.unwrap_or_default()) })
    }
}

/// Why a partition cannot be rebuilt.
pub(super) fn cannot_rebuild(partition: i32, why: &dyn std::fmt::Display) -> OpsError {
    OpsError::Impossible(format!("partition {partition} cannot be rebuilt: {why}"))
}

/// The number of transactions in the balances of a partition, if no log is left to count them.
pub(super) fn transactions_of(partition: i32, found: &StoredPartition) -> Result<u64, OpsError> {
    match &found.unsound {
        Some(unreadable @ PartitionFailure::UnreadableProgress { .. }) => Err(OpsError::Impossible(format!(
            "partition {partition} cannot be rebuilt: its balances may be made of another topic and cannot be read, so nobody \
             can say what would be lost ({unreadable}); nothing was changed: use the release that wrote them, or give this topic a \
             group of its own"
        ))),
        _ => Ok(found.ledger.transactions()),
    }
}

/// Whether a ledger with these currencies may have counted the record, by any rules.
fn may_be_counted(rules: &Rules, held: &BTreeSet<Currency>, value: Option<&[u8]>) -> bool {
    match rules.read(value) {
        Ok(Some(posting)) => held.contains(&posting.currency),
        Ok(None) | Err(BadRecord::UnknownCurrency | BadRecord::Overflow(_)) => true,
        Err(BadRecord::Amount(error)) => error != AmountError::NotANumber,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{
        exponents::Exponents,
        rules::{LedgerKind, Sign, Signs},
        transaction::TransactionType,
    };

    #[test]
    fn fewer_than_were_counted_are_missing_and_more_are_not() {
        assert_eq!(Missing::of(4, 4, None), None);
        assert_eq!(Missing::of(4, 5, None), None);
        let missing = Missing::of(4, 2, None).unwrap().to_string();
        assert!(missing.contains("gives 2 transactions") && missing.contains("counted 4"), "{missing}");
    }

    const TOO_FINE: BadRecord = BadRecord::Amount(AmountError::TooManyDecimals);

    /// So many that the settings of now take, and so many that they refuse.
    fn tally(taken: i64, refused: i64) -> Tally {
        let mut tally = Tally::default();
        (0..taken).for_each(|offset| tally.take(offset, None));
        (taken..taken + refused).for_each(|offset| tally.take(offset, Some(TOO_FINE)));
        tally
    }

    #[test]
    fn what_the_settings_of_now_refuse_is_missing_whatever_else_they_take() {
        let Tally { counted, refused } = tally(3, 2);
        assert_eq!((counted, refused), (5, Some(Refused { records: 2, is_least: false, first: 3, why: TOO_FINE })));
        // As many more as are refused make good for nothing.
        for (stored, lacking) in [(5, 2), (3, 2), (9, 6)] {
            let missing = Missing::of(stored, counted, refused).unwrap();
            assert_eq!(missing.lacking(), lacking);
            let words = missing.to_string();
            assert!(words.contains("counted 2 transactions that this worker's settings refuse"), "{words}");
            assert_eq!(words.contains("records of 4 are gone"), stored == 9, "{words}");
        }
    }

    #[test]
    fn where_nobody_knows_what_was_counted_the_number_says_how_many_are_refused_at_least() {
        for (stored, records) in [(3, 0), (4, 1), (5, 2), (7, 2), (0, 0)] {
            let refused = tally(3, 2).of_any(stored).refused.map_or(0, |refused| refused.records);
            assert_eq!(refused, records, "{stored}");
        }
    }

    #[test]
    fn what_other_rules_could_have_counted_is_counted() {
        let signs = Signs::with_overrides(&BTreeMap::from([(TransactionType::Transfer, Sign::Ignore)]));
        let exponents = Exponents::iso_4217(&BTreeMap::new());
        let rules = Rules { ledger: LedgerKind::Balances, signs, exponents };
        let may = |amount: &str, currency: &str, kind: u8| {
            let json = format!(
                r#"{{"transactionId":"T","amount":{amount},"currency":"{currency}","type":{kind},"customerId":"A","timestamp":"2026-02-08T22:00:00Z"}}"#
            );
            may_be_counted(&rules, &BTreeSet::from([Currency::parse("EUR").unwrap()]), Some(json.as_bytes()))
        };
        assert!(may("1.00", "EUR", 3) && may("1.00", "EUR", 1), "another sign");
        assert!(may("1.00", "XQX", 3) && may("1.001", "EUR", 3), "other decimals");
        assert!(!may("1.00", "USD", 3), "nobody holds it, so none of it was counted");
        assert!(!may("\"one\"", "EUR", 3) && !may_be_counted(&rules, &BTreeSet::new(), None));
    }
}
