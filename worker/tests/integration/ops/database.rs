//! The same where the balances are in a database.

use std::time::{Duration, Instant};

use super::{
    DATABASE, POSTGRES, audit_beside_workers, audit_is_equal, await_no_members, rebuild_so_when_free, rebuild_when_free,
};
use crate::{
    failures::await_failure,
    harness::{Database, Mode, SOON, Stream, Traffic, Wire, eventually, folded, program, run, stream_of, worker},
};

/// How many rebuilds wait for the row of a partition, or for a balance.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND (query LIKE '%RETURNING epoch' OR \
                       query LIKE 'DELETE FROM balancefleet.bal %') AND datname = current_database() AND $1 <> ''";

#[test]
fn an_audit_of_a_database_beside_working_workers_finds_everything_equal() {
    audit_beside_workers("audit-pg", &[POSTGRES]);
}

#[test]
fn an_audit_of_a_database_names_what_differs_and_what_does_not_add_up() {
    let (stream, database) = (stream_of("audit-pg-torn", 2, &[]), Database::shared());
    let mut traffic = Traffic::new(44, 20);
    folded(&stream, &mut traffic, 600, &[POSTGRES]);
    audit_is_equal(&stream, &[POSTGRES]);
    let theirs = "WHERE (group_id, partition, customer) = (SELECT group_id, partition, min(customer) FROM balancefleet.bal \
                  WHERE group_id = $1 AND partition = 0 GROUP BY group_id, partition)";
    let change = format!("UPDATE balancefleet.bal SET minor_units = minor_units + 1 {theirs} RETURNING customer");
    let customer: String = database.rows(&change, &[&stream.group])[0].get(0);
    let (code, text) = run(&stream, &["audit"], &[POSTGRES]);
    assert!(code == Some(3) && text.contains("partition 0: NOT SOUND: ") && text.contains("1 DIFFERENCE ("), "{text}");
    assert!(text.contains(&format!("  {customer}: stored ")) && text.contains("1 of 2 partitions are equal"), "{text}");
    let rules = [POSTGRES, ("BALANCE_SIGNS", "Transfer=ignore")];
    let (code, text) = run(&stream, &["audit"], &rules);
    assert!(code == Some(3) && text.contains("0 of 2 partitions are equal"), "{text}");
    // Noted of a log that was cut off since: nobody could go on from there with it.
    database.rows("UPDATE balancefleet.part SET leader_epoch = 99 WHERE group_id = $1", &[&stream.group]);
    let text = rebuild_when_free(&stream, &[POSTGRES]);
    assert!(text.contains("PostgreSQL at 127.0.0.1") && text.contains("out of 600 records"), "{text}");
    audit_is_equal(&stream, &[POSTGRES]);
    folded(&stream, &mut traffic, 300, &[POSTGRES]);
}

#[test]
fn a_rebuild_of_a_database_changes_to_other_rules_and_to_a_topic_that_was_made_again() {
    let stream = stream_of("rebuild-pg-rules", 2, &[]);
    folded(&stream, &mut Traffic::new(49, 20), 600, &[POSTGRES]);
    let rules = [POSTGRES, ("BALANCE_SIGNS", "Transfer=ignore")];
    rebuild_when_free(&stream, &rules);
    audit_is_equal(&stream, &rules);
    await_failure(&worker(&stream, &[POSTGRES]), &[0, 1], "other signs");
    stream.delete();
    stream.make(&[]);
    let mut traffic = Traffic::new(50, 20);
    traffic.send(&stream, 900);
    let more_than_before = ["rebuild", "--yes", "--another-topic"];
    rebuild_so_when_free(&stream, &more_than_before, &[POSTGRES]);
    folded(&stream, &mut traffic, 10, &[POSTGRES]);
}

#[test]
fn a_rebuild_of_a_database_replaces_balances_that_nothing_is_known_of() {
    let (stream, database) = (stream_of("rebuild-pg-orphans", 1, &[]), Database::shared());
    let mut traffic = Traffic::new(51, 20);
    folded(&stream, &mut traffic, 600, &[POSTGRES]);
    database.rows("DELETE FROM balancefleet.part WHERE group_id = $1", &[&stream.group]);
    await_failure(&worker(&stream, &[POSTGRES]), &[0], "without any progress");
    // Also one of a customer that no record names.
    let made_up = "UPDATE balancefleet.bal SET customer = 'NOBODY' WHERE group_id = $1 AND customer = 'CUST-00001'";
    database.rows(made_up, &[&stream.group]);
    rebuild_when_free(&stream, &[POSTGRES]);
    audit_is_equal(&stream, &[POSTGRES]);
    folded(&stream, &mut traffic, 300, &[POSTGRES]);
    // Not even Kafka remembers the group.
    database.rows("DELETE FROM balancefleet.part WHERE group_id = $1", &[&stream.group]);
    stream.forget_group();
    let text = rebuild_when_free(&stream, &[POSTGRES]);
    assert!(text.contains("out of 900 records"), "{text}");
    audit_is_equal(&stream, &[POSTGRES]);
    folded(&stream, &mut traffic, 300, &[POSTGRES]);
}

#[test]
fn a_rebuild_of_a_database_changes_nothing_of_a_partition_that_somebody_goes_on_with() {
    let (stream, database) = (stream_of("rebuild-pg-beaten", 1, &[]), Database::shared());
    folded(&stream, &mut Traffic::new(52, 20), 600, &[POSTGRES]);
    let balances = "SELECT sum(minor_units * (1 + last_offset))::bigint FROM balancefleet.bal WHERE group_id = $1";
    let epoch = "SELECT epoch FROM balancefleet.part WHERE group_id = $1";
    let before = [balances, epoch].map(|sql| database.count(&stream, sql));
    database.run("BEGIN");
    let advanced = "UPDATE balancefleet.part SET next_offset = next_offset - 1 WHERE group_id = $1";
    database.rows(advanced, &[&stream.group]);
    let tool = std::thread::scope(|scope| {
        let tool =
            scope.spawn(|| run(&stream, &["rebuild", "--yes"], &[POSTGRES, ("BALANCE_SIGNS", "Transfer=ignore")]));
        await_rebuild_at_a_row(&Database::shared(), &stream);
        database.run("COMMIT");
        tool.join().unwrap()
    });
    assert!(tool.0 == Some(1) && tool.1.contains("somebody has worked on partition 0 meanwhile"), "{tool:?}");
    assert_eq!([balances, epoch].map(|sql| database.count(&stream, sql)), before);
}

/// Until a rebuild wants to change the row of a partition, which somebody else has locked.
#[track_caller]
fn await_rebuild_at_a_row(database: &Database, stream: &Stream) {
    eventually(SOON, || match database.count(stream, WAITING) {
        0 => Err("nobody waits for the row".to_owned()),
        _ => Ok(()),
    });
}

#[test]
fn a_rebuild_of_a_database_that_was_killed_leaves_each_partition_as_it_was_or_as_it_shall_be() {
    let (stream, database) = (stream_of("rebuild-pg-killed", 2, &[]), Database::own("rebuild_killed"));
    let url = database.url.as_str();
    let mut traffic = Traffic::new(54, 20);
    folded(&stream, &mut traffic, 600, &[POSTGRES, (DATABASE, url)]);
    let rules = [POSTGRES, (DATABASE, url), ("BALANCE_SIGNS", "Transfer=ignore")];
    // Before it has changed anything of the second partition, and in the middle.
    for table in ["part", "bal"] {
        await_no_members(&stream, &rules);
        database.run(&format!("BEGIN; SELECT FROM balancefleet.{table} WHERE partition = 1 FOR UPDATE"));
        let mut tool = program(&stream, &["rebuild", "--yes"], &rules).spawn().unwrap();
        await_rebuild_at_a_row(&database.again(), &stream);
        tool.kill().unwrap();
        tool.wait().unwrap();
        database.run("COMMIT");
        for (settings, of_other_rules) in [(&rules[..2], 0), (&rules[..], 1)] {
            let (code, text) = run(&stream, &["audit"], settings);
            let other = format!("partition {of_other_rules}: NOT SOUND: ");
            assert!(code == Some(3) && text.contains("1 of 2 partitions are equal") && text.contains(&other), "{text}");
        }
        rebuild_when_free(&stream, &rules);
        audit_is_equal(&stream, &rules);
        rebuild_when_free(&stream, &rules[..2]);
    }
    folded(&stream, &mut traffic, 300, &rules[..2]);
}

/// What a rebuild says that waits for the first partition's row until `meanwhile` is over.
#[track_caller]
fn rebuild_beside_a_lock(
    stream: &Stream,
    settings: &[(&str, &str)],
    database: &Database,
    meanwhile: impl FnOnce(),
) -> String {
    database.run("BEGIN; SELECT FROM balancefleet.part WHERE partition = 0 FOR UPDATE");
    let (code, text) = std::thread::scope(|scope| {
        let tool = scope.spawn(|| run(stream, &["rebuild", "--yes"], settings));
        await_rebuild_at_a_row(&database.again(), stream);
        meanwhile();
        database.run("COMMIT");
        tool.join().unwrap()
    });
    assert_eq!(code, Some(0), "{text}");
    text
}

#[test]
fn a_rebuild_says_how_far_it_is_and_how_long_it_will_take_unless_that_is_short() {
    let (stream, database) = (stream_of("rebuild-pg-slow", 2, &[]), Database::own("rebuild_slow"));
    let settings = [POSTGRES, (DATABASE, database.url.as_str())];
    folded(&stream, &mut Traffic::new(61, 20), 600, &settings);
    let text = rebuild_beside_a_lock(&stream, &settings, &database, || std::thread::sleep(Duration::from_secs(6)));
    let line = text.lines().find(|line| line.ends_with(" s left")).unwrap_or_else(|| panic!("{text}"));
    let written = line.strip_prefix("partition 0, writing ").and_then(|line| line.split_once(" customers: "));
    let left = written.and_then(|(_, line)| line.split_once(" of 600 records, about "));
    assert!(left.is_some_and(|(done, _)| (1..600).contains(&done.parse().unwrap())), "{text}");
    let began = Instant::now();
    let text = rebuild_when_free(&stream, &settings);
    assert!(!text.contains(" s left") || began.elapsed() > Duration::from_secs(5), "{text}");
}

/// It finds out what became of it, as a worker does.
#[test]
fn a_rebuild_of_a_database_that_never_heard_of_its_commit_goes_on() {
    let (stream, database) = (stream_of("rebuild-pg-answer", 2, &[]), Database::own("rebuild_answer"));
    let wire = Wire::to(database.address());
    let (url, through_wire) = (database.url.as_str(), wire.through(&database.url));
    let mut traffic = Traffic::new(55, 20);
    folded(&stream, &mut traffic, 600, &[POSTGRES, (DATABASE, url)]);
    let rules = [POSTGRES, (DATABASE, url), ("BALANCE_SIGNS", "Transfer=ignore")];
    let settings = [rules[0], (DATABASE, through_wire.as_str()), rules[2]];
    let text = rebuild_beside_a_lock(&stream, &settings, &database, || wire.set(Mode::LosingCommits(1)));
    assert!(text.contains("commit outcome unknown, resolving"), "{text}");
    assert_eq!(wire.mode(), Mode::LosingCommits(0));
    audit_is_equal(&stream, &rules);
    rebuild_when_free(&stream, &rules[..2]);
    folded(&stream, &mut traffic, 300, &rules[..2]);
}

/// Of whom nothing is known, all may be in records that are gone.
#[test]
fn a_rebuild_of_a_database_deletes_nothing_that_cannot_be_folded_again() {
    let (stream, database) = (stream_of("rebuild-pg-gone", 1, &[]), Database::shared());
    folded(&stream, &mut Traffic::new(53, 20), 600, &[POSTGRES]);
    let customers = "SELECT count(*) FROM balancefleet.bal WHERE group_id = $1";
    let before = database.count(&stream, customers);
    database.rows("DELETE FROM balancefleet.part WHERE group_id = $1", &[&stream.group]);
    stream.delete_records_before(0, 10);
    let (code, text) = run(&stream, &["rebuild", "--yes"], &[POSTGRES]);
    assert!(code == Some(1) && text.contains("partition 0 cannot be rebuilt") && text.contains("retention"), "{text}");
    assert_eq!(database.count(&stream, customers), before);
}
