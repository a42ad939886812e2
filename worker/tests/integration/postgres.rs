//! What the postgres store promises beyond what every store does.

mod faults;
mod refusals;
mod replicas;

use std::collections::BTreeMap;

use crate::{
    failures::await_failure,
    harness::{Database, SOON, Stream, Traffic, database_url, eventually, fleet, stream, stream_of, worker},
    ops::rebuild_when_free,
};

const STORE: (&str, &str) = ("BALANCE_STORE", "postgres");

/// Folds some traffic with a fleet of one, and stops it in good order.
fn folded(stream: &Stream, traffic: &mut Traffic, settings: &[(&str, &str)]) {
    traffic.send(stream, 600);
    let mut fleet = fleet(stream, 1, settings);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.take(0).stop().0.code(), Some(0));
}

#[test]
fn balances_outlive_the_records_they_were_made_of() {
    let stream = stream("pg-outlive");
    let mut traffic = Traffic::new(41, 30);
    folded(&stream, &mut traffic, &[STORE]);
    for (partition, end) in stream.ends() {
        stream.delete_records_before(partition, end);
    }
    // Nor are Kafka's offsets needed: the table has them.
    stream.forget_group();
    traffic.send(&stream, 300);
    let mut fleet = fleet(&stream, 1, &[STORE]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(300), "the first 600 are not processed again");
}

#[test]
fn a_group_moves_from_the_replay_store_without_folding_anything_twice() {
    let stream = stream("pg-moved");
    let mut traffic = Traffic::new(42, 30);
    stream.produce(0, ["junk"; 3]);
    folded(&stream, &mut traffic, &[("BALANCE_STORE", "replay")]);
    eventually(SOON, || stream.is_committed());
    await_failure(&worker(&stream, &[STORE]), &[0, 1, 2, 3, 4, 5], "comes from the store replay");
    rebuild_when_free(&stream, &[STORE]);
    folded(&stream, &mut traffic, &[STORE]);
    for (partition, end) in stream.ends() {
        stream.delete_records_before(partition, end);
    }
    folded(&stream, &mut traffic, &[STORE]);
    let letters = "SELECT count(*) FROM balancefleet.dead_letter WHERE group_id = $1";
    assert_eq!(Database::shared().count(&stream, letters), 0, "what was dealt with before is not put aside");
}

#[test]
fn offsets_in_kafka_follow_the_table_and_decide_nothing() {
    let stream = stream_of("pg-offsets", 2, &[]);
    let mut traffic = Traffic::new(43, 10);
    folded(&stream, &mut traffic, &[STORE]);
    stream.commit_as_another_program(50);
    folded(&stream, &mut traffic, &[STORE]);
    // A further commit of each partition, and others see no lag.
    let _worker = worker(&stream, &[STORE]);
    eventually(SOON, || stream.is_committed());
    assert!(stream.committed().values().all(|(_, metadata)| metadata.starts_with("bf1 base=0 ")));
}

#[test]
fn partitions_without_records_are_touched_while_others_have_some() {
    let stream = stream_of("pg-idle", 3, &[]);
    let mut traffic = Traffic::new(51, 10);
    traffic.send(&stream, 60);
    let mut fleet = fleet(&stream, 1, &[STORE]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    let database = Database::shared();
    let since: std::time::SystemTime = database.rows("SELECT clock_timestamp()", &[])[0].get(0);
    let sql = "SELECT partition FROM balancefleet.part WHERE group_id = $1 AND touched > $2 ORDER BY 1";
    eventually(SOON, || {
        stream.produce(0, ["junk"]);
        let rows = database.rows(sql, &[&stream.group, &since]);
        let touched: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        if touched == [0, 1, 2] { Ok(()) } else { Err(format!("only {touched:?} are touched")) }
    });
}

#[test]
fn any_worker_answers_for_partitions_that_nobody_has() {
    let stream = stream("pg-ownerless");
    let mut traffic = Traffic::new(44, 40);
    traffic.send(&stream, 1000);
    let mut fleet = fleet(&stream, 2, &[STORE, ("KAFKA_SESSION_TIMEOUT", "30s")]);
    fleet.start_all(0..2);
    fleet.await_shares(&[3, 3]);
    fleet.await_balances(&traffic.oracle, SOON);
    fleet.take(1).kill();
    assert_eq!(fleet.get(0).partitions().unwrap().len(), 3, "its session has not ended yet");
    let (status, body) = fleet.get(0).get("/api/Balance/balances").unwrap();
    assert_eq!(status, 200, "{body}");
    fleet.await_balances(&traffic.oracle, SOON);
}

#[test]
fn every_bad_record_is_put_aside_once_whole_and_with_its_reason() {
    let stream = stream_of("pg-letters", 1, &[]);
    stream.send_whole(0, "the-key", &[("trace", "abc"), ("trace", "def")], b"{not json\0\xff");
    stream.send(0, None);
    stream.flush();
    let worker = worker(&stream, &[STORE]);
    worker.await_count("processingErrors", 2);
    let database = Database::shared();
    let letters = eventually(SOON, || {
        let sql = "SELECT key, value, header_names, header_values, category, message, record_offset \
                   FROM balancefleet.dead_letter WHERE group_id = $1 AND topic = $2 ORDER BY record_offset";
        let letters = database.rows(sql, &[&stream.group, &stream.topic]);
        if letters.len() == 2 { Ok(letters) } else { Err(format!("{} letters", letters.len())) }
    });
    let first = &letters[0];
    assert_eq!(first.get::<_, &[u8]>(0), b"the-key");
    assert_eq!(first.get::<_, &[u8]>(1), b"{not json\0\xff");
    assert_eq!(first.get::<_, Vec<&str>>(2), ["trace", "trace"]);
    assert_eq!(first.get::<_, Vec<Option<&[u8]>>>(3), [Some(&b"abc"[..]), Some(b"def")]);
    assert_eq!(first.get::<_, &str>(4), "BrokenJson");
    assert_eq!((letters[1].get::<_, &str>(4), letters[1].get::<_, Option<&[u8]>>(1)), ("Empty", None));
}

#[test]
fn dead_letters_survive_crashes_exactly_once() {
    let stream = stream("pg-letters-storm");
    let mut traffic = Traffic::new(45, 50);
    let mut fleet = fleet(&stream, 2, &[STORE]);
    fleet.start_all(0..2);
    let mut expected = BTreeMap::new();
    for round in 0..5_usize {
        traffic.send(&stream, 300);
        for (partition, end) in stream.ends() {
            stream.produce(partition, ["junk", r#"{"amount":1e400}"#]);
            expected.insert((partition, end), "BrokenJson".to_owned());
            expected.insert((partition, end + 1), "WrongShape".to_owned());
        }
        std::thread::sleep(std::time::Duration::from_millis(300 + 211 * round as u64));
        fleet.take(round % 2).kill();
        fleet.start(round % 2);
    }
    fleet.await_balances(&traffic.oracle, SOON);
    let sql = "SELECT partition, record_offset, category FROM balancefleet.dead_letter WHERE group_id = $1";
    let rows = Database::shared().rows(sql, &[&stream.group]);
    let found: BTreeMap<(i32, i64), String> = rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
}

/// A deposit as a record.
fn deposit(customer: &str, amount: &str, currency: &str) -> String {
    format!(
        r#"{{"transactionId":"T\u0000\\0","amount":{amount},"currency":"{currency}","type":3,"customerId":"{customer}","timestamp":"2026-02-08T22:00:00.123456789Z"}}"#
    )
}

#[test]
fn amounts_beyond_64_bits_times_to_the_nanosecond_and_odd_ids_come_back_as_they_were() {
    let stream = stream_of("pg-exact", 1, &[]);
    let settings = [STORE, ("BALANCE_MINOR_UNITS", "XYZ=12")];
    let (nul, backslash) = (r"A\u0000B", r"A\\0B");
    stream.produce(0, std::iter::repeat_n(deposit(nul, "1000000", "XYZ").as_str(), 20));
    stream.produce(0, [&*deposit(nul, "0.01", "EUR"), &*deposit(backslash, "7", "EUR")]);
    let ask = |worker: &crate::harness::Worker, id: &str| worker.get(&format!("/api/Balance/balances/{id}"));
    for restart in [false, true] {
        let mut worker = worker(&stream, &settings);
        if restart {
            stream.produce(0, [&*deposit(nul, "0.000000000001", "XYZ"), &*deposit(nul, "0.01", "XYZ")]);
        }
        let xyz = if restart { "20000000.010000000000" } else { "20000000.000000000000" };
        let count = if restart { 22 } else { 21 };
        let body = eventually(SOON, || match ask(&worker, "A%00B")? {
            (200, body) if body.contains(&format!("\"transactionCount\":{count}")) => Ok(body),
            (status, body) => Err(format!("{status} {body}")),
        });
        assert!(body.contains(&format!(r#""balances":{{"EUR":0.01,"XYZ":{xyz}}}"#)), "{body}");
        assert!(body.contains("2026-02-08T22:00:00.123456789Z") && body.contains(r#""T\u0000\\0""#), "{body}");
        let (_, body) = ask(&worker, "A%5C0B").unwrap();
        assert!(body.contains("\"balance\":7.00"), "{body}");
        assert_eq!(worker.stop().0.code(), Some(0));
    }
}

#[test]
fn thousands_of_customers_in_one_batch_are_written_and_read_back() {
    let stream = stream("pg-many");
    let mut traffic = Traffic::new(46, 6000);
    traffic.send(&stream, 20_000);
    for _ in 0..2 {
        let mut fleet = fleet(&stream, 1, &[STORE]);
        fleet.start(0);
        fleet.await_balances(&traffic.oracle, SOON);
        assert_eq!(fleet.take(0).stop().0.code(), Some(0));
        traffic.send(&stream, 10_000);
    }
}

#[test]
fn balances_that_somebody_has_changed_are_nobodys_balances() {
    for (name, sql) in [
        ("pg-torn", "UPDATE balancefleet.bal SET minor_units = minor_units + 1"),
        ("pg-less", "DELETE FROM balancefleet.bal"),
    ] {
        let stream = stream_of(name, 2, &[]);
        folded(&stream, &mut Traffic::new(47, 10), &[STORE]);
        let one = format!(
            "{sql} WHERE group_id = '{0}' AND partition = 1 AND customer = (SELECT min(customer) FROM balancefleet.bal \
             WHERE group_id = '{0}' AND partition = 1)",
            stream.group
        );
        Database::shared().run(&one);
        await_failure(&worker(&stream, &[STORE]), &[1], "torn");
    }
}

#[test]
fn customers_without_progress_are_nobodys_balances() {
    let stream = stream_of("pg-no-progress", 1, &[]);
    folded(&stream, &mut Traffic::new(48, 10), &[STORE]);
    Database::shared().run(&format!("DELETE FROM balancefleet.part WHERE group_id = '{}'", stream.group));
    await_failure(&worker(&stream, &[STORE]), &[0], "without any progress");
}

#[test]
fn other_rules_do_not_go_on_with_the_same_balances() {
    let stream = stream_of("pg-rules", 1, &[]);
    folded(&stream, &mut Traffic::new(49, 10), &[STORE]);
    await_failure(&worker(&stream, &[STORE, ("BALANCE_SIGNS", "Transfer=debit")]), &[0], "other signs");
}

#[test]
fn a_topic_that_was_made_again_while_nobody_looked_is_not_taken_for_the_old_one() {
    let stream = stream_of("pg-made-again", 1, &[]);
    folded(&stream, &mut Traffic::new(50, 10), &[STORE]);
    stream.delete();
    stream.make(&[]);
    stream.produce(0, vec!["junk"; 1000]);
    await_failure(&worker(&stream, &[STORE]), &[0], "deleted and recreated");
}

#[test]
fn no_customer_shows_in_the_log_whatever_its_level() {
    let stream = stream_of("pg-log", 1, &[]);
    stream.produce(0, [&*deposit("SECRET-CUSTOMER", "1", "EUR")]);
    let worker = worker(&stream, &[STORE, ("LOG_LEVEL", "trace")]);
    eventually(SOON, || match worker.get("/api/Balance/balances/SECRET-CUSTOMER")? {
        (200, _) => Ok(()),
        (_, body) => Err(body),
    });
    let (log, url) = (worker.log(), database_url());
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(!log.contains("SECRET-CUSTOMER") && !log.contains(password));
}
