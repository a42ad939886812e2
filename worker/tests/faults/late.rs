//! Messages of a transaction that arrive when the world has gone on.

use std::thread::sleep;
use std::time::Duration;

use balancefleet_e2e::brokers::Use;
use balancefleet_e2e::proxy::{Api, Direction, Held, Which};

use crate::harness::eventually;
use crate::leaving::Group;
use crate::scene::{SOON, Scene, commits_in_transactions};
use crate::traffic::Load;

/// A session so long that nobody is taken for dead, and transactions of half of it: a hand-over waits five seconds for
/// the last commit, and then goes on without.
const LONG: (&str, &str) = ("KAFKA_SESSION_TIMEOUT", "40s");

fn scene(name: &str) -> Scene {
    scene_with_session(name, LONG)
}

fn scene_with_session(name: &str, session: (&str, &str)) -> Scene {
    let mut scene = Scene::with(name, &[session], Load::default(), Use::Shared);
    scene.place_proxy(0);
    scene.start(0);
    scene.await_fresh();
    scene
}

/// Until the group has given something to the newcomer.
fn await_move(scene: &Scene) {
    eventually(
        SOON,
        || if scene.worker(1).partitions()?.is_empty() { Err("nothing moved".to_owned()) } else { Ok(()) },
    );
}

/// Holds the requests of an API from a transaction on that has news of every partition, also of those that are to move.
fn hold(scene: &Scene, api: Api) -> Held {
    let before = scene.proxy(0).hold(Api::EndTxn, Direction::Request, Which::Nth(1));
    before.wait_for(1, SOON).unwrap();
    // Meanwhile records come for all of them.
    sleep(Duration::from_millis(700));
    let held = scene.proxy(0).hold(api, Direction::Request, Which::Every);
    before.release();
    held.wait_for(1, SOON).unwrap();
    held
}

/// The end of a transaction is on its way while the partitions move: the next owner waits for it, for it may still
/// happen, and then it is part of what the next owner goes on from.
#[test]
fn a_transaction_that_ends_after_its_partition_has_moved_is_waited_for() {
    if !commits_in_transactions() {
        return;
    }
    let mut scene = scene("late-end");
    let held = hold(&scene, Api::EndTxn);
    scene.start(1);
    await_move(&scene);
    held.release();
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.finish();
}

/// It is stopped while it waits for that end: nothing more is waited for than at any other stop, and it is out of the
/// group long before its session would end, although the other one does not join again.
#[test]
fn a_worker_that_is_stopped_while_a_hand_over_waits_for_its_commit_leaves_in_time() {
    if !commits_in_transactions() {
        return;
    }
    let session = Duration::from_secs(60);
    let mut scene = scene_with_session("late-stop", ("KAFKA_SESSION_TIMEOUT", "60s"));
    let held = hold(&scene, Api::EndTxn);
    scene.start(1);
    eventually(SOON, || {
        let log = scene.worker(0).log();
        if log.contains("Partitions REVOKED") { Ok(()) } else { Err("nothing was revoked".to_owned()) }
    });
    scene.worker(1).signal("STOP");
    sleep(Duration::from_millis(500));
    let log = scene.stop(0);
    let took = Group::of(&scene.stream).await_absence("w0");
    assert!(took < session / 2, "out of the group after {took:?}: {log}");
    scene.worker(1).signal("CONT");
    held.release();
    scene.await_shares(&[1]);
    scene.await_fresh();
    scene.finish();
}

/// The same, and the next owner could hear that the transaction has ended before it gets the records.
#[test]
fn a_transaction_that_has_ended_is_read_before_its_partition_goes_on() {
    if !commits_in_transactions() {
        return;
    }
    let mut scene = scene("late-fetch");
    scene.place_proxy(1);
    let end = hold(&scene, Api::EndTxn);
    scene.start(1);
    await_move(&scene);
    // It has read what was committed before.
    sleep(Duration::from_secs(2));
    let records = scene.proxy(1).hold(Api::Fetch, Direction::Response, Which::Every);
    records.wait_for(1, SOON).unwrap();
    end.release();
    sleep(Duration::from_secs(3));
    records.release();
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.finish();
}

/// The records of a transaction are on their way while the partitions move, and arrive when the next owner has gone on.
#[test]
fn records_that_arrive_after_their_partition_has_moved_change_nothing() {
    if !commits_in_transactions() {
        return;
    }
    let mut scene = scene("late-records");
    let held = hold(&scene, Api::Produce);
    scene.start(1);
    // It has claimed what it got, and has gone on.
    eventually(SOON, || match scene.worker(1).count("messagesConsumed")? {
        0 => Err("the newcomer has processed nothing".to_owned()),
        _ => Ok(()),
    });
    // What arrives now is the last word: no later commit covers it up.
    scene.traffic.stop();
    sleep(Duration::from_secs(2));
    held.release();
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.finish();
}

/// The same, but they arrive as soon as the next owner knows how far it has to read: its restore can see nothing of
/// them.
#[test]
fn records_that_arrive_when_the_next_owner_has_begun_to_read_change_nothing() {
    if !commits_in_transactions() {
        return;
    }
    let mut scene = scene("late-restore");
    let held = hold(&scene, Api::Produce);
    scene.start(1);
    await_move(&scene);
    sleep(Duration::from_secs(2));
    held.release();
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.finish();
}

/// Accepted before the records are written, the offsets could become visible to a next owner that has not seen the
/// records.
#[test]
fn offsets_are_sent_only_when_the_records_are_acknowledged() {
    if !commits_in_transactions() {
        return;
    }
    let scene = scene("late-acknowledgement");
    let hold = |api, direction| scene.proxy(0).hold(api, direction, Which::Nth(1));
    // Everything of the transaction before is acknowledged by then, and its offsets were sent.
    let before = hold(Api::EndTxn, Direction::Request);
    before.wait_for(1, SOON).unwrap();
    let acknowledgement = hold(Api::Produce, Direction::Response);
    let offsets = hold(Api::TxnOffsetCommit, Direction::Request);
    before.release();
    acknowledgement.wait_for(1, SOON).unwrap();
    sleep(Duration::from_millis(700));
    assert_eq!(offsets.count(), 0);
    acknowledgement.release();
    offsets.wait_for(1, SOON).unwrap();
    offsets.release();
    scene.await_fresh();
    scene.finish();
}

/// The offsets of a transaction are on their way while the partitions move: the coordinator knows better.
#[test]
fn offsets_that_arrive_after_their_partition_has_moved_are_refused() {
    if !commits_in_transactions() {
        return;
    }
    let mut scene = scene("late-offsets");
    let held = hold(&scene, Api::TxnOffsetCommit);
    scene.start(1);
    await_move(&scene);
    held.release();
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.finish();
}

/// A transaction has ended, but its worker hears of it only when the partitions have gone to another one, which has
/// gone on with them, and have come back: what was true then is outdated.
#[test]
fn an_answer_that_arrives_when_its_partition_has_gone_and_come_back_is_outdated() {
    if !commits_in_transactions() {
        return;
    }
    // A worker waits half a session for the answer.
    let session = ("KAFKA_SESSION_TIMEOUT", "60s");
    let mut scene = Scene::with("late-answer", &[session], Load::default(), Use::Shared);
    scene.place_proxy(0);
    scene.start(0);
    scene.await_fresh();
    let held = scene.proxy(0).hold(Api::EndTxn, Direction::Response, Which::Every);
    held.wait_for(1, SOON).unwrap();
    scene.start(1);
    eventually(SOON, || match scene.worker(1).count("messagesConsumed")? {
        0 => Err("the newcomer has processed nothing".to_owned()),
        _ => Ok(()),
    });
    // What it has processed is committed when it ends.
    scene.stop(1);
    scene.await_shares(&[0]);
    // The partitions are read again, and wait for their claim to be written.
    sleep(Duration::from_secs(3));
    assert!(!scene.worker(0).log().contains("commit outcome unknown"), "{}", scene.worker(0).log());
    held.release();
    scene.await_fresh();
    scene.finish();
}

/// The client has sent the end of a transaction a second time and begun the next one when the first arrives: it must
/// not end that one, half-written as it is.
#[test]
fn an_end_that_arrives_in_the_next_transaction_does_not_end_that() {
    if !commits_in_transactions() {
        return;
    }
    let mut scene = scene("next-transaction");
    for dies in [false, true] {
        let proxy = scene.proxy(0);
        let late = proxy.hold(Api::EndTxn, Direction::Request, Which::Nth(1));
        late.wait_for(1, SOON).unwrap();
        // Records are written, offsets are not.
        let next = proxy.hold(Api::TxnOffsetCommit, Direction::Request, Which::Nth(1));
        proxy.cut();
        next.wait_for(1, SOON).unwrap();
        late.release();
        sleep(Duration::from_millis(500));
        if dies {
            // Before another commit of its own covers it up.
            scene.kill(0);
        }
        next.discard();
        if !dies {
            scene.await_fresh();
        }
    }
    scene.start(1);
    scene.await_shares(&[1]);
    scene.await_fresh();
    scene.finish();
}
