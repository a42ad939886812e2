//! Topics that take smaller batches than the client sends by default: all is committed, and what fits into no batch is
//! named.

use rdkafka::{Message, message::Headers};

use crate::harness::{SOON, Stream, Traffic, Worker, eventually, fleet, folded, run, stream_of, worker};

/// Enough for several batches of every size below.
const CUSTOMERS: u64 = 8000;

fn log_of(stream: &Stream) -> String {
    format!("{}-log", stream.group)
}

/// A stream of one partition whose changelog takes batches of so many bytes.
fn limited(name: &str, bytes: &str) -> (Stream, String) {
    let stream = stream_of(name, 1, &[]);
    let log = log_of(&stream);
    stream.make_beside(&log, 1, &[("cleanup.policy", "compact"), ("max.message.bytes", bytes)]);
    (stream, log)
}

/// `--check`, once it has come to its end: of a new group the coordinator is not known at once.
#[track_caller]
fn check(stream: &Stream, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    eventually(SOON, || match run(stream, &["--check"], settings) {
        (_, text) if text.contains("try again shortly") => Err(text),
        checked => Ok(checked),
    })
}

#[test]
fn batches_are_cut_to_what_the_changelog_takes() {
    let (stream, log) = limited("small-log", "20000");
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let mut traffic = Traffic::new(61, CUSTOMERS);
    traffic.send(&stream, 2 * CUSTOMERS);
    let mut one = fleet(&stream, 1, &settings);
    one.start(0);
    one.await_balances(&traffic.oracle, SOON);
    eventually(SOON, || stream.is_committed());
    let metrics = one.get(0).get("/metrics").unwrap().1;
    assert!(metrics.contains("balancefleet_commit_failures_total 0\n"), "nothing had to be tried: {metrics}");
    one.take(0).stop();
    assert_eq!(stream.setting_of(&log, "max.message.bytes"), "20000", "the topic keeps its settings");
    // A fresh worker, from the changelog alone.
    folded(&stream, &mut traffic, 10, &settings);
}

#[test]
fn a_limit_that_is_lowered_while_a_worker_runs_is_learnt_from_one_refusal() {
    let stream = stream_of("lowered", 1, &[]);
    let log = log_of(&stream);
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let mut traffic = Traffic::new(62, CUSTOMERS);
    traffic.send(&stream, 10);
    let mut one = fleet(&stream, 1, &settings);
    one.start(0);
    one.await_balances(&traffic.oracle, SOON);
    for bytes in ["50000", "10000"] {
        stream.configure(&log, &[("cleanup.policy", "compact"), ("max.message.bytes", bytes)]);
        traffic.send(&stream, 2 * CUSTOMERS);
        one.await_balances(&traffic.oracle, SOON);
        eventually(SOON, || stream.is_committed());
    }
    assert!(one.get(0).log().contains("batches are cut"), "a refused batch says what follows");
    one.take(0).stop();
    folded(&stream, &mut traffic, 10, &settings);
}

/// The customer's id and the words of a row that is named are in `/readyz`; nothing says who it is.
#[track_caller]
fn await_reason(worker: &Worker, parts: &[&str]) -> String {
    let reason = eventually(SOON, || {
        let (_, body) = worker.get("/readyz")?;
        if parts.iter().all(|part| body.contains(part)) { Ok(body) } else { Err(body) }
    });
    for part in parts {
        assert!(worker.log().contains(part), "{part} in {}", worker.log());
    }
    reason
}

fn transaction(customer: &str, currency: &str) -> String {
    format!(
        r#"{{"transactionId":"T-{currency}","amount":1,"currency":"{currency}","type":3,"customerId":"{customer}","timestamp":"2026-02-08T22:00:00Z"}}"#
    )
}

#[test]
fn a_row_that_fits_into_no_batch_is_named_without_its_customer_and_nothing_is_lost() {
    let (stream, log) = limited("large-row", "700");
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let mut worker = worker(&stream, &settings);
    stream.produce(0, [transaction("small", "EUR").as_str()]);
    eventually(SOON, || stream.is_committed());
    // Currencies nobody can guess, so that no compression makes the row fit.
    let currencies = [
        "AED", "AUD", "BGN", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EGP", "EUR", "GBP", "GEL", "HKD", "HUF", "IDR",
        "ILS", "INR", "KES", "KZT", "MAD", "MDL", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "PKR", "PLN", "QAR",
        "RON", "RSD", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "UYU", "UZS", "VES", "YER", "ZAR", "ZMW",
        "AMD", "ANG", "AOA", "ARS", "AWG", "AZN", "BAM", "BBD", "BDT", "BMD", "BND", "BOB", "BSD", "BTN", "BWP", "BYN",
        "BZD", "CDF", "COP", "CRC", "CUP", "CVE", "DOP", "DZD", "ERN", "ETB", "FJD", "FKP", "GHS", "GIP", "GMD", "GTQ",
        "GYD", "HNL", "HTG", "JMD", "KGS", "KHR", "KYD", "LAK", "LBP", "LKR", "LRD", "LSL", "MGA", "MKD", "MMK", "MNT",
        "MOP", "MRU", "MUR", "MVR", "MWK", "MZN", "NAD", "NIO", "NPR", "PAB", "PGK", "SBD", "SCR", "SDG", "SHP", "SLE",
        "SOS", "SRD", "SSP", "STN", "SYP", "SZL", "TJS", "TMT", "TOP", "TTD", "TZS", "WST",
    ];
    let large: Vec<_> = currencies.iter().map(|currency| transaction("the-secret-name", currency)).collect();
    stream.produce(0, large.iter().map(String::as_str));
    let last = currencies.len();
    // The progress names every currency that is held, and is larger still.
    let named = ["of partition 0", "takes 700 bytes", "max.message.bytes"];
    let reason = await_reason(&worker, &named);
    assert!(!reason.contains("secret") && !worker.log().contains("secret"), "{reason} {}", worker.log());
    assert_eq!(worker.get("/livez").unwrap().0, 200);
    assert_eq!(stream.committed()[&0].0, 1, "nothing of it is taken for durable");
    // A restart alone does not help, and does no harm.
    worker.kill();
    let again = crate::harness::worker(&stream, &settings);
    await_reason(&again, &named);
    stream.configure(&log, &[("cleanup.policy", "compact"), ("max.message.bytes", "1048588")]);
    eventually(SOON, || stream.is_committed());
    let body = again.json("/api/Balance/balances/the-secret-name").unwrap();
    assert_eq!(body["transactionCount"], last as u64);
    let found = body["balances"].as_object().map(serde_json::Map::len);
    assert_eq!(found, Some(currencies.len()), "{body}");
    let reason = again.json("/readyz").unwrap()["reason"].clone();
    assert!(reason.is_null(), "{reason}");
}

#[test]
fn many_dead_letters_are_written_whole_to_a_topic_that_takes_few_at_a_time() {
    let stream = stream_of("letters-many", 1, &[]);
    let dead = format!("{}-dead", stream.group);
    stream.make_beside(&dead, 1, &[("max.message.bytes", "30000")]);
    // No compression makes them small.
    let mut state = 7_u32;
    let mut noise = |count: usize| -> Vec<u8> {
        let next = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        next.take(count).collect()
    };
    for _ in 0..40 {
        stream.send_whole(0, "key", &[("trace", "abc")], &noise(10_000));
    }
    stream.send_whole(0, "key", &[("trace", "abc")], &noise(100_000));
    let worker = worker(&stream, &[("BALANCE_DEAD_LETTER_TOPIC", &dead)]);
    worker.await_count("processingErrors", 41);
    eventually(SOON, || stream.is_committed());
    let letters = stream.read(&dead);
    let is_cut = |letter: &&rdkafka::message::OwnedMessage| {
        letter.headers().unwrap().iter().any(|header| header.key == "balancefleet.truncated")
    };
    let whole: Vec<_> = letters.iter().filter(|letter| !is_cut(letter)).map(|it| it.payload().unwrap().len()).collect();
    assert_eq!(whole, [10_000; 40]);
    let cut: Vec<_> = letters.iter().filter(is_cut).map(|it| it.payload().unwrap().len()).collect();
    assert_eq!(cut, [7500], "a quarter of what the topic takes");
}

#[test]
fn a_limit_below_the_smallest_commit_is_refused_with_its_name() {
    let (stream, log) = limited("tiny-log", "150");
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let (code, text) = check(&stream, &settings);
    assert!(code == Some(1) && text.contains(&log) && text.contains("150 bytes (max.message.bytes"), "{text}");
    let mut refused = worker(&stream, &settings);
    assert_eq!(refused.await_end().code(), Some(2));
    assert!(refused.log().contains("max.message.bytes"), "{}", refused.log());

    let dead = format!("{}-dead", stream.group);
    stream.make_beside(&dead, 1, &[("max.message.bytes", "150")]);
    let (code, text) = check(&stream, &[("BALANCE_DEAD_LETTER_TOPIC", &dead)]);
    assert!(code == Some(1) && text.contains(&dead) && text.contains("max.message.bytes"), "{text}");
}

#[test]
fn a_rebuild_writes_to_a_changelog_that_takes_small_batches() {
    let (stream, log) = limited("small-rebuild", "20000");
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let mut traffic = Traffic::new(63, CUSTOMERS);
    folded(&stream, &mut traffic, 2 * CUSTOMERS, &settings);
    let (code, text) = run(&stream, &["rebuild", "--yes"], &settings);
    assert!(code == Some(0) && text.contains("rebuilt: "), "{text}");
    let (code, text) = run(&stream, &["audit"], &settings);
    assert_eq!(code, Some(0), "{text}");
    folded(&stream, &mut traffic, 10, &settings);
}
