//! What a partition cannot recover from is said, and is never papered over.

use serde_json::Value;

use crate::harness::{SOON, Traffic, Worker, eventually, fleet, stream, stream_of, worker};

/// Partitions that failed, each with the reason.
pub(crate) fn failed(worker: &Worker) -> Result<Vec<(i64, String)>, String> {
    let (_, body) = worker.get("/readyz")?;
    let body: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    let failed = body["failed"].as_array().ok_or_else(|| body.to_string())?;
    Ok(failed
        .iter()
        .map(|one| (one["partition"].as_i64().unwrap_or(-1), one["reason"].as_str().unwrap_or_default().to_owned()))
        .collect())
}

#[track_caller]
pub(crate) fn await_failure(worker: &Worker, partitions: &[i64], words: &str) {
    eventually(SOON, || {
        let failed = failed(worker)?;
        let found: Vec<_> = failed.iter().map(|(partition, _)| *partition).collect();
        if found == partitions && failed.iter().all(|(_, reason)| reason.contains(words)) {
            Ok(())
        } else {
            Err(format!("{failed:?}"))
        }
    });
    assert_eq!(worker.get("/readyz").unwrap().0, 503);
    assert_eq!(worker.get("/livez").unwrap().0, 200, "a restart would not help");
    assert_eq!(worker.get("/api/Balance/balances").unwrap().0, 503, "an incomplete sum is no answer");
}

#[test]
fn records_removed_before_the_base_fail_their_partition_alone() {
    let stream = stream("retention");
    let replay = [("BALANCE_STORE", "replay")];
    let mut traffic = Traffic::new(11, 20);
    traffic.send(&stream, 600);
    {
        let mut fleet = fleet(&stream, 1, &replay);
        fleet.start(0);
        fleet.await_balances(&traffic.oracle, SOON);
        eventually(SOON, || stream.is_committed());
        assert_eq!(fleet.take(0).stop().0.code(), Some(0));
    }
    stream.delete_records_before(2, 5);
    let worker = worker(&stream, &replay);
    await_failure(&worker, &[2], "retention");
    // The others work on.
    let before = worker.count("messagesConsumed").unwrap();
    stream.produce(1, ["junk"; 7]);
    worker.await_count("messagesConsumed", before + 7);
}

#[test]
fn retention_that_overtakes_a_working_partition_fails_it() {
    let stream = stream_of("overtaken", 1, &[]);
    // Small answers, so that most of the records are still on the broker when they are removed.
    let settings = [("SIMULATED_WORK", "5ms"), ("KAFKA_CONFIG_QUEUED_MIN_MESSAGES", "1"), ("WORKER_LEDGER", "count")];
    let long = "x".repeat(20_000);
    stream.produce(0, std::iter::repeat_n(long.as_str(), 2000));
    let worker = worker(&stream, &settings);
    eventually(
        SOON,
        || if worker.count("messagesConsumed")? > 0 { Ok(()) } else { Err("nothing consumed".to_owned()) },
    );
    stream.delete_records_before(0, 2000);
    eventually(SOON, || match failed(&worker)?.as_slice() {
        [(0, reason)] if reason.contains("no longer in the log") => Ok(()),
        other => Err(format!("{other:?}, {} consumed", worker.count("messagesConsumed")?)),
    });
}

#[test]
fn a_topic_that_was_made_again_is_never_taken_for_the_old_one() {
    let stream = stream_of("recreated", 2, &[]);
    let worker = worker(&stream, &[]);
    (0..2).for_each(|partition| stream.produce(partition, ["junk"; 5]));
    worker.await_count("messagesConsumed", 10);
    stream.delete();
    stream.make(&[]);
    // Longer than the old one: the client alone would go on at the old offset.
    (0..2).for_each(|partition| stream.produce(partition, ["junk"; 50]));
    await_failure(&worker, &[0, 1], "deleted and recreated");
}
