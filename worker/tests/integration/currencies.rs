//! A currency more stops nothing, and what was refused before it was known stays refused unless a person wants it
//! counted.

use crate::{
    failures::await_failure,
    harness::{SOON, Stream, Worker, eventually, run, stream_of, with_each_keeping_store, worker},
    ops::{audit_is_equal, rebuild_when_free},
};

with_each_keeping_store!(
    a_currency_more_stops_nothing,
    another_exponent_of_a_held_currency_stops_its_partition,
    a_worker_that_does_not_know_a_held_currency_takes_nothing_away,
    coarser_decimals_of_a_held_currency_lose_nothing_unasked,
);

/// A deposit of customer A.
pub(crate) fn deposit(amount: &str, currency: &str) -> String {
    format!(
        r#"{{"transactionId":"T","amount":{amount},"currency":"{currency}","type":3,"customerId":"A","timestamp":"2026-02-08T22:00:00Z"}}"#
    )
}

pub(crate) fn send(stream: &Stream, partition: i32, deposits: &[(&str, &str)]) {
    let values: Vec<_> = deposits.iter().map(|(amount, currency)| deposit(amount, currency)).collect();
    stream.produce(partition, values.iter().map(String::as_str));
}

/// Customer A has these balances of so many transactions, for all records there are.
#[track_caller]
pub(crate) fn await_balances(stream: &Stream, worker: &Worker, balances: &[(&str, &str)], count: u64) {
    let sums: Vec<_> = balances.iter().map(|(currency, sum)| format!(r#""{currency}":{sum}"#)).collect();
    let sums = match balances {
        [(currency, sum)] => format!(r#""balance":{sum},"currency":"{currency}""#),
        _ => format!(r#""balances":{{{}}}"#, sums.join(",")),
    };
    let ends: Vec<_> = stream.ends().into_iter().map(|(partition, end)| format!(r#""{partition}":{end}"#)).collect();
    let expected = [sums, format!(r#""transactionCount":{count}"#), format!(r#""asOf":{{{}}}"#, ends.join(","))];
    eventually(SOON, || match worker.get("/api/Balance/balances/A")? {
        (200, text) if expected.iter().all(|part| text.contains(part)) => Ok(()),
        other => Err(format!("{other:?}, not {expected:?}")),
    });
}

/// All of it is durable, and the worker gone.
#[track_caller]
pub(crate) fn leave(stream: &Stream, worker: &mut Worker) {
    eventually(SOON, || stream.is_committed());
    assert_eq!(worker.stop().0.code(), Some(0));
}

fn a_currency_more_stops_nothing(store: &str) {
    let stream = stream_of("currency-more", 1, &[]);
    let (before, more) = ([("BALANCE_STORE", store)], [("BALANCE_STORE", store), ("BALANCE_MINOR_UNITS", "XYZ=3")]);
    send(&stream, 0, &[("1.00", "EUR"), ("1.000", "XYZ")]);
    let mut first = worker(&stream, &before);
    await_balances(&stream, &first, &[("EUR", "1.00")], 1);
    leave(&stream, &mut first);

    let (code, text) = run(&stream, &["--check"], &more);
    assert_eq!(code, Some(0), "{text}");
    let mut second = worker(&stream, &more);
    await_balances(&stream, &second, &[("EUR", "1.00")], 1);
    send(&stream, 0, &[("2.500", "XYZ"), ("1.00", "EUR")]);
    await_balances(&stream, &second, &[("EUR", "2.00"), ("XYZ", "2.500")], 3);
    leave(&stream, &mut second);
    let unknown = "1 of a currency that was unknown when they came do not count";
    assert!(audit_is_equal(&stream, &more).contains(unknown));

    rebuild_when_free(&stream, &more);
    assert!(audit_is_equal(&stream, &more).contains(unknown));
    let mut third = worker(&stream, &more);
    await_balances(&stream, &third, &[("EUR", "2.00"), ("XYZ", "2.500")], 3);
    leave(&stream, &mut third);
    let (code, text) = run(&stream, &["rebuild", "--yes"], &more);
    assert!(code == Some(0) && text.contains("rebuild --recount counts them"), "{text}");

    let (code, text) = run(&stream, &["rebuild", "--yes", "--recount"], &more);
    assert_eq!(code, Some(0), "{text}");
    assert!(!audit_is_equal(&stream, &more).contains("unknown"));
    await_balances(&stream, &worker(&stream, &more), &[("EUR", "2.00"), ("XYZ", "3.500")], 4);
}

fn another_exponent_of_a_held_currency_stops_its_partition(store: &str) {
    let stream = stream_of("currency-exponent", 2, &[]);
    send(&stream, 0, &[("1.00", "EUR")]);
    send(&stream, 1, &[("1.00", "USD")]);
    let settings = [("BALANCE_STORE", store)];
    let mut first = worker(&stream, &settings);
    await_balances(&stream, &first, &[("EUR", "1.00"), ("USD", "1.00")], 2);
    leave(&stream, &mut first);
    let finer = [("BALANCE_STORE", store), ("BALANCE_MINOR_UNITS", "EUR=3")];
    let mut second = worker(&stream, &finer);
    await_failure(&second, &[0], "the balances hold EUR with 2 decimals, and this worker counts it with 3");
    second.stop();
    let (code, text) = run(&stream, &["--check"], &finer);
    assert!(code == Some(1) && text.contains("partition 0 would stand still") && text.contains("EUR with 2"), "{text}");
    let (code, text) = run(&stream, &["audit"], &finer);
    assert!(code == Some(3) && text.contains("EUR with 2 decimals"), "{text}");
    rebuild_when_free(&stream, &finer);
    await_balances(&stream, &worker(&stream, &finer), &[("EUR", "1.000"), ("USD", "1.00")], 2);
}

fn a_worker_that_does_not_know_a_held_currency_takes_nothing_away(store: &str) {
    let stream = stream_of("currency-less", 2, &[]);
    let (with, without) = ([("BALANCE_STORE", store), ("BALANCE_MINOR_UNITS", "XYZ=3")], [("BALANCE_STORE", store)]);
    send(&stream, 0, &[("1.000", "XYZ")]);
    send(&stream, 1, &[("1.00", "EUR")]);
    let mut first = worker(&stream, &with);
    await_balances(&stream, &first, &[("EUR", "1.00"), ("XYZ", "1.000")], 2);
    leave(&stream, &mut first);
    let (code, text) = run(&stream, &["--check"], &without);
    assert!(code == Some(1) && text.contains("partition 0 would stand still") && text.contains("XYZ=3"), "{text}");
    let mut second = worker(&stream, &without);
    await_failure(&second, &[0], "set minor units XYZ=3 again");
    // Nobody holds it there.
    send(&stream, 1, &[("1.000", "XYZ"), ("1.00", "EUR")]);
    second.await_count("messagesConsumed", 2);
    second.stop();
    let (code, text) = run(&stream, &["rebuild", "--yes"], &without);
    assert!(code == Some(1) && text.contains("cannot be rebuilt") && text.contains("XYZ"), "{text}");
    let mut third = worker(&stream, &with);
    await_balances(&stream, &third, &[("EUR", "2.00"), ("XYZ", "1.000")], 3);
    send(&stream, 1, &[("5.000", "XYZ")]);
    await_balances(&stream, &third, &[("EUR", "2.00"), ("XYZ", "6.000")], 4);
    leave(&stream, &mut third);
    assert!(audit_is_equal(&stream, &with).contains("1 of a currency that was unknown when they came do not count"));
}

/// Records that are too fine for the new decimals were counted by the old ones.
fn coarser_decimals_of_a_held_currency_lose_nothing_unasked(store: &str) {
    let stream = stream_of("currency-coarser", 1, &[]);
    let settings = |units| [("BALANCE_STORE", store), ("BALANCE_MINOR_UNITS", units)];
    send(&stream, 0, &[("1.00", "EUR"), ("1.001", "TND"), ("2.5", "TND"), ("1.001", "EUR"), ("1.002", "TND")]);
    let held = [("EUR", "1.00"), ("TND", "4.503")];
    let mut first = worker(&stream, &settings("TND=3"));
    await_balances(&stream, &first, &held, 4);
    leave(&stream, &mut first);
    // What is counted beside makes good for nothing, and other signs change nothing about it.
    let coarser = settings("TND=2,EUR=3");
    let other_signs = [coarser[0], coarser[1], ("BALANCE_SIGNS", "Transfer=ignore")];
    for (words, settings) in [
        (&[][..], &coarser[..]),
        (&[], &other_signs),
        (&["--recount"], &coarser),
        (&["--lose", "1"], &coarser),
        (&["--lose", "3"], &coarser),
    ] {
        let (code, text) = run(&stream, &[&["rebuild", "--yes"], words].concat(), settings);
        assert!(code == Some(1) && text.contains("nothing was changed"), "{words:?} {text}");
        if !words.contains(&"--lose") {
            let refused = "has counted 2 transactions that this worker's settings refuse, the first one at offset 1";
            assert!(text.contains(refused) && text.contains("add --lose 2"), "{text}");
        }
    }
    let mut again = worker(&stream, &settings("TND=3"));
    await_balances(&stream, &again, &held, 4);
    leave(&stream, &mut again);
    let (code, text) = run(&stream, &["rebuild", "--yes", "--lose", "2"], &coarser);
    assert_eq!(code, Some(0), "{text}");
    audit_is_equal(&stream, &coarser);
    let mut rebuilt = worker(&stream, &coarser);
    await_balances(&stream, &rebuilt, &[("EUR", "2.001"), ("TND", "2.50")], 3);
    leave(&stream, &mut rebuilt);
    let (code, text) = run(&stream, &["rebuild", "--yes"], &coarser);
    assert_eq!(code, Some(0), "what was given up is not asked for again: {text}");
    // Finer ones lose nothing.
    let (code, text) = run(&stream, &["rebuild", "--yes"], &settings("TND=3,EUR=3"));
    assert_eq!(code, Some(0), "{text}");
    await_balances(&stream, &worker(&stream, &settings("TND=3,EUR=3")), &[("EUR", "2.001"), ("TND", "4.503")], 5);
}
