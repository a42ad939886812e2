//! The plain values a [`View`](super::View) hands out.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;

use crate::{
    config::StoreKind,
    domain::{id::Id, money::Amount, rules::LedgerKind},
};

/// Who this worker is; fixed at start.
#[derive(Clone, Debug)]
pub(crate) struct WorkerInfo {
    /// `balance-worker-<host>-<8 hex>`, also the client id.
    pub(crate) consumer_id: String,
    pub(crate) group_id: String,
    pub(crate) topic: String,
    pub(crate) ledger: LedgerKind,
    pub(crate) store: StoreKind,
    pub(crate) started_at: Timestamp,
}

/// Counts since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Records processed, bad ones included, restored ones not.
    pub(crate) messages_consumed: u64,
    pub(crate) balance_updates: u64,
    pub(crate) processing_errors: u64,
    /// Records that arrived again below the next offset and were skipped.
    pub(crate) duplicates: u64,
    /// Jumps of the offset: transaction markers and the like.
    pub(crate) gaps: u64,
    /// Assigned, Revoked and Lost events.
    pub(crate) rebalances: u64,
    /// Time of the last of them.
    pub(crate) last_rebalance_at: Option<Timestamp>,
    pub(crate) last_message_at: Option<Timestamp>,
    /// Microseconds the poll thread spent on records, simulated work included.
    pub(crate) busy_micros: u64,
    /// Commits the group coordinator accepted.
    pub(crate) commits: u64,
    /// Commits that were refused or whose outcome is unknown.
    pub(crate) commit_failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Phase {
    /// Its ledger is being read again.
    Restoring,
    /// Records are applied and balances served.
    Active,
    /// Its last commit runs before it leaves.
    Draining,
    /// Assigned, but no longer processed: see the reason.
    Failed,
}

/// The progress of a restore: offsets of the log that is read, or rows of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestoreProgress {
    pub(crate) start: i64,
    pub(crate) current: i64,
    /// The restore is done here.
    pub(crate) target: i64,
    /// Time left at the present pace, once that is known.
    pub(crate) eta: Option<Duration>,
}

impl RestoreProgress {
    /// After `took`.
    pub(crate) fn new(start: i64, current: i64, target: i64, took: Duration) -> Self {
        let eta = || {
            let done = u32::try_from(current - start).ok().filter(|done| *done > 0)?;
            Some((took / done).saturating_mul(u32::try_from(target - current).ok()?))
        };
        Self { start, current, target, eta: eta() }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct PartitionInfo {
    pub(crate) partition: i32,
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    /// The next offset to process; `None` until it is known.
    pub(crate) next_offset: Option<i64>,
    /// The last offset processed since the assignment.
    pub(crate) last_offset: Option<i64>,
    /// The offset the group has committed, as far as this worker knows.
    pub(crate) committed_offset: Option<i64>,
    pub(crate) customers: usize,
    /// While restoring, once the work is known.
    pub(crate) restore: Option<RestoreProgress>,
    /// What blocks the restore or, while the partition is active, the next records.
    pub(crate) blocked_by: Option<String>,
    /// Why it failed, in a sentence that says what to do.
    pub(crate) failure: Option<String>,
}

/// The kind of a rebalance event, in the words of the .NET consumer that this worker replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum EventType {
    Assigned,
    /// Partitions were asked for and given.
    Revoked,
    /// Partitions were taken away.
    Lost,
}

#[derive(Clone, Debug)]
pub(crate) struct RebalanceEvent {
    pub(crate) timestamp: Timestamp,
    pub(crate) event_type: EventType,
    /// To which partitions, sorted.
    pub(crate) partitions: Vec<i32>,
    /// One sentence for people.
    pub(crate) details: String,
    /// The group's generation, -1 when it is not a member.
    pub(crate) generation: i32,
    /// Revoked: how long the commit before it took.
    pub(crate) commit: Option<Duration>,
    /// Assigned: how long until the last of the partitions was active again.
    pub(crate) restore: Option<Duration>,
    /// Assigned: how many records were read to restore them. Revoked: how many were processed since they came.
    pub(crate) records: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection<'a> {
    All,
    /// One customer, if there.
    Customer(&'a str),
}

/// Balances of one partition, true for the records below `next_offset`.
#[derive(Clone, Debug)]
pub(crate) struct PartitionBalances {
    pub(crate) partition: i32,
    pub(crate) generation: i32,
    /// Records below this are in the balances.
    pub(crate) next_offset: i64,
    /// The customers, in no order.
    pub(crate) rows: Vec<BalanceRow>,
}

/// What one partition knows of one customer.
///
/// As in the ledger, usual ids and a single currency lie in here: a list of rows is one piece of memory, which goes
/// back to the system as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BalanceRow {
    pub(crate) customer: Id,
    /// Balance per currency, ordered by code; never empty.
    pub(crate) amounts: Amounts,
    pub(crate) count: u64,
    /// Id of the partition's last transaction of this customer.
    pub(crate) last_transaction_id: Id,
    pub(crate) last_updated: Timestamp,
    pub(crate) last_offset: i64,
    pub(crate) partition: i32,
}

pub(crate) type Amounts = SmallVec<[Amount; 1]>;

impl BalanceRow {
    /// Bytes that a row takes at least.
    pub(crate) const LEAST_BYTES: usize = size_of::<Self>();
    /// What the allocator keeps beside each piece of memory.
    const ALLOCATION: usize = 16;

    /// Bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let spilled = self.amounts.spilled();
        let amounts = if spilled { self.amounts.capacity() * size_of::<Amount>() + Self::ALLOCATION } else { 0 };
        Self::LEAST_BYTES + self.customer.heap_bytes() + self.last_transaction_id.heap_bytes() + amounts
    }
}

/// Whether the worker may get traffic, and what it is working on.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    /// True once the group was joined and the first assignment restored; false again only on stopping or a failed
    /// partition.
    pub(crate) ready: bool,
    /// Why it is not ready, or what it waits for, as a sentence for users.
    pub(crate) reason: Option<String>,
    pub(crate) restoring: Vec<PartitionInfo>,
    pub(crate) failed: Vec<PartitionInfo>,
}
