//! Records made right, nearly right or broken by chance: they are taken, with the same values, exactly if a plain
//! reading over `serde_json` takes them.
//!
//! `PROPTEST_CASES` makes a run longer than the one that is part of the tests.

mod mutation;
mod reference;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{tests::DEPOSIT, *};
use mutation::{any_record, any_value, edited, usual_record, with};
use reference::{Reading, read};

fn config() -> ProptestConfig {
    let is_given = std::env::var_os("PROPTEST_CASES").is_some();
    if is_given { ProptestConfig::default() } else { ProptestConfig::with_cases(4096) }
}

/// By both ways, which must never give two answers.
fn parse(bytes: &[u8]) -> Option<Transaction<'_>> {
    let exponents = Exponents::iso_4217(&BTreeMap::new());
    let by_parser = Transaction::parse_any(bytes, &exponents).ok();
    assert_eq!(Transaction::parse(Some(bytes), &exponents).ok(), by_parser, "{}", bytes.escape_ascii());
    by_parser
}

proptest! {
    #![proptest_config(config())]

    /// Fields in any order, written in any way, left out, repeated, or with another value.
    #[test]
    fn a_record_is_read_as_by_serde_json(text in any_record()) {
        match read(text.as_bytes()) {
            Reading::Transaction(expected) => prop_assert_eq!(parse(text.as_bytes()), Some(expected), "{}", text),
            Reading::Refused => prop_assert_eq!(parse(text.as_bytes()), None, "{}", text),
        }
    }

    /// Fields in their usual order, with one or two values changed: most are read without the parser.
    #[test]
    fn a_record_of_the_usual_shape_is_read_as_by_serde_json(text in usual_record()) {
        match read(text.as_bytes()) {
            Reading::Transaction(expected) => prop_assert_eq!(parse(text.as_bytes()), Some(expected), "{}", text),
            Reading::Refused => prop_assert_eq!(parse(text.as_bytes()), None, "{}", text),
        }
    }

    /// Bytes replaced, put in and taken out. What is only skipped may be broken inside, so a record that was edited
    /// more than once may be taken although it is no JSON; never the other way round.
    #[test]
    fn an_edited_record_is_read_as_by_serde_json((bytes, edits) in edited(DEPOSIT.as_bytes())) {
        match read(&bytes) {
            Reading::Transaction(expected) => prop_assert_eq!(parse(&bytes), Some(expected)),
            Reading::Refused => prop_assert!(edits > 1 || parse(&bytes).is_none(), "{}", bytes.escape_ascii()),
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_as_by_serde_json(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(parse(&bytes).is_some(), matches!(read(&bytes), Reading::Transaction(_)));
    }

    /// Fields without meaning here are skipped, so only what they must not do is promised: refuse a right record.
    #[test]
    fn no_ignored_field_refuses_a_right_record(location: bool, value in any_value()) {
        let text = with(if location { "location" } else { "unknown" }, &value);
        if let Reading::Transaction(expected) = read(text.as_bytes()) {
            prop_assert_eq!(parse(text.as_bytes()), Some(expected), "{}", text);
        }
    }
}

/// So that agreement is not reached by leaving everything to the parser.
#[test]
fn most_records_of_the_usual_shape_are_read_without_the_parser() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let exponents = Exponents::iso_4217(&BTreeMap::new());
    let mut is_usual = || {
        let record = usual_record().new_tree(&mut runner).unwrap().current();
        Transaction::parse_usual(record.as_bytes(), &exponents).is_some()
    };
    let usual = (0..500).filter(|_| is_usual()).count();
    assert!((200..450).contains(&usual), "{usual} of 500");
}

/// So that agreement is not reached by refusing everything.
#[test]
fn the_records_made_by_chance_are_right_often_enough() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut is_right = || {
        let record = any_record().new_tree(&mut runner).unwrap().current();
        matches!(read(record.as_bytes()), Reading::Transaction(_))
    };
    let right = (0..500).filter(|_| is_right()).count();
    assert!((100..400).contains(&right), "{right} of 500");
}
