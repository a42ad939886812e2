//! What a worker may go on with, and what of it counts from where.

use super::*;
use crate::domain::{
    ledger::Posting,
    rules::{LedgerKind, Sign, Signs},
    transaction::TransactionType,
};

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

pub(crate) fn rules(signs: &[(TransactionType, Sign)], minor_units: &[(&str, u8)]) -> Rules {
    let minor_units = minor_units.iter().map(|(code, exponent)| (currency(code), *exponent)).collect();
    let signs = Signs::with_overrides(&signs.iter().copied().collect());
    Rules { ledger: LedgerKind::Balances, signs, exponents: Exponents::iso_4217(&minor_units) }
}

/// Of a worker with these decimals over the table.
pub(crate) fn worker_rules(minor_units: &[(&str, u8)]) -> WorkerRules {
    WorkerRules::new(rules(&[], minor_units))
}

fn with_debit() -> WorkerRules {
    WorkerRules::new(rules(&[(TransactionType::Transfer, Sign::Debit)], &[]))
}

/// A partition as its store keeps it, folded by one worker after the other.
struct Kept {
    hash: String,
    details: Option<RuleDetails>,
    start_offset: i64,
    next_offset: i64,
    ledger: Ledger,
}

impl Kept {
    fn begun(worker_rules: &WorkerRules, start_offset: i64) -> Self {
        let rules = LedgerRules::begin(worker_rules, start_offset);
        let mut kept = Self {
            hash: String::new(),
            details: None,
            start_offset,
            next_offset: start_offset,
            ledger: Ledger::default(),
        };
        kept.keep(&rules);
        kept
    }

    /// As the first release writes it.
    fn of_first_release(worker_rules: &WorkerRules, start_offset: i64) -> Self {
        Self { details: None, ..Self::begun(worker_rules, start_offset) }
    }

    fn keep(&mut self, rules: &LedgerRules) {
        (self.hash, self.details) = (rules.hash(), Some(rules.details().clone()));
    }

    fn stored(&self) -> StoredRules<'_> {
        StoredRules {
            hash: &self.hash,
            details: self.details.as_ref(),
            start_offset: self.start_offset,
            next_offset: self.next_offset,
        }
    }

    fn taken_over(&self, worker_rules: &WorkerRules) -> Result<LedgerRules, SettingsChange> {
        let mut rules = LedgerRules::take_over(self.stored(), worker_rules)?;
        rules.note_found(self.ledger.currencies(), worker_rules)?;
        Ok(rules)
    }

    /// Records of these currencies are folded by this worker; what it does not know it refuses.
    #[track_caller]
    fn fold(&mut self, codes: &[&str], worker_rules: &WorkerRules) {
        let mut rules = Arc::new(self.taken_over(worker_rules).unwrap());
        for code in codes {
            if worker_rules.exponent(currency(code)).is_some() {
                self.ledger.fold(&posting(code), self.next_offset).unwrap();
                LedgerRules::note_currencies(&mut rules, self.ledger.customer("A").unwrap(), worker_rules);
            }
            self.next_offset += 1;
        }
        self.keep(&rules);
    }

    /// By a worker of the first release with the settings that the ledger began with.
    #[track_caller]
    fn fold_by_first_release(&mut self, codes: &[&str], its: &WorkerRules) {
        assert_eq!(self.hash, its.hash(), "it refuses the ledger");
        for code in codes {
            if its.rules.exponents.overrides().contains_key(&currency(code))
                || FIRST_RELEASE_TABLE.of(currency(code)).is_some()
            {
                self.ledger.fold(&posting(code), self.next_offset).unwrap();
            }
            self.next_offset += 1;
        }
        self.details = None;
    }

    fn since(&self, code: &str, worker_rules: &WorkerRules) -> i64 {
        self.taken_over(worker_rules).unwrap().counted_since(currency(code), worker_rules)
    }
}

fn posting(code: &str) -> Posting<'_> {
    Posting {
        customer: "A".into(),
        currency: currency(code),
        minor_units: 1,
        transaction_id: "T".into(),
        timestamp: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn a_currency_more_stops_nothing_and_counts_from_then_on() {
    for of_first_release in [false, true] {
        let mut kept = if of_first_release {
            Kept::of_first_release(&worker_rules(&[]), 5)
        } else {
            Kept::begun(&worker_rules(&[]), 5)
        };
        if of_first_release {
            kept.fold_by_first_release(&["EUR", "XYZ"], &worker_rules(&[]));
        } else {
            kept.fold(&["EUR", "XYZ"], &worker_rules(&[]));
        }
        let more = worker_rules(&[("XYZ", 3)]);
        assert_eq!((kept.since("EUR", &more), kept.since("XYZ", &more)), (5, 7));
        kept.fold(&["EUR", "XYZ"], &more);
        kept.fold(&["EUR"], &more);
        assert_eq!((kept.since("EUR", &more), kept.since("XYZ", &more)), (5, 7), "also by the next worker");
    }
}

#[test]
fn the_first_release_goes_on_until_a_currency_is_held_that_it_does_not_know() {
    let (old, more) = (worker_rules(&[]), worker_rules(&[("XYZ", 3)]));
    let mut kept = Kept::begun(&more, 0);
    kept.fold_by_first_release(&["EUR", "XYZ"], &more);
    let mut kept_by_both = Kept::of_first_release(&old, 0);
    for _ in 0..2 {
        kept_by_both.fold(&["SEK"], &more);
        kept_by_both.fold_by_first_release(&["EUR", "XYZ"], &old);
    }
    kept_by_both.fold(&["HRK"], &more);
    assert_eq!(kept_by_both.hash, format!("{}+HRK", old.hash()));
    kept_by_both.fold(&["XYZ"], &more);
    assert_eq!(kept_by_both.hash, format!("{}+HRK+XYZ", old.hash()));
    assert_eq!((kept_by_both.since("SEK", &more), kept_by_both.since("HRK", &more)), (0, 6));
}

#[test]
fn a_ledger_that_this_release_begins_is_one_for_the_first_release_too() {
    let mut kept = Kept::begun(&worker_rules(&[]), 0);
    kept.fold(&["EUR"], &worker_rules(&[]));
    assert_eq!(kept.hash, "dbf0f5ff006bd89e3297d73d1e62d2860f8f40b382b1a8b3fbc555b1ed8b23d7");
    kept.fold(&["HRK"], &worker_rules(&[]));
    assert!(kept.hash.ends_with("+HRK"), "it knows HRK from the beginning, the first release does not");
}

#[test]
fn another_exponent_of_a_held_currency_is_refused_by_name() {
    let mut kept = Kept::begun(&worker_rules(&[]), 0);
    assert!(kept.taken_over(&worker_rules(&[("EUR", 4)])).is_ok(), "nobody holds it yet");
    kept.fold(&["EUR"], &worker_rules(&[]));
    let refused = kept.taken_over(&worker_rules(&[("EUR", 4)])).unwrap_err();
    assert_eq!(refused, SettingsChange::Decimals { currency: currency("EUR"), held: 2, ours: 4 });
    kept.fold_by_first_release(&["JPY"], &worker_rules(&[]));
    let refused = kept.taken_over(&worker_rules(&[("JPY", 2)])).unwrap_err();
    assert_eq!(refused, SettingsChange::Decimals { currency: currency("JPY"), held: 0, ours: 2 });
}

#[test]
fn a_held_currency_that_is_configured_no_more_is_refused_by_name() {
    let mut kept = Kept::begun(&worker_rules(&[("XYZ", 3)]), 0);
    kept.fold(&["EUR"], &worker_rules(&[("XYZ", 3)]));
    assert!(kept.taken_over(&worker_rules(&[])).is_ok(), "nobody holds it yet");
    kept.fold(&["XYZ"], &worker_rules(&[("XYZ", 3)]));
    let refused = kept.taken_over(&worker_rules(&[])).unwrap_err();
    assert_eq!(refused, SettingsChange::Forgotten { currency: currency("XYZ"), held: 3 });
    assert!(refused.to_string().contains("XYZ=3"), "{refused}");
}

#[test]
fn other_signs_are_another_ledger() {
    let refused = Kept::begun(&worker_rules(&[]), 0).taken_over(&with_debit()).unwrap_err();
    assert_eq!(refused, SettingsChange::KindOrSigns { held: String::new(), ours: "Transfer=debit".to_owned() });
    assert_eq!(Kept::of_first_release(&worker_rules(&[]), 0).taken_over(&with_debit()), Err(SettingsChange::Unknown));
}

#[test]
fn what_a_hash_of_the_first_release_stands_for_is_found_out() {
    let found =
        |begun: &[(&str, u8)], now: &[(&str, u8)]| worker_rules(now).overrides_of(worker_rules(begun).hash()).is_some();
    let many: Vec<_> = ["XAA", "XAB", "XAC", "XAD", "XAE", "XAF", "XAG"].map(|code| (code, 3)).to_vec();
    for (begun, now) in [
        (&[][..], &[][..]),
        (&[], &[("XYZ", 3)]),
        (&[("XYZ", 3)], &[("XYZ", 3), ("XYA", 2), ("XYB", 0)]),
        // The table has it by now, and the setting has gone.
        (&[("HRK", 2)], &[]),
        (&[("HRK", 2), ("XYZ", 3)], &[("XYZ", 3)]),
        (&many[1..], &many),
        (&[], &many),
    ] {
        assert!(found(begun, now), "{begun:?} {now:?}");
    }
    assert!(!found(&[("XYZ", 3)], &[("XYZ", 2)]) && !found(&[("XYZ", 3)], &[]));
}

#[test]
fn a_worker_without_a_currency_goes_on_while_nobody_holds_it_and_what_it_refuses_stays_refused() {
    let (with, without) = (worker_rules(&[("XYZ", 3)]), worker_rules(&[]));
    let mut kept = Kept::begun(&with, 0);
    kept.fold(&["EUR"], &with);
    kept.fold(&["XYZ"], &without);
    assert_ne!(kept.hash, with.hash(), "the first release would have counted it");
    assert_eq!(kept.since("XYZ", &with), 2);
    kept.fold(&["XYZ"], &with);
    kept.fold(&["EUR"], &with);
    assert_eq!(kept.since("XYZ", &with), 2);
}

#[test]
fn an_exponent_that_was_changed_and_changed_back_counts_from_then_on() {
    let mut kept = Kept::begun(&worker_rules(&[]), 0);
    kept.fold(&["EUR"], &worker_rules(&[("SEK", 0)]));
    kept.fold(&["SEK"], &worker_rules(&[]));
    assert_eq!(kept.since("SEK", &worker_rules(&[])), 1, "whatever was refused below stays so");
}

#[test]
fn a_ledger_that_is_folded_again_keeps_what_was_refused() {
    let more = worker_rules(&[("XYZ", 3), ("XYW", 3)]);
    let mut kept = Kept::of_first_release(&worker_rules(&[]), 3);
    kept.fold_by_first_release(&["EUR", "XYZ", "XYW"], &worker_rules(&[]));
    kept.fold(&["XYZ"], &more);
    let (former, disagreement) = LedgerRules::examine(kept.stored(), &kept.ledger, &more);
    assert_eq!(disagreement, None);
    kept.keep(&former.unwrap().rebuilt(&more, &(3..7), &kept.ledger));
    assert_eq!((kept.since("EUR", &more), kept.since("XYZ", &more), kept.since("XYW", &more)), (3, 6, 7));
    assert_eq!(kept.since("XYW", &more), 7);
    kept.fold(&["XYW"], &more);
    assert_eq!((kept.since("XYW", &more), kept.since("XYZ", &more)), (7, 6));
}

/// Of a person who wants another exponent: all records of the currency count by it.
#[test]
fn other_settings_are_no_obstacle_to_fold_a_ledger_again() {
    let finer = worker_rules(&[("EUR", 4)]);
    for of_first_release in [false, true] {
        let mut kept = Kept::begun(&worker_rules(&[]), 0);
        kept.fold(&["EUR", "EUR"], &worker_rules(&[]));
        if of_first_release {
            kept.details = None;
        }
        let (former, disagreement) = LedgerRules::examine(kept.stored(), &kept.ledger, &finer);
        assert!(matches!(disagreement, Some(SettingsChange::Decimals { .. })), "{disagreement:?}");
        let former = former.unwrap();
        assert_eq!(former.counted_since(currency("EUR"), &finer), 0);
        kept.keep(&former.rebuilt(&finer, &(0..2), &kept.ledger));
        assert_eq!(kept.since("EUR", &finer), 0);
        assert!(kept.taken_over(&worker_rules(&[])).is_err());
    }
}

#[test]
fn nothing_known_of_a_ledger_is_told() {
    let kept = Kept { hash: "?".to_owned(), ..Kept::of_first_release(&worker_rules(&[]), 0) };
    assert_eq!(
        LedgerRules::examine(kept.stored(), &kept.ledger, &worker_rules(&[])),
        (None, Some(SettingsChange::Unknown))
    );
}

#[test]
fn details_are_small_and_come_back() {
    let mut kept = Kept::begun(&worker_rules(&[]), 0);
    kept.fold(&["EUR"], &worker_rules(&[]));
    let json = serde_json::to_string(kept.details.as_ref().unwrap()).unwrap();
    assert_eq!(json, r#"{"identity":"","currencies":{"EUR":{"exponent":2,"since":0}}}"#);
    assert_eq!(serde_json::from_str::<RuleDetails>(&json).unwrap(), kept.details.unwrap());
}
