//! Promises of the merge. The model is one ledger folded in one place; the merge must say the same however that ledger
//! is spread over partitions and workers, and whatever else the workers answer besides.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::memory::Memory;
use super::merge::{Answer, LedgerIdentity, SnapshotBuilder, SumError};
use super::wire::{self, LedgerInfo, RuleInfo, WireError};
use crate::domain::ledger_rules::tests::worker_rules;
use crate::domain::money::{Amount, Currency};
use crate::view::{BalanceRow, PartitionBalances};

const PARTITIONS: i32 = 5;

fn identity() -> LedgerIdentity {
    LedgerIdentity {
        group_id: "balance-service".into(),
        topic: "banking.transactions".into(),
        topic_id: "id-1".into(),
        non_default_rules: String::new(),
        full_rules_hash: None,
    }
}

fn builder(partition_count: i32) -> SnapshotBuilder {
    SnapshotBuilder::new(identity(), Arc::new(worker_rules(&[])), partition_count)
}

fn amount(code: &str, minor_units: i128) -> Amount {
    Amount { currency: Currency::parse(code).unwrap(), minor_units, exponent: 2 }
}

fn row(customer: &str, amounts: Vec<Amount>, count: u64, second: i64, id: &str) -> BalanceRow {
    BalanceRow {
        customer: customer.into(),
        amounts: amounts.into(),
        count,
        last_transaction_id: id.into(),
        last_updated: Timestamp::from_second(second).unwrap(),
        last_offset: 0,
        partition: 0,
    }
}

fn held(partition: i32, generation: i32, next_offset: i64, mut rows: Vec<BalanceRow>) -> PartitionBalances {
    rows.iter_mut().for_each(|row| row.partition = partition);
    PartitionBalances { partition, generation, next_offset, rows }
}

fn answer(partitions: Vec<PartitionBalances>) -> Answer {
    Answer { identity: identity(), exponents: BTreeMap::new(), partition_count: 1, partitions }
}

/// The sums of a gathering that must be complete, and what they are true for.
#[derive(Debug)]
struct Sums {
    as_of: BTreeMap<i32, i64>,
    customers: Vec<BalanceRow>,
}

fn sums(mut builder: SnapshotBuilder) -> Result<Sums, SumError> {
    let balances = builder.take_snapshot().expect("every partition was answered for").sum()?;
    let (as_of, count) = (balances.as_of.clone(), balances.count);
    let customers: Vec<_> = balances.into_customers().map(|sum| sum.expect("it was found to be in range")).collect();
    assert_eq!(count, customers.len());
    Ok(Sums { as_of, customers })
}

#[test]
fn a_missing_partition_gives_no_cover_and_is_named() {
    let mut builder = builder(4);
    builder.add(answer(vec![held(0, 1, 10, vec![]), held(2, 1, 10, vec![])]));
    assert!(builder.take_snapshot().is_none());
    assert_eq!(builder.missing(), [1, 3], "what is there is kept");
}

#[test]
fn a_topic_whose_partitions_nobody_knows_has_no_cover() {
    assert!(builder(0).take_snapshot().is_none());
}

#[test]
fn the_partition_count_is_the_largest_any_worker_knows() {
    let mut builder = builder(1);
    builder.add(Answer { partition_count: 3, ..answer(vec![held(0, 1, 0, vec![])]) });
    assert_eq!(builder.missing(), [1, 2]);
    builder.add(answer(vec![held(4, 1, 0, vec![])]));
    assert_eq!(builder.missing(), [1, 2, 3], "who owns partition 4 knows that there are five");
}

#[test]
fn a_stale_owner_loses_to_the_later_generation_whatever_its_offset() {
    let stale = || answer(vec![held(0, 6, 900, vec![row("a", vec![amount("EUR", 9)], 9, 9, "stale")])]);
    let owner = || answer(vec![held(0, 7, 20, vec![row("a", vec![amount("EUR", 2)], 2, 2, "owner")])]);
    for order in [[stale(), owner()], [owner(), stale()]] {
        let mut builder = builder(1);
        assert!(order.into_iter().all(|answer| builder.add(answer)));
        let balances = sums(builder).unwrap();
        assert_eq!(balances.as_of, BTreeMap::from([(0, 20)]));
        assert_eq!(balances.customers[0].amounts[..], [amount("EUR", 2)]);
    }
}

#[test]
fn another_ledger_is_ignored_whatever_differs() {
    let foreign = [
        LedgerIdentity { group_id: "other".into(), ..identity() },
        LedgerIdentity { topic: "other".into(), ..identity() },
        LedgerIdentity { topic_id: "other".into(), ..identity() },
        LedgerIdentity { non_default_rules: "Transfer=debit".into(), ..identity() },
        LedgerIdentity { full_rules_hash: Some("another".into()), ..identity() },
    ];
    for identity_of_peer in foreign {
        let mut builder = builder(1);
        let peer = answer(vec![held(0, 9, 9, vec![])]);
        assert!(!builder.add(Answer { identity: identity_of_peer, partition_count: 64, ..peer }));
        assert_eq!(builder.missing(), [0], "neither its partitions nor its count matter");
    }
}

#[test]
fn another_exponent_is_another_ledger_and_another_currency_is_not() {
    let exponents = |code, exponent| BTreeMap::from([(Currency::parse(code).unwrap(), exponent)]);
    for (code, exponent, is_taken) in [("EUR", 2, true), ("EUR", 3, false), ("XYZ", 3, true)] {
        let mut builder = builder(1);
        let peer = answer(vec![held(0, 9, 9, vec![])]);
        assert_eq!(builder.add(Answer { exponents: exponents(code, exponent), ..peer }), is_taken, "{code} {exponent}");
    }
}

#[test]
fn an_answer_with_impossible_partitions_is_not_believed() {
    for (partition, partition_count) in [(-1, 1), (i32::MAX, 1), (0, i32::MAX)] {
        let mut builder = builder(1);
        assert!(!builder.add(Answer { partition_count, ..answer(vec![held(partition, 1, 1, vec![])]) }));
        assert_eq!(builder.missing(), [0]);
    }
}

#[test]
fn of_equal_times_the_higher_partition_names_the_last_transaction() {
    let mut builder = builder(3);
    let partition = |number, second, id| held(number, 1, 1, vec![row("a", vec![amount("EUR", 1)], 1, second, id)]);
    builder.add(answer(vec![partition(2, 50, "two"), partition(0, 60, "zero"), partition(1, 60, "one")]));
    let customer = sums(builder).unwrap().customers.remove(0);
    assert_eq!(customer.last_transaction_id, "one".into());
    assert_eq!(customer.last_updated, Timestamp::from_second(60).unwrap());
}

#[test]
fn currencies_are_never_added_together() {
    let mut builder = builder(2);
    builder.add(answer(vec![
        held(0, 1, 1, vec![row("a", vec![amount("USD", 5), amount("EUR", 1)], 2, 1, "x")]),
        held(1, 1, 1, vec![row("a", vec![amount("CHF", 7), amount("USD", -2)], 2, 1, "y")]),
    ]));
    let customer = sums(builder).unwrap().customers.remove(0);
    assert_eq!(customer.amounts[..], [amount("CHF", 7), amount("EUR", 1), amount("USD", 3)]);
    assert_eq!(customer.count, 4);
}

#[test]
fn a_sum_out_of_range_is_an_error_and_never_wraps() {
    let refused = |first: BalanceRow, second: BalanceRow| {
        let mut builder = builder(2);
        builder.add(answer(vec![held(0, 1, 1, vec![first]), held(1, 1, 1, vec![second])]));
        sums(builder).unwrap_err()
    };
    let with = |minor_units, count| row("a", vec![amount("EUR", minor_units)], count, 1, "x");
    assert!(matches!(refused(with(i128::MAX, 1), with(1, 1)), SumError::Overflow { .. }));
    assert!(matches!(refused(with(i128::MIN, 1), with(-1, 1)), SumError::Overflow { .. }));
    assert!(matches!(refused(with(1, u64::MAX), with(1, 1)), SumError::Count { .. }));
    let three_decimals = row("a", vec![Amount { exponent: 3, ..amount("EUR", 1) }], 1, 1, "x");
    assert!(matches!(refused(with(1, 1), three_decimals), SumError::Exponents { .. }));
}

/// One transaction of the model.
#[derive(Clone, Debug)]
struct Transaction {
    partition: i32,
    customer: String,
    currency: &'static str,
    minor_units: i64,
    second: i64,
}

fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    let one = (0..PARTITIONS, "[a-d]", prop::sample::select(vec!["EUR", "USD", "JPY"]), any::<i64>(), 0..5_i64);
    let transaction = one.prop_map(|(partition, customer, currency, minor_units, second)| Transaction {
        partition,
        customer,
        currency,
        minor_units,
        second,
    });
    prop::collection::vec(transaction, 0..40)
}

/// What one worker that reads everything in order of (partition, offset) would say.
fn folded<'a>(transactions: impl IntoIterator<Item = (usize, &'a Transaction)>) -> Vec<BalanceRow> {
    let mut customers: BTreeMap<&str, BalanceRow> = BTreeMap::new();
    let mut sums: BTreeMap<(&str, &str), i128> = BTreeMap::new();
    for (number, transaction) in transactions {
        *sums.entry((&transaction.customer, transaction.currency)).or_default() += i128::from(transaction.minor_units);
        let time = Timestamp::from_second(transaction.second).unwrap();
        let customer = customers.entry(&transaction.customer).or_insert_with(|| BalanceRow {
            last_updated: Timestamp::MIN,
            ..row(&transaction.customer, vec![], 0, 0, "")
        });
        customer.count += 1;
        if time >= customer.last_updated {
            (customer.last_updated, customer.last_transaction_id) = (time, format!("t{number}").as_str().into());
            customer.partition = transaction.partition;
        }
    }
    for ((customer, currency), sum) in sums {
        customers.get_mut(customer).unwrap().amounts.push(amount(currency, sum));
    }
    customers.into_values().collect()
}

/// The partition as its owner answers for it. Times of a partition grow with its offsets in the model.
fn partition(number: i32, generation: i32, transactions: &[Transaction]) -> PartitionBalances {
    let own: Vec<_> = transactions.iter().enumerate().filter(|(_, own)| own.partition == number).collect();
    held(number, generation, own.len() as i64, folded(own.iter().copied()))
}

proptest! {
    #[test]
    fn any_split_over_workers_says_what_one_ledger_says(
        mut transactions in transactions(),
        owners in prop::collection::vec(0..4_usize, PARTITIONS as usize),
        stale in prop::collection::vec((0..PARTITIONS, 0..40_usize, 0..4_usize), 0..6),
        repeated in 0..4_usize,
        order in Just((0..14_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        transactions.sort_by_key(|transaction| (transaction.partition, transaction.second));
        let mut answers: Vec<Answer> = (0..4).map(|_| answer(vec![])).collect();
        for (number, owner) in owners.iter().enumerate() {
            answers[*owner].partitions.push(partition(number as i32, 7, &transactions));
        }
        // Former owners that have not noticed yet: older generation, any prefix of the records or beyond.
        for (number, known, worker) in stale {
            let prefix: Vec<_> = transactions.iter().take(known).cloned().collect();
            answers.push(answer(vec![held(number, worker as i32, 1_000, partition(number, 0, &prefix).rows)]));
        }
        let foreign = LedgerIdentity { non_default_rules: "Transfer=debit".into(), ..identity() };
        answers.push(Answer { identity: foreign, ..answer((0..PARTITIONS).map(|p| held(p, 99, 99, vec![])).collect()) });
        answers.push(answers[repeated].clone());

        let mut builder = builder(PARTITIONS);
        for index in order {
            if let Some(answer) = answers.get(index) {
                builder.add(answer.clone());
            }
        }
        let balances = sums(builder).unwrap();
        prop_assert_eq!(&balances.customers, &folded(transactions.iter().enumerate()));
        let offsets: BTreeMap<i32, i64> = (0..PARTITIONS)
            .map(|number| (number, transactions.iter().filter(|own| own.partition == number).count() as i64))
            .collect();
        prop_assert_eq!(balances.as_of, offsets);
    }

    #[test]
    fn without_one_of_the_owners_there_is_no_cover(
        transactions in transactions(),
        owners in prop::collection::vec(0..4_usize, PARTITIONS as usize),
        dead in 0..4_usize,
    ) {
        let mut builder = builder(PARTITIONS);
        for (number, _) in owners.iter().enumerate().filter(|(_, owner)| **owner != dead) {
            builder.add(answer(vec![partition(number as i32, 7, &transactions)]));
        }
        let lost: Vec<i32> = (0..PARTITIONS).filter(|number| owners[*number as usize] == dead).collect();
        prop_assert_eq!(builder.missing(), lost.clone());
        prop_assert_eq!(builder.take_snapshot().is_some(), lost.is_empty());
    }

    #[test]
    fn partitions_survive_the_wire(transactions in transactions(), order in Just((0..PARTITIONS).collect::<Vec<_>>()).prop_shuffle()) {
        let sent: Vec<_> = order.into_iter().map(|number| partition(number, 3, &transactions)).collect();
        let received = received(&written(&sent), &identity()).unwrap();
        prop_assert_eq!(format!("{:?}", received.partitions), format!("{sent:?}"));
    }

    /// Wherever an answer breaks off, it is no answer: never one with fewer customers.
    #[test]
    fn an_answer_that_breaks_off_within_a_line_is_none(transactions in transactions(), at in any::<prop::sample::Index>()) {
        let sent = written(&[partition(0, 3, &transactions)]);
        let at = at.index(sent.len() - 1);
        let read = received(&sent[..at], &identity());
        let whole_lines = sent[..at].iter().filter(|byte| **byte == b'\n').count();
        let is_between = at == 0 || sent[at - 1] == b'\n' || sent[at] == b'\n';
        prop_assert_eq!(read.is_err(), at == 0 || !is_between, "{} lines", whole_lines);
    }
}

fn ledger_info() -> LedgerInfo {
    let LedgerIdentity { group_id, topic, topic_id, non_default_rules, full_rules_hash } = identity();
    let rules = Some(RuleInfo { non_default_rules, exponents: BTreeMap::new(), full_rules_hash });
    let rules_hash = worker_rules(&[]).hash().to_owned();
    LedgerInfo { consumer_id: "w".into(), group_id, topic, topic_id, rules_hash, partition_count: PARTITIONS, rules }
}

/// A worker's whole answer.
fn written(partitions: &[PartitionBalances]) -> Vec<u8> {
    let mut answer = serde_json::to_vec(&ledger_info()).unwrap();
    answer.push(b'\n');
    partitions.iter().for_each(|held| wire::write_partition(&mut answer, held).unwrap());
    answer
}

fn received(answer: &[u8], asker: &LedgerIdentity) -> Result<Answer, WireError> {
    let charge = || Memory::new(1 << 20).charge(1 << 20);
    let streamed = wire::read_answer(answer, asker, &worker_rules(&[]), &charge());
    let read = wire::read_short_answer(answer, asker, &worker_rules(&[]), &charge());
    let told = |read: &Result<Answer, WireError>| read.as_ref().map_or("refused".into(), |read| format!("{read:?}"));
    assert_eq!(told(&read), told(&streamed), "whole or piece by piece, it is one answer");
    streamed
}

#[test]
fn the_largest_amounts_and_odd_names_survive_the_wire() {
    let rows = vec![
        row(
            "a \"quoted\"\n\u{1F600} name",
            vec![amount("EUR", i128::MAX), amount("USD", i128::MIN)],
            u64::MAX,
            -1,
            "\\",
        ),
        row("", vec![], 0, 0, ""),
    ];
    let sent = held(0, -1, i64::MAX, rows);
    let answer = written(std::slice::from_ref(&sent));
    assert_eq!(answer.iter().filter(|byte| **byte == b'\n').count(), 2, "a line stays a line");
    assert_eq!(format!("{:?}", received(&answer, &identity()).unwrap().partitions), format!("{:?}", [sent]));
}

#[test]
fn rows_of_peers_are_charged_while_they_are_read_and_given_back_with_the_read() {
    let rows: Vec<_> = (0..1000).map(|number| row(&format!("C{number}"), vec![amount("EUR", 1)], 1, 1, "t")).collect();
    let answer = written(&[held(0, 1, 1000, rows)]);
    let memory = Memory::new(1 << 20);
    let read = |at_most| wire::read_answer(&answer[..], &identity(), &worker_rules(&[]), &memory.charge(at_most));
    assert!(matches!(read(999 * BalanceRow::LEAST_BYTES), Err(WireError::Exceeded(_))));
    assert_eq!(memory.held(), 0);
    let charge = memory.charge(1000 * BalanceRow::LEAST_BYTES);
    wire::read_answer(&answer[..], &identity(), &worker_rules(&[]), &charge).unwrap();
    assert_eq!(memory.held(), 1000 * BalanceRow::LEAST_BYTES);
    drop(charge);
    assert_eq!(memory.held(), 0);
}

#[test]
fn a_refusal_in_the_middle_of_an_answer_is_told_from_a_broken_one() {
    let mut answer = written(&[held(0, 1, 1, vec![])]);
    answer.extend_from_slice(wire::TOO_LARGE);
    assert!(matches!(received(&answer, &identity()), Err(WireError::TooLarge)));
    answer.truncate(answer.len() - 3);
    assert!(matches!(received(&answer, &identity()), Err(WireError::Json(_))));
}

#[test]
fn partitions_of_another_ledger_are_not_even_read() {
    let other = LedgerIdentity { non_default_rules: "Transfer=debit".into(), ..identity() };
    let mut answer = written(&[]);
    answer.extend_from_slice(b"and whatever follows");
    assert!(received(&answer, &other).unwrap().partitions.is_empty());
    assert!(received(&answer, &identity()).is_err());
}

#[test]
fn a_text_without_an_end_does_not_fill_the_memory() {
    let mut answer = written(&[]);
    answer.extend_from_slice(br#"{"partition":0,"rows":[["#);
    answer.push(b'"');
    answer.resize(1 << 20, b'x');
    assert!(matches!(received(&answer, &identity()), Err(WireError::BrokenOff(_))));
}

#[test]
fn fields_of_a_later_release_are_passed_over_and_what_is_missing_is_an_error() {
    let mut answer = written(&[]);
    let lines = answer.len();
    answer.extend_from_slice(br#"{"pages":[["a",1],{"b":[]}],"partition":1,"generation":2,"nextOffset":3,"rows":[]}"#);
    assert_eq!(received(&answer, &identity()).unwrap().partitions[0].next_offset, 3);
    answer.truncate(lines);
    answer.extend_from_slice(br#"{"partition":1,"generation":2,"nextOffset":3}"#);
    assert!(matches!(received(&answer, &identity()), Err(WireError::Json(_))));
}
