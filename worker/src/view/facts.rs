//! The plain values a [`View`](super::View) hands out.

use std::time::Duration;

use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;

use crate::{money::Amount, rules::LedgerKind, store::StoreKind};

/// Who this worker is; fixed at start.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `balance-worker-<host>-<8 hex>`, also the client id.
    pub consumer_id: String,
    /// The consumer group.
    pub group_id: String,
    /// The input topic.
    pub topic: String,
    /// What is kept of the records.
    pub ledger: LedgerKind,
    /// Where progress is kept.
    pub store: StoreKind,
    /// When the process started.
    pub started_at: Timestamp,
}

/// Counts since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records processed, bad ones included, restored ones not.
    pub messages_consumed: u64,
    /// Records that were applied to the ledger.
    pub balance_updates: u64,
    /// Records that could not be applied.
    pub processing_errors: u64,
    /// Records that arrived again below the next offset and were skipped.
    pub skipped: u64,
    /// Jumps of the offset: transaction markers and the like.
    pub gaps: u64,
    /// Assigned, Revoked and Lost events.
    pub rebalances: u64,
    /// Time of the last of them.
    pub last_rebalance_at: Option<Timestamp>,
    /// When the last record was processed.
    pub last_message_at: Option<Timestamp>,
    /// Microseconds the poll thread spent on records, simulated work included.
    pub busy_micros: u64,
    /// Commits the group coordinator accepted.
    pub commits: u64,
    /// Commits that were refused or whose outcome is unknown.
    pub commit_failures: u64,
}

/// Where an assigned partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// Its ledger is being read again.
    Restoring,
    /// Records are applied and balances served.
    Active,
    /// Its last commit runs before it leaves.
    Draining,
    /// Kept, but not processed: see the reason.
    Failed,
}

/// How far a restore has come: offsets of the log that is read, or rows of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreProgress {
    /// First offset to read.
    pub start: i64,
    /// Next offset to read.
    pub current: i64,
    /// The restore is done here.
    pub target: i64,
    /// Time left at the present pace, once that is known.
    pub eta: Option<Duration>,
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

/// One assigned partition.
#[derive(Clone, Debug)]
pub struct PartitionInfo {
    /// Its number.
    pub partition: i32,
    /// Where it stands.
    pub phase: Phase,
    /// The group's generation at its assignment.
    pub generation: i32,
    /// The next offset to process; `None` until it is known.
    pub next_offset: Option<i64>,
    /// The last offset processed since the assignment.
    pub last_offset: Option<i64>,
    /// The offset the group has committed, as far as this worker knows.
    pub committed_offset: Option<i64>,
    /// Customers in its ledger.
    pub customers: usize,
    /// While restoring, once the work is known.
    pub restore: Option<RestoreProgress>,
    /// What keeps the restore from coming on, if anything does.
    pub held_up: Option<String>,
    /// Why it failed, in a sentence that says what to do.
    pub failure: Option<String>,
}

/// The kind of a rebalance event, in the labs' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum EventType {
    /// Partitions came.
    Assigned,
    /// Partitions were asked for and given.
    Revoked,
    /// Partitions were taken away.
    Lost,
}

/// One event of the rebalancing history.
#[derive(Clone, Debug)]
pub struct RebalanceEvent {
    /// When it happened.
    pub timestamp: Timestamp,
    /// What happened.
    pub event_type: EventType,
    /// To which partitions, sorted.
    pub partitions: Vec<i32>,
    /// One sentence for people.
    pub details: String,
    /// The group's generation, -1 when it is not a member.
    pub generation: i32,
    /// Revoked: how long the commit before it took.
    pub commit: Option<Duration>,
    /// Assigned: how long until the last of the partitions was active again.
    pub restore: Option<Duration>,
    /// Assigned: how many records were read to restore them. Revoked: how many were processed since they came.
    pub records: Option<u64>,
}

/// The input topic as the brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// Kafka's id of the topic: another one means another topic of the same name.
    pub topic_id: String,
    /// How many partitions it has.
    pub partition_count: i32,
}

/// Which customers to read.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// Every customer.
    All,
    /// One customer, if there.
    Customer(&'a str),
}

/// Balances of one partition, true for the records below `next_offset`.
#[derive(Clone, Debug)]
pub struct PartitionBalances {
    /// Its number.
    pub partition: i32,
    /// The group's generation at its assignment.
    pub generation: i32,
    /// Records below this are in the balances.
    pub next_offset: i64,
    /// The customers, in no order.
    pub rows: Vec<BalanceRow>,
}

/// What one partition knows of one customer.
///
/// As in the ledger, usual ids and a single currency lie in here: a list of rows is one piece of memory, which goes back to
/// the system as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// Customer id.
    pub customer: CompactString,
    /// Balance per currency, ordered by code; never empty.
    pub amounts: Amounts,
    /// Transactions applied.
    pub count: u64,
    /// Id of the partition's last transaction of this customer.
    pub last_transaction_id: CompactString,
    /// Time of that transaction.
    pub last_updated: Timestamp,
    /// Its offset.
    pub last_offset: i64,
    /// The partition itself.
    pub partition: i32,
}

/// One per currency.
pub type Amounts = SmallVec<[Amount; 1]>;

impl BalanceRow {
    /// Bytes that a row takes at least.
    pub const LEAST_BYTES: usize = size_of::<Self>();
    /// What the allocator keeps beside each piece of memory.
    const ALLOCATION: usize = 16;

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        let text = |text: &CompactString| if text.is_heap_allocated() { text.capacity() + Self::ALLOCATION } else { 0 };
        let spilled = self.amounts.spilled();
        let amounts = if spilled { self.amounts.capacity() * size_of::<Amount>() + Self::ALLOCATION } else { 0 };
        Self::LEAST_BYTES + text(&self.customer) + text(&self.last_transaction_id) + amounts
    }
}

/// Whether the worker may get traffic, and what it is busy with.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// True once the group was joined and the first assignment restored; false again only on stopping or a failed partition.
    pub ready: bool,
    /// Why it is not ready, or what it is doing meanwhile; for people.
    pub reason: Option<String>,
    /// Partitions that are being restored.
    pub restoring: Vec<PartitionInfo>,
    /// Partitions that failed.
    pub failed: Vec<PartitionInfo>,
}
