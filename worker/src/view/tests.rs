//! When a worker may answer, and when it may not.

use std::sync::Arc;

use super::*;
use crate::{
    config::StoreKind,
    domain::{ledger::Posting, money::Currency, rules::LedgerKind},
};

pub(super) fn view(session_timeout: Duration) -> View {
    let worker_info = WorkerInfo {
        consumer_id: "w".into(),
        group_id: "g".into(),
        topic: "t".into(),
        ledger: LedgerKind::Balances,
        store: StoreKind::Replay,
        started_at: jiff::Timestamp::UNIX_EPOCH,
    };
    View::new(worker_info, crate::domain::ledger_rules::tests::rules(&[], &[]), session_timeout)
}

/// A worker at work on partition 3.
fn at_work() -> (View, Arc<SharedPartition>) {
    let view = view(Duration::from_secs(10));
    let shared = Arc::new(SharedPartition::new(3, 1));
    {
        let mut state = shared.lock();
        let currency = Currency::parse("EUR").unwrap();
        let timestamp = jiff::Timestamp::UNIX_EPOCH;
        let posting = Posting { customer: "A".into(), currency, minor_units: 5, transaction_id: "T".into(), timestamp };
        state.ledger.fold(&posting, 0).unwrap();
        state.advance(0);
        state.phase = Phase::Active;
    }
    view.add_partition(3, shared.clone());
    view.set_status(Status::Consuming);
    view.set_ready();
    view.mark_alive();
    view.confirm_membership(Instant::now());
    (view, shared)
}

fn answers(view: &View) -> bool {
    let reads = view.customer(3, "A").is_some();
    assert_eq!(view.copy(3, |copy| copy.rows().collect::<Result<Vec<_>, _>>()).unwrap().is_some(), reads);
    assert_eq!(view.answerable().contains(&3), reads);
    reads
}

#[test]
fn a_member_at_work_answers_for_its_active_partitions() {
    let (view, shared) = at_work();
    assert!(answers(&view));
    for phase in [Phase::Restoring, Phase::Draining, Phase::Failed] {
        shared.lock().phase = phase;
        assert!(!answers(&view), "{phase:?}");
    }
}

#[test]
fn without_a_recent_proof_of_membership_nothing_is_answered() {
    let (view, _shared) = at_work();
    let long_ago = Instant::now().checked_sub(Duration::from_secs(11)).unwrap();
    view.confirm_membership(long_ago);
    assert!(!answers(&view));
    view.confirm_membership(Instant::now());
    assert!(answers(&view));
    view.lost_membership();
    assert!(!answers(&view));
}

#[test]
fn a_partition_that_has_left_is_not_answered_for() {
    let (view, _shared) = at_work();
    view.remove_partition(3);
    assert!(!answers(&view) && view.customer(0, "A").is_none());
}

#[test]
fn a_read_says_for_which_records_it_is_true() {
    let (view, _shared) = at_work();
    let balances = view.customer(3, "A").unwrap();
    assert_eq!((balances.next_offset, balances.generation, balances.rows.len()), (1, 1, 1));
    assert_eq!(balances.rows[0].amounts[0].to_string(), "0.05");
    assert!(view.customer(3, "B").unwrap().rows.is_empty());
}

#[test]
fn a_worker_stays_ready_while_it_restores_again_but_not_when_it_fails_or_stops() {
    let (view, shared) = at_work();
    assert!(view.readiness().ready);
    shared.lock().phase = Phase::Restoring;
    assert!(view.readiness().ready && view.readiness().restoring.len() == 1);
    shared.lock().phase = Phase::Failed;
    assert!(!view.readiness().ready);
    shared.lock().phase = Phase::Active;
    view.set_status(Status::Stopped);
    view.set_status(Status::Consuming);
    assert!(!view.readiness().ready, "a rebalance that was under way does not take the stop back");
}

#[test]
fn a_worker_that_has_not_joined_yet_is_alive_but_not_ready() {
    let view = view(Duration::from_secs(10));
    let unreachable = balancefleet_kafka::Error::Unreachable { detail: "refused".into() };
    view.set_waiting_for(Some(&unreachable.clone().into()));
    assert!(view.liveness() && !view.readiness().ready);
    assert_eq!(view.readiness().reason, Some(unreachable.to_string()));
}
