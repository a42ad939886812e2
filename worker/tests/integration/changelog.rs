//! What the changelog store promises beyond what every store does: balances that outlive their records, dead letters
//! exactly once, and no balance out of a changelog that is not sound.

use std::collections::BTreeMap;

use rdkafka::{
    Message,
    message::{Headers, OwnedMessage},
};

use crate::{
    failures::await_failure,
    harness::{self, SOON, Stream, Traffic, eventually, fleet, stream, stream_of, worker},
    ops::rebuild_when_free,
};

/// The topic by a name of the test's own.
fn named(stream: &Stream) -> String {
    format!("{}-log", stream.group)
}

/// The same amount everywhere: some tests know the offsets that follow from it.
fn folded(stream: &Stream, traffic: &mut Traffic, settings: &[(&str, &str)]) {
    harness::folded(stream, traffic, 600, settings);
}

#[test]
fn balances_outlive_the_records_they_were_made_of() {
    let stream = stream("outlive");
    let mut traffic = Traffic::new(21, 30);
    folded(&stream, &mut traffic, &[]);
    for (partition, end) in stream.ends() {
        stream.delete_records_before(partition, end);
    }
    traffic.send(&stream, 300);
    let mut fleet = fleet(&stream, 1, &[]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(300), "the first 600 are not processed again");
}

#[test]
fn a_group_that_kafka_has_forgotten_goes_on_from_its_changelog() {
    let stream = stream("forgotten");
    let mut traffic = Traffic::new(22, 30);
    folded(&stream, &mut traffic, &[]);
    stream.forget_group();
    traffic.send(&stream, 300);
    let mut fleet = fleet(&stream, 1, &[]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(300));
}

#[test]
fn a_group_moves_from_the_replay_store_without_folding_anything_twice() {
    let stream = stream("moved");
    let mut traffic = Traffic::new(23, 30);
    folded(&stream, &mut traffic, &[("BALANCE_STORE", "replay")]);
    await_failure(&worker(&stream, &[]), &[0, 1, 2, 3, 4, 5], "comes from the store replay");
    rebuild_when_free(&stream, &[]);
    // What was folded again is in the changelog: the next owner needs no input.
    for (partition, end) in stream.ends() {
        stream.delete_records_before(partition, end);
    }
    folded(&stream, &mut traffic, &[]);
}

/// A release before this one copied the ledgers of groups that had used the replay store, and was interrupted.
#[test]
fn a_first_copy_that_was_left_half_done_is_finished_bit_by_bit_and_a_crash_on_the_way_costs_nothing() {
    const CUSTOMERS: u64 = 150_000;
    let stream = stream_of("moved-large", 1, &[]);
    let (whole, replay) = (format!("{}-whole", stream.group), [("BALANCE_STORE", "replay")]);
    let mut traffic = Traffic::new(34, CUSTOMERS);
    traffic.send(&stream, 2 * CUSTOMERS);
    folded(&stream, &mut traffic, &replay);
    rebuild_when_free(&stream, &[("BALANCE_CHANGELOG_TOPIC", &whole)]);
    let whole = stream.read(&whole);
    let is_progress = |record: &&OwnedMessage| record.key() == Some(&[0][..]);
    let text = |record: &OwnedMessage| String::from_utf8_lossy(record.payload().unwrap()).into_owned();
    let complete = text(whole.iter().rfind(is_progress).unwrap());
    let partial = complete.replace(r#""customers":"#, r#""partial":true,"customers":"#);
    assert_ne!(partial, complete, "{complete}");
    // A worker that has copied all of it before it is killed copies it again, to another changelog.
    let log = (0..10).map(|place| format!("{}-{place}", named(&stream))).find(|log| {
        stream.make_beside(log, 1, &[("cleanup.policy", "compact")]);
        for customer in whole.iter().filter(|record| !is_progress(record)).take(100) {
            stream.write(log, 0, customer.key().unwrap(), customer.payload());
        }
        stream.write(log, 0, &[0], Some(partial.as_bytes()));
        let mut first = worker(&stream, &[("BALANCE_CHANGELOG_TOPIC", log)]);
        stream.await_records(log, 0, 10_000);
        first.kill();
        text(stream.read(log).iter().rfind(is_progress).unwrap()).contains(r#""partial":true"#)
    });
    let log = log.expect("killed in time");
    folded(&stream, &mut traffic, &[("BALANCE_CHANGELOG_TOPIC", log.as_str())]);
}

#[test]
fn a_changelog_that_would_lose_balances_is_refused_before_anything_is_consumed() {
    let stream = stream_of("policy", 2, &[]);
    let log = named(&stream);
    stream.make_beside(&log, 2, &[("cleanup.policy", "compact,delete")]);
    stream.produce(0, ["junk"]);
    let mut worker = worker(&stream, &[("BALANCE_CHANGELOG_TOPIC", &log)]);
    assert_eq!(worker.await_end().code(), Some(2));
    assert!(worker.log().contains("cleanup.policy=compact"), "{}", worker.log());
    assert!(stream.committed().is_empty());
}

#[test]
fn a_changelog_that_somebody_wrote_to_gives_no_balances() {
    let stream = stream_of("torn", 2, &[]);
    let log = named(&stream);
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let mut traffic = Traffic::new(24, 10);
    folded(&stream, &mut traffic, &settings);
    let customer = stream.read(&log).into_iter().find(|it| it.partition() == 1 && it.key().unwrap()[0] == 1).unwrap();
    stream.write(&log, 1, customer.key().unwrap(), None);
    await_failure(&worker(&stream, &settings), &[1], "torn");
}

#[test]
fn customers_without_progress_are_nobodys_balances() {
    let stream = stream_of("no-progress", 1, &[]);
    let log = named(&stream);
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    folded(&stream, &mut Traffic::new(25, 10), &settings);
    stream.write(&log, 0, &[0], None);
    await_failure(&worker(&stream, &settings), &[0], "without any progress");
}

#[test]
fn the_changelog_of_another_group_is_not_taken_over() {
    let (one, other) = (stream_of("owner", 1, &[]), stream_of("intruder", 1, &[]));
    let log = named(&one);
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    folded(&one, &mut Traffic::new(26, 10), &settings);
    await_failure(&worker(&other, &settings), &[0], &one.group);
}

#[test]
fn other_rules_do_not_go_on_with_the_same_balances() {
    let stream = stream_of("rules", 1, &[]);
    folded(&stream, &mut Traffic::new(27, 10), &[]);
    await_failure(&worker(&stream, &[("BALANCE_SIGNS", "Transfer=debit")]), &[0], "other signs");
}

#[test]
fn offsets_that_were_moved_by_hand_are_not_followed() {
    let stream = stream_of("by-hand", 1, &[]);
    folded(&stream, &mut Traffic::new(28, 10), &[]);
    stream.commit_as_another_program(50);
    await_failure(&worker(&stream, &[]), &[0], "set them back to 600");
}

#[test]
fn a_topic_that_was_made_again_while_nobody_looked_is_not_taken_for_the_old_one() {
    let stream = stream_of("made-again", 1, &[]);
    folded(&stream, &mut Traffic::new(29, 10), &[]);
    stream.delete();
    stream.make(&[]);
    stream.produce(0, vec!["junk"; 1000]);
    await_failure(&worker(&stream, &[]), &[0], "deleted and recreated");
}

#[test]
fn partitions_that_are_added_get_a_changelog_and_nothing_of_them_is_lost() {
    let mut stream = stream_of("growing", 2, &[]);
    let mut traffic = Traffic::new(32, 30);
    traffic.send(&stream, 200);
    let mut worker = {
        let mut fleet = fleet(&stream, 1, &[]);
        fleet.start(0);
        fleet.await_balances(&traffic.oracle, SOON);
        fleet.take(0)
    };
    stream.grow_to(5);
    // Members learn of new partitions within the interval at which they look.
    eventually(SOON, || match worker.partitions()?.len() {
        5 => Ok(()),
        count => Err(format!("{count} partitions")),
    });
    stream.partitions = 5;
    traffic.send(&stream, 500);
    // The same process goes on to commit, also for those that were not there when it began.
    eventually(SOON, || stream.is_committed());
    worker.kill();
    let mut fleet = fleet(&stream, 2, &[]);
    fleet.start_all(0..2);
    fleet.await_balances(&traffic.oracle, SOON);
}

/// Origin of each dead letter: partition and offset, from its headers.
fn origins(letters: &[OwnedMessage]) -> BTreeMap<(String, String), usize> {
    let mut origins = BTreeMap::new();
    for letter in letters {
        let headers = letter.headers().unwrap();
        let header = |name: &str| {
            let found = headers.iter().find(|header| header.key == name).and_then(|header| header.value).unwrap();
            String::from_utf8(found.to_vec()).unwrap()
        };
        let origin = (header("__connect.errors.partition"), header("__connect.errors.offset"));
        *origins.entry(origin).or_default() += 1;
    }
    origins
}

#[test]
fn every_bad_record_is_put_aside_once_whole_and_with_its_reason() {
    let stream = stream_of("letters", 1, &[]);
    let dead = format!("{}-dead", stream.group);
    stream.send_whole(0, "the-key", &[("trace", "abc"), ("trace", "def")], b"{not json");
    let mut worker = worker(&stream, &[("BALANCE_DEAD_LETTER_TOPIC", &dead)]);
    worker.await_count("processingErrors", 1);
    eventually(SOON, || stream.is_committed());
    assert_eq!(worker.stop().0.code(), Some(0));
    let letters = stream.read(&dead);
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].key(), letters[0].payload()), (Some(&b"the-key"[..]), Some(&b"{not json"[..])));
    let headers = letters[0].headers().unwrap();
    let text = |place: usize| {
        let header = headers.get(place);
        (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned())
    };
    assert_eq!([text(0), text(1)], [("trace", "abc"), ("trace", "def")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let rest: BTreeMap<_, _> = (2..headers.count()).map(text).collect();
    assert_eq!(rest["__connect.errors.topic"], stream.topic);
    assert_eq!(rest["__connect.errors.exception.class.name"], "BrokenJson");
}

#[test]
fn dead_letters_survive_crashes_exactly_once() {
    let stream = stream("letters-storm");
    let dead = format!("{}-dead", stream.group);
    let mut traffic = Traffic::new(33, 50);
    let mut fleet = fleet(&stream, 2, &[("BALANCE_DEAD_LETTER_TOPIC", &dead)]);
    fleet.start_all(0..2);
    for round in 0..5_usize {
        traffic.send(&stream, 300);
        (0..6).for_each(|partition| stream.produce(partition, ["junk", r#"{"amount":1e400}"#]));
        std::thread::sleep(std::time::Duration::from_millis(300 + 211 * round as u64));
        fleet.take(round % 2).kill();
        fleet.start(round % 2);
    }
    fleet.await_balances(&traffic.oracle, SOON);
    let origins = origins(&stream.read(&dead));
    assert_eq!(origins.len(), 60);
    assert!(origins.values().all(|count| *count == 1), "{origins:?}");
}

#[test]
fn a_bad_record_too_large_for_the_dead_letters_is_cut_and_holds_nobody_up() {
    let stream = stream_of("letters-large", 1, &[]);
    let dead = format!("{}-dead", stream.group);
    stream.make_beside(&dead, 1, &[("max.message.bytes", "100000")]);
    // Compression must not make it small.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let large: Vec<_> = noise.take(500_000).collect();
    stream.send_whole(0, "key", &[("trace", "abc")], &large);
    stream.produce(0, ["junk"]);
    let worker = worker(&stream, &[("BALANCE_DEAD_LETTER_TOPIC", &dead)]);
    worker.await_count("processingErrors", 2);
    eventually(SOON, || stream.is_committed());
    let letters = stream.read(&dead);
    let is_cut =
        |letter: &&OwnedMessage| letter.headers().unwrap().iter().any(|header| header.key == "balancefleet.truncated");
    let cut: Vec<_> = letters.iter().filter(is_cut).collect();
    assert_eq!((letters.len(), cut.len()), (2, 1));
    assert!(large.starts_with(cut[0].payload().unwrap()) && cut[0].key() == Some(b"key"));
}
