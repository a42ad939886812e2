//! `balance-worker audit` and `balance-worker rebuild`, beside a real Kafka.

mod database;

use std::process::Child;

use rdkafka::Message;

use crate::{
    failures::await_failure,
    harness::{Database, SOON, Stream, Traffic, eventually, fleet, folded, program, run, stream, stream_of, worker},
};

const POSTGRES: (&str, &str) = ("BALANCE_STORE", "postgres");
const DATABASE: &str = "BALANCE_POSTGRES_URL";

/// One customer's record: which partition, and its key.
fn some_customer(stream: &Stream, log: &str) -> (i32, Vec<u8>) {
    let records = stream.read(log);
    let customer = records.iter().find(|record| record.key().unwrap()[0] == 1).unwrap();
    (customer.partition(), customer.key().unwrap().to_vec())
}

#[track_caller]
pub(crate) fn audit_is_equal(stream: &Stream, settings: &[(&str, &str)]) -> String {
    let (code, text) = run(stream, &["audit"], settings);
    assert_eq!(code, Some(0), "{text}");
    text
}

#[test]
fn an_audit_beside_working_workers_finds_everything_equal() {
    audit_beside_workers("audit", &[]);
}

fn audit_beside_workers(name: &str, settings: &[(&str, &str)]) {
    let stream = stream(name);
    let mut traffic = Traffic::new(41, 50);
    traffic.send(&stream, 3000);
    stream.produce(2, ["junk"]);
    let mut fleet = fleet(&stream, 2, settings);
    fleet.start_all(0..2);
    fleet.await_balances(&traffic.oracle, SOON);
    eventually(SOON, || stream.is_committed());
    let text = audit_is_equal(&stream, settings);
    assert!(text.contains("6 of 6 partitions are equal") && text.contains("out of 3,001 records"), "{text}");
    // Nobody was disturbed.
    traffic.send(&stream, 300);
    fleet.await_balances(&traffic.oracle, SOON);
}

#[test]
fn an_audit_names_what_differs_and_a_rebuild_puts_it_right() {
    let stream = stream_of("audit-torn", 2, &[]);
    let log = format!("{}-log", stream.group);
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let mut traffic = Traffic::new(42, 20);
    folded(&stream, &mut traffic, 600, &settings);
    let (partition, key) = some_customer(&stream, &log);
    stream.write(&log, partition, &key, None);
    let (code, text) = run(&stream, &["audit"], &settings);
    let customer = String::from_utf8_lossy(&key[1..]).into_owned();
    assert!(code == Some(3) && text.contains(&format!("  {customer}: stored nothing; the log gives ")), "{text}");
    assert!(text.contains("1 DIFFERENCE (") && text.contains("1 of 2 partitions are equal"), "{text}");
    rebuild_when_free(&stream, &settings);
    audit_is_equal(&stream, &settings);
    folded(&stream, &mut traffic, 300, &settings);
}

#[test]
fn a_rebuild_changes_to_other_rules() {
    let stream = stream_of("rebuild-rules", 2, &[]);
    folded(&stream, &mut Traffic::new(43, 20), 600, &[]);
    // Of whom nothing but a transfer is known is no customer when transfers are ignored.
    let transfer = r#"{"transactionId":"T","amount":1.00,"currency":"EUR","type":1,"customerId":"MOVER","timestamp":"2026-02-08T22:00:00Z"}"#;
    stream.produce(1, [transfer]);
    {
        let mut fleet = fleet(&stream, 1, &[]);
        fleet.start(0);
        eventually(SOON, || stream.is_committed());
        fleet.take(0).stop();
    }
    let rules = [("BALANCE_SIGNS", "Transfer=ignore")];
    let (code, text) = run(&stream, &["audit"], &rules);
    assert!(code == Some(3) && text.contains("other signs"), "{text}");
    await_failure(&worker(&stream, &rules), &[0, 1], "other signs");
    rebuild_when_free(&stream, &rules);
    audit_is_equal(&stream, &rules);
    let rebuilt = worker(&stream, &rules);
    eventually(SOON, || match rebuilt.get("/api/Balance/balances/MOVER")? {
        (404, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// A killed worker is a member until its session is over.
#[track_caller]
pub(crate) fn rebuild_when_free(stream: &Stream, settings: &[(&str, &str)]) -> String {
    rebuild_so_when_free(stream, &["rebuild", "--yes"], settings)
}

/// The same with more words.
#[track_caller]
fn rebuild_so_when_free(stream: &Stream, words: &[&str], settings: &[(&str, &str)]) -> String {
    eventually(SOON, || match run(stream, words, settings) {
        (Some(0), text) => Ok(text),
        (_, text) => Err(text),
    })
}

#[test]
fn a_rebuild_follows_offsets_that_were_moved_by_hand() {
    let stream = stream_of("rebuild-moved", 2, &[]);
    folded(&stream, &mut Traffic::new(44, 20), 600, &[]);
    stream.commit_as_another_program(50);
    rebuild_when_free(&stream, &[]);
    assert!(stream.committed().values().all(|(offset, metadata)| *offset == 50 && metadata.starts_with("bf1 base=0")));
    let text = audit_is_equal(&stream, &[]);
    assert!(text.contains("out of 100 records"), "{text}");
}

#[test]
fn a_rebuild_begins_anew_with_a_topic_that_was_made_again() {
    let stream = stream_of("rebuild-again", 1, &[]);
    folded(&stream, &mut Traffic::new(45, 20), 600, &[]);
    stream.delete();
    stream.make(&[]);
    let mut traffic = Traffic::new(46, 20);
    traffic.send(&stream, 900);
    let (code, text) = run(&stream, &["rebuild", "--yes"], &[]);
    assert!(code == Some(1) && text.contains("add --another-topic"), "{text}");
    rebuild_so_when_free(&stream, &["rebuild", "--yes", "--another-topic"], &[]);
    folded(&stream, &mut traffic, 10, &[]);
}

/// What is mirrored without its head, or a topic that was recreated: here by hand, so that it is known what is missing.
fn begun_again(name: &str, partitions: i32, settings: &[(&str, &str)]) -> (Stream, Traffic) {
    let stream = stream_of(name, partitions, &[]);
    let mut traffic = Traffic::new(45, 20);
    folded(&stream, &mut traffic, 3000, settings);
    stream.delete();
    stream.make(&[]);
    let mut traffic = Traffic::new(46, 20);
    traffic.send(&stream, 1500);
    (stream, traffic)
}

#[test]
fn a_rebuild_for_another_topic_names_what_both_give_and_loses_nothing_unasked() {
    for (store, table) in [("changelog", ""), ("postgres", "(TopicRecreated)")] {
        let settings = [("BALANCE_STORE", store)];
        let (stream, mut traffic) = begun_again("rebuild-fewer", 1, &settings);
        let (code, text) = run(&stream, &["--check"], &settings);
        assert!(code == Some(1) && text.contains("or these are another cluster's brokers"), "{text}");
        let before = stream.committed();
        let refused = |words: &[&str]| {
            let (code, text) = run(&stream, &[&["rebuild", "--yes"], words].concat(), &settings);
            assert!(code == Some(1) && text.contains("nothing was changed"), "{text}");
            assert!(text.contains("are made of 3,000 transactions, this topic gives 1,500 to its end"), "{text}");
            assert!(text.contains(table) && !text.contains(" 0 records"), "{text}");
            assert_eq!(stream.committed(), before);
            text
        };
        assert!(!refused(&[]).contains("--lose"), "it is never the first way");
        assert!(refused(&["--another-topic"]).contains("add --lose 1500"));
        refused(&["--another-topic", "--lose", "1499"]);
        refused(&["--lose", "1500"]);
        let words = ["rebuild", "--yes", "--another-topic", "--lose", "1500"];
        let text = rebuild_so_when_free(&stream, &words, &settings);
        assert!(text.contains("out of 1,500 records"), "{text}");
        audit_is_equal(&stream, &settings);
        folded(&stream, &mut traffic, 60, &settings);
    }
}

/// Of another topic nothing was processed: what cannot be applied is put aside by the worker that begins there.
#[test]
fn a_rebuild_for_another_topic_leaves_its_bad_records_to_the_workers() {
    let (settings, database) = ([POSTGRES], Database::shared());
    let stream = stream_of("rebuild-other-bad", 1, &[]);
    folded(&stream, &mut Traffic::new(45, 20), 100, &settings);
    stream.delete();
    stream.make(&[]);
    let mut traffic = Traffic::new(46, 20);
    traffic.send(&stream, 100);
    stream.produce(0, ["junk"]);
    traffic.send(&stream, 100);
    rebuild_so_when_free(&stream, &["rebuild", "--yes", "--another-topic"], &settings);
    folded(&stream, &mut traffic, 10, &settings);
    let letters = "SELECT count(*) FROM balancefleet.dead_letter WHERE group_id = $1";
    assert_eq!(database.count(&stream, letters), 1);
}

/// Topic, tables and rows are made where they are missing, and the group goes on from there.
#[test]
fn a_rebuild_makes_what_is_missing_of_the_store() {
    let database = Database::own("rebuild_missing");
    for settings in [&[][..], &[POSTGRES, (DATABASE, database.url.as_str())]] {
        let stream = stream_of("rebuild-missing", 3, &[]);
        let mut traffic = Traffic::new(56, 20);
        stream.produce(0, ["junk"; 3]);
        folded(&stream, &mut traffic, 600, &[("BALANCE_STORE", "replay")]);
        let text = rebuild_when_free(&stream, settings);
        assert!(text.contains("3 partitions: 0 stored customers") && text.contains("out of 603 records"), "{text}");
        audit_is_equal(&stream, settings);
        // What was folded is stored, and is not needed any more.
        for (partition, end) in stream.ends() {
            stream.delete_records_before(partition, end);
        }
        folded(&stream, &mut traffic, 300, settings);
    }
    assert_eq!(database.rows("SELECT FROM balancefleet.dead_letter", &[]).len(), 0, "they were dealt with before");
}

/// Some partitions of a changelog, or some rows, are there and others are not.
#[test]
fn a_rebuild_makes_single_partitions_that_are_missing() {
    let (stream, database) = (stream_of("rebuild-row", 2, &[]), Database::shared());
    let mut traffic = Traffic::new(57, 20);
    folded(&stream, &mut traffic, 600, &[POSTGRES]);
    let row = "WHERE group_id = $1 AND partition = 1";
    database.rows(&format!("DELETE FROM balancefleet.part {row}"), &[&stream.group]);
    database.rows(&format!("DELETE FROM balancefleet.bal {row}"), &[&stream.group]);
    await_failure(&worker(&stream, &[POSTGRES]), &[1], "the store has no progress of this partition");
    rebuild_when_free(&stream, &[POSTGRES]);
    audit_is_equal(&stream, &[POSTGRES]);
    folded(&stream, &mut traffic, 300, &[POSTGRES]);
}

#[test]
fn a_rebuild_is_refused_while_workers_work_unasked_or_without_the_records_and_changes_nothing() {
    let stream = stream_of("rebuild-refused", 2, &[]);
    let mut traffic = Traffic::new(47, 20);
    traffic.send(&stream, 600);
    let mut fleet = fleet(&stream, 1, &[]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    let (code, text) = run(&stream, &["rebuild", "--yes"], &[]);
    assert!(code == Some(1) && text.contains("has 1 members: stop the workers first"), "{text}");
    eventually(SOON, || stream.is_committed());
    fleet.take(0).stop();
    let (code, text) = run(&stream, &["rebuild"], &[]);
    assert!(code == Some(1) && text.contains("--yes"), "{text}");
    stream.delete_records_before(1, 10);
    let (code, text) = run(&stream, &["rebuild", "--yes"], &[]);
    assert!(code == Some(1) && text.contains("partition 1 cannot be rebuilt") && text.contains("retention"), "{text}");
    let (code, text) = run(&stream, &["audit"], &[]);
    assert!(code == Some(3) && text.contains("partition 1: not compared"), "{text}");
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
}

/// A member that was killed stays one until its session is over.
#[track_caller]
fn await_no_members(stream: &Stream, settings: &[(&str, &str)]) {
    eventually(SOON, || match run(stream, &["rebuild"], settings) {
        (_, text) if text.contains("add --yes") => Ok(()),
        (_, text) => Err(text),
    });
}

/// How many partitions are what the log gives by these settings.
fn equal_partitions(stream: &Stream, settings: &[(&str, &str)]) -> usize {
    let (_, text) = run(stream, &["audit"], settings);
    let found = text.lines().find_map(|line| line.split_once(" of 4 partitions are equal"));
    found.unwrap_or_else(|| panic!("{text}")).0.parse().unwrap()
}

/// Wherever it is killed, a partition has the former ledger or the new one, and the next rebuild goes on at once.
#[test]
fn a_rebuild_that_was_killed_leaves_each_partition_as_it_was_or_as_it_shall_be() {
    const CUSTOMERS: u64 = 60_000;
    let stream = stream_of("rebuild-killed", 4, &[]);
    let log = format!("{}-log", stream.group);
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str()), ("BALANCE_SIGNS", "Transfer=ignore")];
    let (former, anew) = (&settings[..1], &settings[..]);
    let mut traffic = Traffic::new(48, CUSTOMERS);
    folded(&stream, &mut traffic, 2 * CUSTOMERS, former);
    for partition in [0, 2] {
        await_no_members(&stream, anew);
        let before = stream.end_of(&log, partition);
        let mut tool: Child = program(&stream, &["rebuild", "--yes"], anew).spawn().unwrap();
        // It is being written.
        stream.await_records(&log, partition, before + 100);
        tool.kill().unwrap();
        tool.wait().unwrap();
        let found = [former, anew].map(|settings| equal_partitions(&stream, settings));
        assert_eq!(found[0] + found[1], 4, "{found:?}");
    }
    rebuild_when_free(&stream, anew);
    assert_eq!(equal_partitions(&stream, anew), 4);
    rebuild_when_free(&stream, former);
    folded(&stream, &mut traffic, 300, former);
}

#[test]
fn tools_say_what_they_cannot_do() {
    let stream = stream_of("tools", 1, &[]);
    for (settings, words) in
        [(("BALANCE_STORE", "replay"), "keeps nothing"), (("WORKER_LEDGER", "count"), "no balances")]
    {
        for tool in [&["audit"][..], &["rebuild", "--yes"]] {
            let (code, text) = run(&stream, tool, &[settings]);
            assert!(code == Some(1) && text.contains(words), "{text}");
        }
    }
    let (code, text) = run(&stream, &["rebuild", "--yes"], &[]);
    assert!(code == Some(1) && text.contains("there is no topic"), "{text}");
    for settings in [&[][..], &[POSTGRES]] {
        let text = audit_is_equal(&stream, settings);
        assert!(text.contains("nothing is stored yet"), "{text}");
    }
    let (code, text) = run(&stream, &["audit", "--help"], &[]);
    assert!(code == Some(0) && text.contains("--topic"), "{text}");
}

/// A customer that nobody has counted, in the changelog or the tables.
fn make_up_a_customer(stream: &Stream, log: &str, is_database: bool) {
    if is_database {
        let made_up = "INSERT INTO balancefleet.bal (group_id, topic, partition, customer, currency, place, minor_units, \
                       count, last_transaction_id, updated_second, updated_nanosecond, last_offset) \
                       SELECT group_id, topic, partition, 'NOBODY', currency, place, minor_units, count, \
                       last_transaction_id, updated_second, updated_nanosecond, last_offset \
                       FROM balancefleet.bal WHERE group_id = $1";
        let limit = "AND customer = (SELECT min(customer) FROM balancefleet.bal WHERE group_id = $1)";
        Database::shared().rows(&format!("{made_up} {limit}"), &[&stream.group]);
        return;
    }
    let records = stream.read(log);
    let some = records.iter().find(|record| record.key().unwrap()[0] == 1).unwrap();
    stream.write(log, some.partition(), b"\x01NOBODY", some.payload());
}

/// Other settings make nothing whole: neither is the one flaw hidden by the other, nor do torn balances count.
#[test]
fn what_does_not_add_up_is_told_and_counts_nothing_whatever_the_settings() {
    for store in ["changelog", "postgres"] {
        let stream = stream_of("torn-rules", 1, &[]);
        let log = format!("{}-log", stream.group);
        let settings = [("BALANCE_STORE", store), ("BALANCE_CHANGELOG_TOPIC", log.as_str())];
        let other = [settings[0], settings[1], ("BALANCE_SIGNS", "Transfer=ignore")];
        let mut traffic = Traffic::new(58, 20);
        folded(&stream, &mut traffic, 600, &settings);
        make_up_a_customer(&stream, &log, store == "postgres");
        let mut first = worker(&stream, &settings);
        await_failure(&first, &[0], "torn");
        assert_eq!(first.stop().0.code(), Some(0));
        if store == "postgres" {
            // The worker has left a mark.
            let (code, text) = run(&stream, &["--check"], &settings);
            assert!(
                code == Some(1) && text.contains("partition 0 would stand still") && text.contains("torn"),
                "{text}"
            );
        }
        let (code, text) = run(&stream, &["audit"], &other);
        assert!(code == Some(3) && text.contains("are torn") && text.contains("other signs"), "{store}: {text}");
        rebuild_when_free(&stream, &other);
        audit_is_equal(&stream, &other);
        rebuild_when_free(&stream, &settings);
        folded(&stream, &mut traffic, 60, &settings);
    }
}

/// Nobody can say what would be lost.
#[test]
fn balances_of_another_topic_that_cannot_be_read_are_not_replaced() {
    // A row of a kind, and progress, that only a newer release knows.
    let newer: [(&str, &[u8], &[u8]); 3] =
        [("changelog", b"\x02newer", b"newer"), ("changelog", b"\x00", br#"{"version":99}"#), ("postgres", b"", b"")];
    for (store, key, value) in newer {
        let stream = stream_of("unreadable", 1, &[]);
        let log = format!("{}-log", stream.group);
        let settings = [("BALANCE_STORE", store), ("BALANCE_CHANGELOG_TOPIC", log.as_str())];
        folded(&stream, &mut Traffic::new(59, 20), 600, &settings);
        if store == "postgres" {
            let newer = "UPDATE balancefleet.bal SET currency = lower(currency) WHERE group_id = $1";
            Database::shared().rows(newer, &[&stream.group]);
            let mut reader = worker(&stream, &settings);
            await_failure(&reader, &[0], "cannot be read");
            assert_eq!(reader.stop().0.code(), Some(0));
            // The worker has left a mark.
            let (code, text) = run(&stream, &["--check"], &settings);
            assert!(code == Some(1) && text.contains("partition 0 would stand still"), "{text}");
        } else {
            stream.write(&log, 0, key, Some(value));
        }
        stream.delete();
        stream.make(&[]);
        Traffic::new(60, 20).send(&stream, 100);
        for lose in [&[][..], &["--lose", "500"], &["--lose", "600"]] {
            let (code, text) = run(&stream, &[&["rebuild", "--yes", "--another-topic"], lose].concat(), &settings);
            let words = "made of another topic and cannot be read, so nobody can say what would be lost";
            assert!(code == Some(1) && text.contains(words) && text.contains("nothing was changed"), "{store}: {text}");
        }
    }
}
