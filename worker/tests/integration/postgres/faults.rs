//! Sessions that end in the middle, answers that are lost, and workers that come back from the dead.

use std::time::{Duration, Instant};

use super::{STORE, deposit};
use crate::harness::{Database, Mode, SOON, Traffic, Wire, eventually, fleet, stream, stream_of, worker};

/// A database of the test's own with the tables in it.
fn with_tables(name: &str) -> Database {
    let database = Database::own(name);
    let stream = stream_of(&format!("pg-{name}-tables"), 1, &[]);
    let mut worker = worker(&stream, &[STORE, ("BALANCE_POSTGRES_URL", &database.url)]);
    worker.await_log("created the tables");
    worker.stop();
    database
}

/// Where sessions end, by which trigger, and at which of its calls.
const MOMENTS: [(&str, &str, &str); 5] = [
    ("progress", "TRIGGER moment BEFORE UPDATE ON balancefleet.part FOR EACH STATEMENT", "n % 17 = 0"),
    ("first", "TRIGGER first AFTER INSERT ON balancefleet.part FOR EACH STATEMENT", "n <= 3"),
    ("balances", "TRIGGER moment BEFORE INSERT ON balancefleet.bal FOR EACH STATEMENT", "n % 5 = 0"),
    ("letters", "TRIGGER moment AFTER INSERT ON balancefleet.dead_letter FOR EACH STATEMENT", "n % 5 = 0"),
    (
        "commit",
        "CONSTRAINT TRIGGER last AFTER UPDATE ON balancefleet.part DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
        "n % 17 = 0",
    ),
];

#[test]
fn sessions_that_end_at_any_statement_of_a_batch_lose_nothing_and_double_nothing() {
    let (stream, database) = (stream("pg-killed"), with_tables("killed"));
    for (name, trigger, when) in MOMENTS {
        // Sequences count also what is rolled back.
        database.run(&format!(
            "CREATE SEQUENCE public.{name}; CREATE SEQUENCE public.{name}_ends;
             CREATE FUNCTION public.end_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
                 DECLARE n bigint := nextval('public.{name}');
                 BEGIN
                     IF {when} THEN
                         PERFORM nextval('public.{name}_ends');
                         PERFORM pg_terminate_backend(pg_backend_pid());
                         PERFORM pg_sleep(10);
                     END IF;
                     RETURN NULL;
                 END $$;
             CREATE {trigger} EXECUTE FUNCTION public.end_{name}()"
        ));
    }
    let mut traffic = Traffic::new(61, 50);
    let mut fleet = fleet(&stream, 2, &[STORE, ("BALANCE_POSTGRES_URL", &database.url)]);
    fleet.start_all(0..2);
    let (mut rounds, deadline) = (0, Instant::now() + 2 * SOON);
    let ends = |name: &str| -> i64 {
        let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.{name}_ends");
        database.rows(&sql, &[])[0].get(0)
    };
    while MOMENTS.iter().any(|(name, ..)| ends(name) < 3) {
        assert!(Instant::now() < deadline, "{:?}", MOMENTS.map(|(name, ..)| (name, ends(name))));
        traffic.send(&stream, 100);
        (0..6).for_each(|partition| stream.produce(partition, ["junk"]));
        rounds += 1;
        std::thread::sleep(Duration::from_millis(150));
    }
    fleet.await_balances(&traffic.oracle, 2 * SOON);
    let letters = "SELECT count(*) FROM balancefleet.dead_letter WHERE group_id = $1";
    assert_eq!(database.count(&stream, letters), 6 * rounds);
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_again_and_nothing_is_done_twice() {
    let stream = stream("pg-answer");
    let wire = Wire::to(Database::shared().address());
    let url = wire.through(&Database::shared().url);
    let mut traffic = Traffic::new(62, 40);
    traffic.send(&stream, 300);
    let mut fleet = fleet(&stream, 1, &[STORE, ("BALANCE_POSTGRES_URL", &url)]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    for _ in 0..5 {
        wire.set(Mode::LosingCommits(1));
        traffic.send(&stream, 100);
        eventually(SOON, || if wire.mode() == Mode::LosingCommits(0) { Ok(()) } else { Err("no commit".to_owned()) });
    }
    fleet.await_balances(&traffic.oracle, SOON);
    let worker = fleet.get(0);
    assert_eq!(worker.log().matches("commit outcome unknown").count(), 5);
    assert!(!worker.log().contains("restoring partitions again"), "{}", worker.log());
    assert_eq!(worker.count("messagesConsumed"), Ok(800));
}

#[test]
fn a_commit_that_the_old_session_has_not_ended_is_waited_for() {
    let (stream, database) = (stream_of("pg-waits", 1, &[]), with_tables("waits"));
    let wire = Wire::to(database.address());
    let url = wire.through(&database.url);
    let mut traffic = Traffic::new(63, 20);
    traffic.send(&stream, 100);
    let mut fleet = fleet(&stream, 1, &[STORE, ("BALANCE_POSTGRES_URL", &url)]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    // From here on a COMMIT waits for a lock that the test holds.
    database.run("SELECT pg_advisory_lock(7)");
    let other = database.again();
    other.run(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON balancefleet.part DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (NEW.next_offset > OLD.next_offset) EXECUTE FUNCTION public.wait()",
    );
    traffic.send(&stream, 100);
    eventually(SOON, || {
        let waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7 \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        if other.rows(waiting, &[]).is_empty() { Err("no COMMIT waits".to_owned()) } else { Ok(()) }
    });
    wire.cut();
    let worker = fleet.get(0);
    worker.await_log("commit outcome unknown");
    // In this time a worker that reads what was there before would have gone on from it.
    std::thread::sleep(Duration::from_secs(1));
    database.run("SELECT pg_advisory_unlock(7)");
    other.run("DROP TRIGGER wait ON balancefleet.part");
    traffic.send(&stream, 100);
    fleet.await_balances(&traffic.oracle, SOON);
    let worker = fleet.get(0);
    assert!(!worker.log().contains("restoring partitions again"), "{}", worker.log());
    assert_eq!(worker.count("messagesConsumed"), Ok(300));
}

#[test]
fn a_batch_of_a_worker_that_came_back_from_the_dead_writes_nothing() {
    let stream = stream("pg-zombie");
    let wire = Wire::to(Database::shared().address());
    let slow = wire.through(&Database::shared().url);
    let mut traffic = Traffic::new(64, 40);
    traffic.send(&stream, 600);
    let mut others = fleet(&stream, 2, &[STORE]);
    others.start(0);
    let zombie = {
        let mut fleet = fleet(&stream, 1, &[STORE, ("BALANCE_POSTGRES_URL", &slow)]);
        fleet.start(0);
        fleet.take(0)
    };
    eventually(SOON, || match (others.get(0).partitions()?.len(), zombie.partitions()?.len()) {
        (3, 3) => Ok(()),
        shares => Err(format!("{shares:?}")),
    });
    // Both work.
    traffic.send(&stream, 300);
    others.await_balances(&traffic.oracle, SOON);
    // Its next batch is on its way, but does not arrive before others have gone on.
    wire.set(Mode::Holding);
    traffic.send(&stream, 600);
    eventually(SOON, || if wire.is_holding() { Ok(()) } else { Err("no batch is on its way".to_owned()) });
    zombie.signal("STOP");
    others.await_shares(&[6]);
    traffic.send(&stream, 600);
    others.await_balances(&traffic.oracle, SOON);

    wire.set(Mode::Open);
    zombie.signal("CONT");
    zombie.await_log("another worker has gone on");
    eventually(SOON, || match zombie.partitions()?.len() {
        3 => Ok(()),
        share => Err(format!("{share} partitions")),
    });
    traffic.send(&stream, 300);
    others.await_balances(&traffic.oracle, SOON);
}

#[test]
fn the_claim_of_a_new_owner_alone_keeps_the_former_one_out() {
    let stream = stream_of("pg-fence", 2, &[]);
    let wire = Wire::to(Database::shared().address());
    let slow = wire.through(&Database::shared().url);
    // The new owner has claimed the partition long before it has done anything with it.
    let mut owner = worker(&stream, &[STORE, ("SIMULATED_WORK", "1s")]);
    owner.await_log("Partitions ASSIGNED: [0, 1]");
    let zombie = worker(&stream, &[STORE, ("BALANCE_POSTGRES_URL", &slow)]);
    eventually(SOON, || match (owner.partitions()?.len(), zombie.partitions()?) {
        (1, theirs) if theirs.len() == 1 => Ok(theirs[0]),
        shares => Err(format!("{shares:?}")),
    });
    let lost = zombie.partitions().unwrap()[0];
    eventually(SOON, || stream.is_committed());
    wire.set(Mode::Holding);
    stream.produce(lost, std::iter::repeat_n(deposit("A", "1.00", "EUR").as_str(), 5));
    eventually(SOON, || if wire.is_holding() { Ok(()) } else { Err("no batch is on its way".to_owned()) });
    zombie.signal("STOP");
    eventually(SOON, || match owner.json("/api/v1/partitions")?["count"].as_i64() {
        Some(2) if owner.log().contains(&format!("Partitions ASSIGNED: [{lost}]")) => Ok(()),
        count => Err(format!("{count:?}")),
    });
    let sql = "SELECT count(*) FROM balancefleet.part WHERE group_id = $1 AND owner = $2";
    let name = owner.metrics().unwrap()["consumerId"].as_str().unwrap().to_owned();
    eventually(SOON, || match Database::shared().rows(sql, &[&stream.group, &name])[0].get::<_, i64>(0) {
        2 => Ok(()),
        rows => Err(format!("{rows} rows are its own")),
    });
    wire.set(Mode::Open);
    zombie.signal("CONT");
    zombie.await_log("another worker has gone on");
    drop(zombie);
    eventually(SOON, || match owner.get("/api/Balance/balances/A")? {
        (200, body) if body.contains("\"transactionCount\":5") => Ok(()),
        (_, body) => Err(body),
    });
    assert!(!owner.log().contains("commit failed, will retry"), "{}", owner.log());
    assert_eq!(owner.stop().0.code(), Some(0));
}

#[test]
fn a_partition_of_a_later_generation_is_left_alone_until_nothing_was_heard_of_its_owner() {
    let stream = stream_of("pg-generations", 1, &[]);
    let mut traffic = Traffic::new(67, 10);
    super::folded(&stream, &mut traffic, &[STORE]);
    // As after a group that was deleted and recreated: it counts from 1.
    Database::shared().run(&format!(
        "UPDATE balancefleet.part SET generation = 1000, owner = 'a-ghost', touched = clock_timestamp() WHERE group_id = '{}'",
        stream.group
    ));
    let written = Instant::now();
    traffic.send(&stream, 100);
    let mut fleet = fleet(&stream, 1, &[STORE]);
    fleet.start(0);
    fleet.get(0).await_log("is a-ghost's since generation 1000");
    fleet.await_balances(&traffic.oracle, SOON);
    assert!(written.elapsed() >= Duration::from_secs(12), "two sessions of 6 s, and not {:?}", written.elapsed());
}

#[test]
fn a_partition_whose_row_somebody_holds_does_not_keep_the_others_waiting() {
    let stream = stream_of("pg-held", 3, &[]);
    let mut traffic = Traffic::new(69, 30);
    super::folded(&stream, &mut traffic, &[STORE]);
    let other = Database::shared();
    other.run(&format!(
        "BEGIN; SELECT FROM balancefleet.part WHERE group_id = '{}' AND partition = 0 FOR UPDATE",
        stream.group
    ));
    traffic.send(&stream, 300);
    let mut fleet = fleet(&stream, 1, &[STORE]);
    fleet.start(0);
    let ends = stream.ends();
    eventually(SOON, || {
        let committed = stream.committed();
        let stands =
            |partition: &i32| committed.get(partition).map(|(offset, _)| *offset) == ends.get(partition).copied();
        if [1, 2].iter().all(stands) { Ok(()) } else { Err(format!("{committed:?}, not {ends:?}")) }
    });
    other.run("ROLLBACK");
    fleet.await_balances(&traffic.oracle, SOON);
}

#[test]
fn a_worker_that_is_frozen_inside_a_transaction_holds_nobody_up_for_long() {
    let (stream, database) = (stream("pg-frozen"), with_tables("frozen"));
    database.run(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$",
    );
    let mut traffic = Traffic::new(65, 40);
    traffic.send(&stream, 600);
    let mut fleet = fleet(&stream, 2, &[STORE, ("BALANCE_POSTGRES_URL", &database.url)]);
    fleet.start_all(0..2);
    fleet.await_shares(&[3, 3]);
    fleet.await_balances(&traffic.oracle, SOON);
    database.run("SELECT pg_advisory_lock(7)");
    let other = database.again();
    other
        .run("CREATE TRIGGER wait BEFORE INSERT ON balancefleet.bal FOR EACH STATEMENT EXECUTE FUNCTION public.wait()");
    traffic.send(&stream, 600);
    let zombie = fleet.take(1);
    let name = zombie.metrics().unwrap()["consumerId"].as_str().unwrap().to_owned();
    eventually(SOON, || {
        let waiting = "SELECT FROM pg_stat_activity WHERE application_name = left($1, 63) AND wait_event_type = 'Lock'";
        if other.rows(waiting, &[&name]).is_empty() { Err("no batch waits".to_owned()) } else { Ok(()) }
    });
    zombie.signal("STOP");
    // Its session has the rows of its partitions locked and waits for a COMMIT that does not come.
    database.run("SELECT pg_advisory_unlock(7)");
    other.run("DROP TRIGGER wait ON balancefleet.bal");
    fleet.await_shares(&[6]);
    fleet.await_balances(&traffic.oracle, SOON);
    zombie.signal("CONT");
    zombie.await_log("Partitions LOST");
    fleet.put(1, zombie);
    fleet.await_shares(&[3, 3]);
    traffic.send(&stream, 300);
    fleet.await_balances(&traffic.oracle, SOON);
}

#[test]
fn a_worker_that_is_frozen_in_the_middle_of_sending_its_rows_holds_nobody_up() {
    let stream = stream("pg-frozen-copy");
    let wire = Wire::to(Database::shared().address());
    let slow = wire.through(&Database::shared().url);
    let mut traffic = Traffic::new(68, 12_000);
    traffic.send(&stream, 30_000);
    wire.set(Mode::HoldingCopies);
    let zombie = worker(&stream, &[STORE, ("BALANCE_POSTGRES_URL", &slow)]);
    eventually(SOON, || if wire.is_holding() { Ok(()) } else { Err("no rows are on their way".to_owned()) });
    zombie.signal("STOP");
    let mut fleet = fleet(&stream, 1, &[STORE]);
    fleet.start(0);
    fleet.await_shares(&[6]);
    // No limit of the server ends a session whose client is alive and says nothing more.
    fleet.await_balances(&traffic.oracle, SOON);
    wire.set(Mode::Open);
    zombie.signal("CONT");
    // Its rows are another worker's by then; after a long time it has lost its connection, too.
    zombie.await_log("commit failed, will retry");
    traffic.send(&stream, 300);
    fleet.await_balances(&traffic.oracle, SOON);
}

#[test]
fn a_database_that_is_away_at_the_start_and_in_the_middle_is_waited_for() {
    let stream = stream("pg-away");
    let wire = Wire::to(Database::shared().address());
    let url = wire.through(&Database::shared().url);
    let mut traffic = Traffic::new(66, 40);
    traffic.send(&stream, 600);
    wire.set(Mode::Refusing);
    let mut fleet = fleet(&stream, 1, &[STORE, ("BALANCE_POSTGRES_URL", &url)]);
    fleet.start(0);
    eventually(SOON, || match fleet.get(0).get("/readyz")? {
        (503, body) if body.contains("PostgreSQL at") => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
    wire.set(Mode::Open);
    fleet.await_balances(&traffic.oracle, SOON);

    wire.set(Mode::Refusing);
    wire.cut();
    traffic.send(&stream, 300);
    eventually(SOON, || match fleet.get(0).get("/api/Balance/balances")? {
        (503, body) if body.contains("database") => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
    assert_eq!(fleet.get(0).get("/livez").unwrap().0, 200);
    wire.set(Mode::Open);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.get(0).count("messagesConsumed"), Ok(900));
}
