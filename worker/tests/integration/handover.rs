//! Planned moves of partitions.

use std::time::{Duration, Instant};

use crate::harness::{SOON, Traffic, eventually, fleet, stream, with_each_store, worker};

/// A worker ends in three seconds; a busy machine adds to them.
const ENDED: Duration = Duration::from_secs(5);

with_each_store!(
    a_stopped_worker_hands_over_at_once_and_ends_well,
    balances_stay_exact_through_many_moves_under_traffic,
    a_worker_stops_in_time_in_the_middle_of_slow_work
);

fn a_stopped_worker_hands_over_at_once_and_ends_well(store: &str) {
    let stream = stream("planned-stop");
    let mut traffic = Traffic::new(3, 40);
    traffic.send(&stream, 2000);
    let mut fleet = fleet(&stream, 2, &[("BALANCE_STORE", store), ("KAFKA_SESSION_TIMEOUT", "30s")]);
    fleet.start_all(0..2);
    fleet.await_shares(&[3, 3]);
    fleet.await_balances(&traffic.oracle, SOON);

    let asked = Instant::now();
    let (status, took) = fleet.take(1).stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < ENDED, "ending took {took:?}");
    fleet.await_shares(&[6]);
    fleet.await_balances(&traffic.oracle, SOON);
    // Half the session: nobody has waited for its end.
    assert!(asked.elapsed() < Duration::from_secs(15), "handing over took {:?}", asked.elapsed());
}

fn balances_stay_exact_through_many_moves_under_traffic(store: &str) {
    let stream = stream("moves");
    let mut traffic = Traffic::new(4, 100);
    let mut fleet = fleet(&stream, 3, &[("BALANCE_STORE", store)]);
    fleet.start(0);
    for (place, starts) in [(1, true), (2, true), (0, false), (0, true), (1, false), (2, false), (1, true)] {
        traffic.send(&stream, 700);
        if starts {
            fleet.start(place);
        } else {
            assert_eq!(fleet.take(place).stop().0.code(), Some(0));
        }
        traffic.send(&stream, 300);
        std::thread::sleep(Duration::from_millis(300));
    }
    fleet.await_shares(&[3, 3]);
    fleet.await_balances(&traffic.oracle, SOON);
    eventually(SOON, || stream.is_committed());
}

#[test]
fn a_worker_that_stops_says_what_it_gives_back_and_that_it_is_committed() {
    let stream = stream("stop-log");
    let mut worker = worker(&stream, &[]);
    worker.await_log("Partitions ASSIGNED: [0, 1, 2, 3, 4, 5]");
    eventually(SOON, || stream.is_committed());
    assert_eq!(worker.stop().0.code(), Some(0));
    let log = worker.log();
    for line in ["Partitions REVOKED: [0, 1, 2, 3, 4, 5]", "Offsets committed before revocation"] {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
}

#[test]
fn a_worker_that_stops_is_not_ready_while_it_still_works() {
    let stream = stream("stop-ready");
    let mut worker = worker(&stream, &[("SIMULATED_WORK", "1s")]);
    eventually(SOON, || stream.is_committed());
    Traffic::new(16, 10).send(&stream, 100);
    eventually(SOON, || match (worker.get("/readyz")?.0, worker.count("messagesConsumed")?) {
        (200, 1..) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    worker.signal("TERM");
    eventually(Duration::from_millis(500), || match worker.get("/readyz")?.0 {
        503 => Ok(()),
        status => Err(format!("/readyz answers {status}")),
    });
    assert_eq!(worker.stop().0.code(), Some(0));
}

#[test]
fn a_worker_answers_for_its_partitions_in_the_middle_of_the_slowest_work() {
    let stream = stream("slow-answers");
    let worker = worker(&stream, &[("SIMULATED_WORK", "1s"), ("KAFKA_SESSION_TIMEOUT", "20s")]);
    eventually(SOON, || stream.is_committed());
    Traffic::new(17, 10).send(&stream, 100);
    eventually(
        SOON,
        || if worker.count("messagesConsumed")? > 0 { Ok(()) } else { Err("nothing consumed".to_owned()) },
    );
    for _ in 0..40 {
        let (_, own) = worker.get("/internal/v1/partitions").unwrap();
        // One line of facts, then one for each partition.
        assert_eq!(own.lines().count(), 1 + 6, "{own}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_worker_stops_in_time_in_the_middle_of_slow_work(store: &str) {
    let stream = stream("slow-stop");
    Traffic::new(5, 10).send(&stream, 5000);
    let mut worker = worker(&stream, &[("BALANCE_STORE", store), ("SIMULATED_WORK", "100ms")]);
    eventually(
        SOON,
        || if worker.count("messagesConsumed")? > 5 { Ok(()) } else { Err("nothing consumed".to_owned()) },
    );
    let (status, took) = worker.stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < ENDED, "ending took {took:?}");
    let consumed: i64 = stream.committed().values().map(|(offset, _)| offset).sum();
    assert!(consumed > 5, "what was done is committed: {:?}", stream.committed());
}

#[test]
fn a_newcomer_gets_its_share_in_the_middle_of_slow_work() {
    let stream = stream("slow-join");
    Traffic::new(6, 10).send(&stream, 5000);
    let mut fleet = fleet(&stream, 2, &[("SIMULATED_WORK", "100ms")]);
    fleet.start(0);
    fleet.await_shares(&[6]);
    let asked = Instant::now();
    fleet.start(1);
    fleet.await_shares(&[3, 3]);
    assert!(asked.elapsed() < Duration::from_secs(10), "sharing took {:?}", asked.elapsed());
}

#[test]
fn a_worker_stops_in_time_while_it_looks_for_brokers() {
    let stream = stream("no-broker");
    let mut worker = worker(&stream, &[("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")]);
    worker.await_log("no Kafka broker can be reached");
    let (status, took) = worker.stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < ENDED, "ending took {took:?}");
}
