//! Offsets of which the store knows nothing: another log's, another program's, another store's, or its own that it has
//! lost. None is followed; what the failure advises leads on, with every balance exact.

use serde_json::Value;

use crate::{
    failures::await_failure,
    harness::{SOON, Stream, Traffic, Worker, eventually, fleet, run, stream_of, with_each_store, worker},
    ops::{audit_is_equal, rebuild_when_free},
};

with_each_store!(offsets_of_another_log_are_not_followed, offsets_of_another_log_may_be_deleted_and_all_is_folded);

/// Of 1 500 records here, a mirrored group has committed these; the start offset is another log's.
const MIRRORED: (i64, &str) = (1400, "bf1 base=1300 records=527 busy_micros=9");

fn mirrored(name: &str, traffic: &mut Traffic) -> Stream {
    let stream = stream_of(name, 1, &[]);
    traffic.send(&stream, 1500);
    stream.commit_with(0, MIRRORED.0, MIRRORED.1);
    stream
}

/// The category of each failure that the worker has logged.
fn categories(worker: &Worker) -> Vec<String> {
    let lines = worker.log();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| Some(line["fields"]["category"].as_str().or(line["category"].as_str())?.to_owned()))
        .collect()
}

fn offsets_of_another_log_are_not_followed(store: &str) {
    let stream = mirrored("another-log", &mut Traffic::new(91, 30));
    let settings = [("BALANCE_STORE", store)];
    let category = if store == "replay" { "TopicRecreated" } else { "NoProgress" };
    let (code, text) = run(&stream, &["--check"], &settings);
    assert!(code == Some(1) && text.contains(&format!("partition 0 would stand still ({category})")), "{text}");
    {
        let worker = worker(&stream, &settings);
        await_failure(&worker, &[0], "kafka-consumer-groups --delete-offsets");
        assert_eq!(categories(&worker), [category]);
    }
    // Nothing was signed that was refused.
    let committed = stream.committed();
    assert_eq!(committed[&0], (MIRRORED.0, MIRRORED.1.to_owned()));
    if store == "replay" {
        return;
    }
    // Nor does the other way lead to a part of the balances.
    let text = eventually(SOON, || match run(&stream, &["rebuild", "--yes"], &settings) {
        (Some(1), text) if !text.contains("members") => Ok(text),
        other => Err(format!("{other:?}")),
    });
    let told = ["offset 1400", "begins at offset 1300", "the log begins at 0", "--delete-offsets", "--from-base"];
    assert!(told.iter().all(|words| text.contains(words)), "{text}");
    assert_eq!(stream.committed(), committed);
}

fn offsets_of_another_log_may_be_deleted_and_all_is_folded(store: &str) {
    let mut traffic = Traffic::new(92, 30);
    let stream = mirrored("another-log-all", &mut traffic);
    stream.delete_offsets();
    let settings = [("BALANCE_STORE", store)];
    let (code, text) = run(&stream, &["--check"], &settings);
    assert_eq!(code, Some(0), "{text}");
    let mut fleet = fleet(&stream, 1, &settings);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(1500));
}

/// Both ways on: all is processed, or what was committed is folded and counts as dealt with.
#[test]
fn a_group_that_another_program_began_goes_on_in_either_way_that_is_advised() {
    for store in ["changelog", "postgres"] {
        for is_rebuilt in [false, true] {
            let stream = stream_of("taken-over", 2, &[]);
            let settings = [("BALANCE_STORE", store)];
            let mut traffic = Traffic::new(14, 20);
            traffic.send(&stream, 600);
            stream.commit_as_another_program(50);
            await_failure(&worker(&stream, &settings), &[0, 1], "the store has no progress of this partition");
            if is_rebuilt {
                rebuild_when_free(&stream, &settings);
            } else {
                stream.delete_offsets();
            }
            let mut fleet = fleet(&stream, 1, &settings);
            fleet.start(0);
            fleet.await_balances(&traffic.oracle, SOON);
            let expected = if is_rebuilt { 600 - 2 * 50 } else { 600 };
            assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(expected), "{store}");
        }
    }
}

/// A commit at the start of the log is a beginning, whoever made it.
#[test]
fn a_commit_at_the_start_of_the_log_is_a_beginning() {
    for store in ["changelog", "postgres", "replay"] {
        let stream = stream_of("at-the-start", 2, &[]);
        let mut traffic = Traffic::new(93, 20);
        traffic.send(&stream, 300);
        stream.commit_as_another_program(0);
        let mut fleet = fleet(&stream, 1, &[("BALANCE_STORE", store)]);
        fleet.start(0);
        fleet.await_balances(&traffic.oracle, SOON);
    }
}

/// The rest of the group knows where it begins by the text of partition 0's owner alone, and that one dies.
#[test]
fn a_group_that_begins_at_the_end_survives_the_death_of_the_first_owner() {
    let stream = stream_of("latest-killed", 6, &[]);
    Traffic::new(94, 40).send(&stream, 900);
    let mut fleet = fleet(&stream, 3, &[("KAFKA_AUTO_OFFSET_RESET", "latest")]);
    fleet.start_all(0..3);
    eventually(SOON, || stream.committed().get(&0).map(drop).ok_or_else(|| "nobody has begun".to_owned()));
    let is_first = |place: &usize| fleet.get(*place).partitions().is_ok_and(|partitions| partitions.contains(&0));
    let first = eventually(SOON, || (0..3).find(is_first).ok_or_else(|| "nobody has partition 0".to_owned()));
    fleet.take(first).kill();
    let mut traffic = Traffic::new(95, 40);
    traffic.send(&stream, 600);
    fleet.await_balances(&traffic.oracle, SOON);
    fleet.start(first);
    traffic.send(&stream, 60);
    fleet.await_balances(&traffic.oracle, SOON);
}

/// The same, with nothing but that text and the first partition's progress: as any release leaves it.
#[test]
fn the_text_of_the_first_owner_is_all_that_a_group_needs_to_begin_at_the_end() {
    let stream = stream_of("latest-text", 6, &[]);
    Traffic::new(96, 40).send(&stream, 900);
    for (partition, end) in stream.ends() {
        stream.commit_with(partition, end, &format!("bf1 base={end} records=0 busy_micros=0"));
    }
    let mut traffic = Traffic::new(97, 40);
    traffic.send(&stream, 600);
    await_failure(&worker(&stream, &[]), &[0, 1, 2, 3, 4, 5], "the store has no progress of this partition");
    let latest = [("KAFKA_AUTO_OFFSET_RESET", "latest")];
    let mut fleet = fleet(&stream, 1, &latest);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(600));
}

/// A group that began at the end of the log, and whose changelog was deleted.
#[test]
fn a_group_that_began_at_the_end_and_lost_its_changelog_is_rebuilt_from_its_start_offset() {
    let stream = stream_of("latest-lost", 2, &[]);
    let log = format!("{}-log", stream.group);
    let settings = [("KAFKA_AUTO_OFFSET_RESET", "latest"), ("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    Traffic::new(98, 20).send(&stream, 300);
    let mut traffic = Traffic::new(99, 20);
    {
        let mut fleet = fleet(&stream, 1, &settings);
        fleet.start(0);
        eventually(SOON, || stream.is_committed());
        traffic.send(&stream, 600);
        fleet.await_balances(&traffic.oracle, SOON);
        eventually(SOON, || stream.is_committed());
        assert_eq!(fleet.take(0).stop().0.code(), Some(0));
    }
    stream.delete_topic(&log);
    await_failure(&worker(&stream, &settings), &[0, 1], "has lost its store");
    stream.delete_topic(&log);
    let text = eventually(SOON, || match run(&stream, &["rebuild", "--yes"], &settings) {
        (Some(1), text) if !text.contains("members") => Ok(text),
        other => Err(format!("{other:?}")),
    });
    assert!(text.contains("add --from-base"), "{text}");
    let (code, text) = run(&stream, &["rebuild", "--yes", "--from-base"], &settings);
    assert!(code == Some(0) && text.contains("out of 600 records"), "{text}");
    audit_is_equal(&stream, &settings);
    traffic.send(&stream, 60);
    let mut fleet = fleet(&stream, 1, &settings);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(60));
}
