//! Every kind of request, its answer lost once and late once: at a worker's start, and while it works.

use std::time::Duration;

use balancefleet_e2e::brokers::Use;
use balancefleet_e2e::proxy::{Api, Fault, Which};

use crate::harness::eventually;
use crate::scene::{Scene, commits_in_transactions};
use crate::traffic::Load;

/// The client gives an answer up after a minute at the latest.
const GIVEN_UP: Duration = Duration::from_secs(180);
const LATE: Duration = Duration::from_secs(2);

/// The requests of a transaction.
const OF_TRANSACTIONS: [Api; 6] = [
    Api::InitProducerId,
    Api::AddPartitionsToTxn,
    Api::AddOffsetsToTxn,
    Api::Produce,
    Api::TxnOffsetCommit,
    Api::EndTxn,
];

fn is_sent(api: Api) -> bool {
    !OF_TRANSACTIONS.contains(&api) || commits_in_transactions()
}

fn starting(name: &str, api: Api) {
    if !is_sent(api) {
        return;
    }
    let mut scene = Scene::new(name);
    scene.start(0);
    scene.await_fresh();
    let proxy = scene.place_proxy(1);
    let lost = proxy.drop_response(api, Which::Nth(1));
    let late = proxy.delay_response(api, Which::Nth(2), LATE);
    scene.start(1);
    lost.wait_for(1, GIVEN_UP).unwrap();
    scene.await_fresh_within(GIVEN_UP);
    late.wait_for(1, GIVEN_UP).unwrap();
    scene.await_shares(&[0, 1]);
    scene.await_fresh_within(GIVEN_UP);
    scene.finish();
}

fn working(name: &str, api: Api) {
    if !is_sent(api) {
        return;
    }
    let mut scene = Scene::new(name);
    scene.start(0);
    scene.place_proxy(1);
    scene.start(1);
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    let late = scene.proxy(1).delay_response(api, Which::Nth(2), LATE);
    late.wait_for(1, GIVEN_UP).unwrap();
    scene.await_fresh_within(GIVEN_UP);
    let lost = scene.proxy(1).drop_response(api, Which::Nth(2));
    lost.wait_for(1, GIVEN_UP).unwrap();
    scene.await_fresh_within(GIVEN_UP);
    scene.await_shares(&[0, 1]);
    scene.finish();
}

macro_rules! tests {
    ($how:ident: $($test:ident = $api:ident),+ $(,)?) => {
        $(#[test] fn $test() { $how(concat!("lost-", stringify!($test)), Api::$api); })+
    };
}

tests!(starting:
    a_worker_starts_although_metadata_is_lost_and_late = Metadata,
    a_worker_starts_although_a_coordinator_is_lost_and_late = FindCoordinator,
    a_worker_starts_although_joining_is_lost_and_late = JoinGroup,
    a_worker_starts_although_its_assignment_is_lost_and_late = SyncGroup,
    a_worker_starts_although_ends_of_logs_are_lost_and_late = ListOffsets,
    a_worker_starts_although_committed_offsets_are_lost_and_late = OffsetFetch,
    a_worker_starts_although_its_producer_id_is_lost_and_late = InitProducerId,
    a_worker_starts_although_records_to_restore_are_lost_and_late = Fetch,
);

tests!(working:
    a_worker_goes_on_when_records_are_lost_and_late = Fetch,
    a_worker_goes_on_when_a_heartbeat_is_lost_and_late = Heartbeat,
    a_worker_goes_on_when_a_transaction_s_partitions_are_lost_and_late = AddPartitionsToTxn,
    a_worker_goes_on_when_a_transaction_s_group_is_lost_and_late = AddOffsetsToTxn,
    a_worker_goes_on_when_acknowledgements_are_lost_and_late = Produce,
    a_worker_goes_on_when_offsets_are_lost_and_late = TxnOffsetCommit,
    a_worker_goes_on_when_the_end_of_a_transaction_is_lost_and_late = EndTxn,
);

/// A request is in doubt after a second: with nothing but that, a commit would never come to its end.
#[test]
fn a_worker_goes_on_while_every_answer_to_a_commit_takes_longer_than_a_second() {
    if !commits_in_transactions() {
        return;
    }
    let session = [("KAFKA_SESSION_TIMEOUT", "20s")];
    let mut scene = Scene::with("slow", &session, Load::default(), Use::Shared);
    scene.place_proxy(0);
    scene.start(0);
    scene.await_fresh();
    let slow = OF_TRANSACTIONS.map(|api| scene.proxy(0).delay_response(api, Which::Every, Duration::from_millis(1300)));
    slow[0].wait_for(1, GIVEN_UP).unwrap();
    // Commits, not readers' answers, which a worker gives only while its last commit is young.
    let before = scene.stream.committed();
    eventually(GIVEN_UP, || {
        let now = scene.stream.committed();
        let has_moved = now.len() == 6 && now.iter().all(|(partition, offset)| before.get(partition) < Some(offset));
        if has_moved { Ok(()) } else { Err(format!("{now:?} was {before:?}")) }
    });
    slow.into_iter().for_each(Fault::lift);
    scene.await_fresh();
    scene.finish();
}
