//! Workers of the first release beside workers of this one, as during an upgrade.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    currencies::{await_balances, leave, send},
    failures::{await_failure, failed},
    harness::{
        Database, SOON, Stream, Traffic, Worker, eventually, folded, former_worker, free_port, program, run, stream_of,
        with_each_keeping_store, worker,
    },
    ops::{audit_is_equal, rebuild_when_free},
};

with_each_keeping_store!(
    one_after_the_other_goes_on_until_a_newer_currency_is_held,
    both_answer_for_the_whole_fleet_until_a_newer_currency_is_held,
    a_currency_more_stops_nothing_over_a_ledger_of_the_first_release,
);

fn former(stream: &Stream, settings: &[(&str, &str)]) -> Worker {
    Worker::of(&former_worker(), stream, free_port(), settings)
}

fn one_after_the_other_goes_on_until_a_newer_currency_is_held(store: &str) {
    let settings = [("BALANCE_STORE", store)];
    for begins_with_former in [true, false] {
        let stream = stream_of("releases", 1, &[]);
        for turn in 1..=4_u64 {
            let is_former = begins_with_former == (turn % 2 == 1);
            send(&stream, 0, &[("1.00", "EUR")]);
            if is_former {
                // The one release does not know it, the other does.
                send(&stream, 0, &[("1.00", "HRK")]);
            }
            let mut one = if is_former { former(&stream, &settings) } else { worker(&stream, &settings) };
            await_balances(&stream, &one, &[("EUR", &format!("{turn}.00"))], turn);
            leave(&stream, &mut one);
        }
        send(&stream, 0, &[("7.00", "HRK")]);
        let held = [("EUR", "4.00"), ("HRK", "7.00")];
        let mut newer = worker(&stream, &settings);
        await_balances(&stream, &newer, &held, 5);
        leave(&stream, &mut newer);
        let mut older = former(&stream, &settings);
        await_failure(&older, &[0], "other signs, minor units or another ledger kind: set those again");
        older.stop();
        let mut newer = worker(&stream, &settings);
        await_balances(&stream, &newer, &held, 5);
        leave(&stream, &mut newer);
        let text = audit_is_equal(&stream, &settings);
        assert!(text.contains("2 of a currency that was unknown when they came"), "{text}");
    }
}

fn both_answer_for_the_whole_fleet_until_a_newer_currency_is_held(store: &str) {
    let stream = stream_of("releases-together", 2, &[]);
    let ports = [free_port(), free_port()];
    let peers = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let settings = [("BALANCE_STORE", store), ("WORKER_PEERS", peers.as_str())];
    for partition in 0..2 {
        send(&stream, partition, &[("1.00", "EUR")]);
    }
    let mut older = Worker::of(&former_worker(), &stream, ports[0], &settings);
    await_balances(&stream, &older, &[("EUR", "2.00")], 2);
    let mut newer = Worker::start(&stream, ports[1], &settings);
    let of_newer = eventually(SOON, || match newer.partitions()?[..] {
        [one] => Ok(one),
        ref other => Err(format!("{other:?}")),
    });
    for partition in 0..2 {
        send(&stream, partition, &[("1.00", "EUR"), ("1.00", "SEK")]);
    }
    for one in [&older, &newer] {
        await_balances(&stream, one, &[("EUR", "4.00"), ("SEK", "2.00")], 6);
    }
    send(&stream, of_newer, &[("1.00", "HRK")]);
    await_balances(&stream, &newer, &[("EUR", "4.00"), ("HRK", "1.00"), ("SEK", "2.00")], 7);
    eventually(SOON, || match older.get("/api/Balance/balances/A")? {
        (503, text) if text.contains(&format!(r#""missingPartitions":[{of_newer}]"#)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    leave(&stream, &mut newer);
    await_failure(&older, &[i64::from(of_newer)], "minor units");
    // The fleet goes forward.
    let newer = Worker::start(&stream, ports[1], &settings);
    older.stop();
    await_balances(&stream, &newer, &[("EUR", "4.00"), ("HRK", "1.00"), ("SEK", "2.00")], 7);
    audit_is_equal(&stream, &settings);
}

fn a_currency_more_stops_nothing_over_a_ledger_of_the_first_release(store: &str) {
    let stream = stream_of("releases-more", 1, &[]);
    let settings = |units| [("BALANCE_STORE", store), ("BALANCE_MINOR_UNITS", units)];
    send(&stream, 0, &[("1.00", "EUR"), ("1.000", "XYZ"), ("1.0", "XYW")]);
    let mut older = former(&stream, &settings("XYZ=3"));
    await_balances(&stream, &older, &[("EUR", "1.00"), ("XYZ", "1.000")], 2);
    leave(&stream, &mut older);
    for (units, is_right) in [("XYZ=3,EUR=3", false), ("XYZ=3,SEK=3", true), ("XYZ=3,XYW=1", true)] {
        let (code, text) = run(&stream, &["--check"], &settings(units));
        assert_eq!((code, text.contains("EUR with 2 decimals")), (Some(i32::from(!is_right)), !is_right), "{text}");
    }
    let mut wrong = worker(&stream, &settings("XYZ=3,EUR=3"));
    await_failure(&wrong, &[0], "the balances hold EUR with 2 decimals, and this worker counts it with 3");
    wrong.stop();
    let more = settings("XYZ=3,XYW=1");
    let mut newer = worker(&stream, &more);
    send(&stream, 0, &[("2.5", "XYW")]);
    await_balances(&stream, &newer, &[("EUR", "1.00"), ("XYW", "2.5"), ("XYZ", "1.000")], 3);
    leave(&stream, &mut newer);
    audit_is_equal(&stream, &more);
}

#[test]
fn tables_of_the_first_release_get_what_they_lack_and_stay_its_own() {
    let (stream, database) = (stream_of("releases-tables", 1, &[]), Database::own("releases_tables"));
    let settings = [("BALANCE_STORE", "postgres"), ("BALANCE_POSTGRES_URL", database.url.as_str())];
    for turn in 1..=4_u64 {
        send(&stream, 0, &[("1.00", "EUR")]);
        let mut one = if turn % 2 == 1 { former(&stream, &settings) } else { worker(&stream, &settings) };
        await_balances(&stream, &one, &[("EUR", &format!("{turn}.00"))], turn);
        leave(&stream, &mut one);
        if turn == 1 {
            // Tools look at the tables as they are.
            audit_is_equal(&stream, &settings);
            let (code, text) = run(&stream, &["--check"], &settings);
            assert_eq!(code, Some(0), "{text}");
            let finer = [settings[0], settings[1], ("BALANCE_MINOR_UNITS", "EUR=3")];
            let (code, text) = run(&stream, &["--check"], &finer);
            assert!(code == Some(1) && text.contains("EUR with 2 decimals"), "{text}");
        }
    }
    assert_eq!(database.rows("SELECT version FROM balancefleet.version", &[])[0].get::<_, i32>(0), 1);
    audit_is_equal(&stream, &settings);
}

/// What a release that does not know the column leaves in it when it rebuilds says nothing of what it has made.
#[test]
fn details_that_a_rebuild_of_the_first_release_has_left_count_no_more() {
    let (stream, database) = (stream_of("releases-rebuilt", 1, &[]), Database::own("releases_rebuilt"));
    let settings = [("BALANCE_STORE", "postgres"), ("BALANCE_POSTGRES_URL", database.url.as_str())];
    send(&stream, 0, &[("1.00", "EUR"); 5]);
    stream.delete_records_before(0, 3);
    let mut newer = worker(&stream, &settings);
    await_balances(&stream, &newer, &[("EUR", "2.00")], 2);
    leave(&stream, &mut newer);
    stream.delete();
    stream.make(&[]);
    send(&stream, 0, &[("1.00", "EUR"); 5]);
    let mut rebuild = program(&stream, &["rebuild", "--yes"], &settings);
    let rebuilt = tool_of(&former_worker(), &rebuild).output().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let mut newer = worker(&stream, &settings);
    await_balances(&stream, &newer, &[("EUR", "5.00")], 5);
    leave(&stream, &mut newer);
    let text = audit_is_equal(&stream, &settings);
    assert!(!text.contains("unknown"), "{text}");
    let output = rebuild.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    await_balances(&stream, &worker(&stream, &settings), &[("EUR", "5.00")], 5);
}

/// It goes through a changelog bit by bit, and what it leaves half done is nobody's balances.
#[test]
fn what_a_rebuild_of_the_first_release_has_left_half_done_is_refused_and_rebuilt() {
    const CUSTOMERS: u64 = 60_000;
    let stream = stream_of("releases-killed", 4, &[]);
    let log = format!("{}-log", stream.group);
    let settings = [("BALANCE_CHANGELOG_TOPIC", log.as_str())];
    let mut traffic = Traffic::new(48, CUSTOMERS);
    folded(&stream, &mut traffic, 2 * CUSTOMERS, &settings);
    let before = stream.end_of(&log, 0);
    let rebuild = program(&stream, &["rebuild", "--yes"], &settings);
    let mut tool = tool_of(&former_worker(), &rebuild).spawn().unwrap();
    // The first partition is being written, the others have nothing but the mark.
    stream.await_records(&log, 0, before + 100);
    tool.kill().unwrap();
    tool.wait().unwrap();
    let refusing = worker(&stream, &settings);
    eventually(SOON, || {
        let failed = failed(&refusing)?;
        let is_last =
            |(partition, reason): &(i64, String)| *partition == 3 && reason.contains("run it again to the end");
        if failed.iter().any(is_last) { Ok(()) } else { Err(format!("{failed:?}")) }
    });
    drop(refusing);
    let (code, text) = run(&stream, &["audit"], &settings);
    assert!(code == Some(3) && text.contains("being rebuilt"), "{text}");
    rebuild_when_free(&stream, &settings);
    folded(&stream, &mut traffic, 300, &settings);
}

/// The same call of another build.
fn tool_of(binary: &Path, of: &Command) -> Command {
    let mut tool = Command::new(binary);
    tool.args(of.get_args()).envs(of.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    tool
}
