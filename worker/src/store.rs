//! Where the progress of partitions is kept.
//!
//! A store answers three questions: what has to be read before a partition can go on (`plan`), what follows from it
//! (`decide` when it was read from a log, `fetch` when only the store can read it; all on the restore thread), and how is
//! what was done since then made durable (`commit`, on the commit thread). Between them, the poll thread alone owns a
//! partition.

mod changelog;
mod checksum;
mod count;
mod durable_states;
mod initial_offsets;
mod interface;
mod offsets;
mod postgres;
mod replay;
#[cfg(test)]
mod schedules;
mod stored_partition;

pub(crate) use changelog::{
    Changelog, ChangelogImage, NewestProgress, RowWriter, Unfit, inspect, prepare as prepare_changelog,
};
pub(crate) use checksum::LedgerChecksum;
pub(crate) use count::Count;
pub(crate) use interface::{
    ApplyMode, Assignment, AssignmentNumber, Batch, CommitError, Former, NoRestorePlan, Progress, Replace,
    RestoreDecisions, RestoreError, RestorePlan, RestorePlans, Restored, Store, Watch,
};
pub(crate) use offsets::{Committed, Offsets, Position, positions};
pub(crate) use postgres::{
    DatabaseReadError, DatabaseReader, Postgres, StoreInspector, has_progress as database_has_progress,
    prepare as prepare_postgres,
};
pub(crate) use replay::{Replay, plan as replay_plan};
pub(crate) use stored_partition::{StoredPartition, StoredProgress};
