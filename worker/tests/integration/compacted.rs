//! An input that does not keep every record: no balance is made of what compaction has left.

use std::time::Duration;

use crate::{
    failures::failed,
    harness::{Database, SOON, Stream, Worker, eventually, run, stream_of, worker},
    ops::rebuild_when_free,
};

const CHANGELOG: (&str, &str) = ("BALANCE_STORE", "changelog");
const POSTGRES: (&str, &str) = ("BALANCE_STORE", "postgres");
const REPLAY: (&str, &str) = ("BALANCE_STORE", "replay");

/// As soon as a broker can.
const AT_ONCE: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "500"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("min.compaction.lag.ms", "0"),
    ("delete.retention.ms", "100"),
];

fn record(customer: &str, id: &str) -> String {
    format!(
        r#"{{"transactionId":"{id}","amount":1.00,"currency":"EUR","type":3,"customerId":"{customer}","timestamp":"2026-02-08T22:00:00Z"}}"#
    )
}

fn send(stream: &Stream, customer: &str, id: &str) {
    stream.send_whole(0, customer, &[], record(customer, id).as_bytes());
}

/// Two records of 1.00 for each of two customers.
fn two_of_two(stream: &Stream) {
    for id in ["T1", "T2"] {
        ["A", "B"].iter().for_each(|customer| send(stream, customer, id));
    }
}

#[track_caller]
fn await_two(worker: &Worker) {
    for customer in ["A", "B"] {
        eventually(SOON, || {
            let body = worker.json(&format!("/api/Balance/balances/{customer}"))?;
            let is_right = body["balance"].to_string().starts_with("2.0") && body["transactionCount"] == 2;
            if is_right { Ok(()) } else { Err(body.to_string()) }
        });
    }
}

/// Until the log has one record of a customer left that had two.
#[track_caller]
fn compact(stream: &Stream) {
    stream.configure(&stream.topic, &AT_ONCE);
    for round in 0..3 {
        // A record that comes later than `segment.ms` begins another segment: only older ones are compacted.
        std::thread::sleep(Duration::from_millis(700));
        send(stream, &format!("roll-{round}"), "R");
    }
    eventually(2 * SOON, || {
        let of_a = stream.read(&stream.topic).iter().filter(|it| rdkafka::Message::key(*it) == Some(b"A")).count();
        if of_a == 1 { Ok(()) } else { Err(format!("{of_a} records of A")) }
    });
}

#[test]
fn no_store_begins_with_a_compacted_topic_and_the_check_says_so() {
    for policy in ["compact", "compact,delete"] {
        for store in [CHANGELOG, POSTGRES, REPLAY] {
            let stream = stream_of("compacted", 1, &[("cleanup.policy", policy)]);
            two_of_two(&stream);
            let (code, text) = eventually(SOON, || match run(&stream, &["--check"], &[store]) {
                (_, text) if text.contains("try again shortly") => Err(text),
                checked => Ok(checked),
            });
            let words = format!("InputCompacted: topic {} is compacted (cleanup.policy={policy})", stream.topic);
            assert!(code == Some(1) && text.contains(&words), "{store:?} {text}");
            let mut refused = worker(&stream, &[store]);
            assert_eq!(refused.await_end().code(), Some(2), "{store:?}");
            assert!(refused.log().contains(&words), "{}", refused.log());
            assert!(stream.committed().is_empty());
        }
    }
}

#[test]
fn a_ledger_that_only_counts_takes_a_compacted_topic() {
    let stream = stream_of("compacted-count", 1, &[("cleanup.policy", "compact")]);
    two_of_two(&stream);
    let count = [("WORKER_LEDGER", "count")];
    let worker = worker(&stream, &count);
    worker.await_count("messagesConsumed", 4);
    let readiness = worker.json("/readyz").unwrap();
    assert!(readiness["reason"].is_null() && readiness["inputCompacted"].is_null(), "{readiness}");
    let (code, text) = run(&stream, &["--check"], &count);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_fleet_whose_topic_becomes_compacted_goes_on_and_says_so() {
    becomes_compacted(CHANGELOG);
}

#[test]
fn a_fleet_whose_topic_becomes_compacted_goes_on_and_says_so_with_a_database() {
    becomes_compacted(POSTGRES);
}

fn becomes_compacted(store: (&'static str, &'static str)) {
    let stream = stream_of("becomes", 1, &[]);
    two_of_two(&stream);
    let mut first = worker(&stream, &[store]);
    await_two(&first);
    eventually(SOON, || stream.is_committed());
    let told = |worker: &Worker, is_compacted: bool| {
        eventually(SOON, || {
            let readiness = worker.json("/readyz")?;
            let is_said = readiness["reason"].as_str().is_some_and(|reason| reason.starts_with("InputCompacted: "));
            let metric = format!("balancefleet_input_compacted {}", i32::from(is_compacted));
            let is_told = readiness["inputCompacted"] == is_compacted && is_said == is_compacted;
            let is_measured = worker.get("/metrics")?.1.contains(&metric);
            if is_told && is_measured { Ok(()) } else { Err(readiness.to_string()) }
        });
    };
    told(&first, false);
    stream.configure(&stream.topic, &[("cleanup.policy", "compact,delete")]);
    told(&first, true);
    assert!(first.log().contains("InputCompacted"), "{}", first.log());
    // It goes on, and so does one that starts now.
    send(&stream, "C", "T1");
    eventually(SOON, || stream.is_committed());
    assert_eq!(first.stop().0.code(), Some(0));
    let (code, text) = run(&stream, &["--check"], &[store]);
    assert!(code == Some(0) && text.contains("InputCompacted"), "{text}");
    let second = worker(&stream, &[store]);
    await_two(&second);
    told(&second, true);
    // Nobody folds it again.
    for tool in [&["audit"][..], &["rebuild", "--yes"]] {
        let (code, text) = run(&stream, tool, &[store]);
        assert!(code == Some(1) && text.contains("InputCompacted: "), "{text}");
    }
    stream.configure(&stream.topic, &[("cleanup.policy", "delete")]);
    told(&second, false);
    let (code, text) = run(&stream, &["audit"], &[store]);
    assert_eq!(code, Some(0), "nothing was compacted yet: {text}");
}

#[test]
fn what_compaction_has_removed_is_missed_when_the_policy_is_another_one_again() {
    is_missed(CHANGELOG);
}

#[test]
fn what_compaction_has_removed_is_missed_when_the_policy_is_another_one_again_with_a_database() {
    is_missed(POSTGRES);
}

fn is_missed(store: (&'static str, &'static str)) {
    let stream = stream_of("removed", 1, &[]);
    two_of_two(&stream);
    let mut first = worker(&stream, &[store]);
    await_two(&first);
    compact(&stream);
    stream.configure(&stream.topic, &[("cleanup.policy", "delete")]);
    eventually(SOON, || stream.is_committed());
    let (code, text) = run(&stream, &["audit"], &[store]);
    let words = "the log gives 5 transactions below the committed offset, the store has counted 7";
    assert!(code == Some(3) && text.contains("NOT COMPARABLE") && text.contains(words), "{text}");
    assert_eq!(first.stop().0.code(), Some(0));
    let rebuild = |settings: &[(&str, &str)]| {
        eventually(SOON, || match run(&stream, &["rebuild", "--yes"], settings) {
            (_, text) if text.contains("stop the workers first") => Err(text),
            ended => Ok(ended),
        })
    };
    let (code, text) = rebuild(&[store]);
    assert!(code == Some(1) && text.contains(words) && text.contains("nothing was changed"), "{text}");
    // With other rules fewer may be right, but not fewer than they could ever give.
    let (code, text) = rebuild(&[store, ("BALANCE_SIGNS", "Transfer=ignore")]);
    assert!(code == Some(1) && text.contains(words), "{text}");
    let mut second = worker(&stream, &[store]);
    await_two(&second);
    assert_eq!(second.stop().0.code(), Some(0));
    // Only a person who says what is given up gets what the log gives.
    for (given_up, code) in [("1", 1), ("2", 0)] {
        let ended = eventually(SOON, || match run(&stream, &["rebuild", "--yes", "--lose", given_up], &[store]) {
            (_, text) if text.contains("stop the workers first") => Err(text),
            ended => Ok(ended),
        });
        assert_eq!(ended.0, Some(code), "{}", ended.1);
    }
    let (code, text) = run(&stream, &["audit"], &[store]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn other_rules_that_ignore_most_records_are_no_loss() {
    let stream = stream_of("ignored", 1, &[]);
    two_of_two(&stream);
    let mut first = worker(&stream, &[CHANGELOG]);
    await_two(&first);
    eventually(SOON, || stream.is_committed());
    assert_eq!(first.stop().0.code(), Some(0));
    rebuild_when_free(&stream, &[CHANGELOG, ("BALANCE_SIGNS", "Deposit=ignore")]);
}

/// What another store has committed would have to be folded from the log.
#[test]
fn nothing_that_was_committed_without_balances_is_folded_from_a_compacted_topic() {
    let stream = stream_of("no-balances", 1, &[]);
    two_of_two(&stream);
    let first = worker(&stream, &[REPLAY]);
    await_two(&first);
    eventually(SOON, || stream.is_committed());
    stream.configure(&stream.topic, &[("cleanup.policy", "compact")]);
    for store in [CHANGELOG, POSTGRES] {
        let mut refused = worker(&stream, &[store]);
        assert_eq!(refused.await_end().code(), Some(2));
        assert!(refused.log().contains("InputCompacted"), "{}", refused.log());
    }
    // Of one that runs already, the partition comes back after a while without the group.
    eventually(SOON, || match first.json("/readyz")?["inputCompacted"].as_bool() {
        Some(true) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    first.signal("STOP");
    std::thread::sleep(Duration::from_secs(8));
    first.signal("CONT");
    eventually(SOON, || match failed(&first)?.as_slice() {
        [(0, reason)] if reason.contains("is compacted (cleanup.policy=compact)") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(stream.committed()[&0].0, 4);
    let rows = Database::shared().count(&stream, "SELECT count(*) FROM balancefleet.part WHERE group_id = $1");
    assert_eq!(rows, 0);
}
