//! Where the progress of partitions is kept: the customers, and the offset below which they are right.
//!
//! A store has three tasks. On the restore thread, `plan` says what must be read before a partition can continue, and
//! `decide` (after a changelog was read) or `fetch` (for rows that only the store can read) turns that into a restored
//! partition. On the commit thread, `commit` makes progress durable. In between, the poll thread alone owns a
//! partition.
//!
//! # Adding a store
//! Implement [`Store`] in a module here, then touch these places, which know each store by name:
//!
//! | place | why |
//! |---|---|
//! | `config/effective.rs` | `StoreKind`: the name in the configuration |
//! | `config/settings.rs`, `config/validate.rs` | settings that the store needs or refuses |
//! | `poll.rs`, `PollLoop::new` | creates the store, and says whether bad records are kept as dead letters |
//! | `store/interface.rs` | [`RestorePlan`] and `restore.rs`, if it is restored in another way; [`Replace`] and [`Replaced`], for rebuilds |
//! | `partition_failure.rs` | why a partition of this store cannot be served, if for new reasons |
//! | `preflight.rs` | what must exist before the group is joined, and whether the group has progress |
//! | `ops/tools.rs`, `ops/rebuild.rs`, `ops/check.rs` | `balance-worker audit`, `rebuild` and `--check` (can this configuration work?) read or replace what is stored |
//! | `api/fleet/local.rs` | which rules must be equal before answers of workers are added |
//! | `run.rs`, `api/fleet/mod.rs` | of a database: reads for the API, and what `--check` prints |
//! | `crds/src`: `balances.rs`, `rules/stores.rs` | the field of the custom resource, and what about a store cannot change |
//! | `not_ready.rs` | why a store cannot be asked now |
//! | `operator/src/controller`: `build/environment.rs`, `validate/connection.rs` | the operator passes the settings on and checks them |
//!
//! `store/durable_states.rs` keeps what a store knows of its partitions between two commits. [`Count`] is a store of no
//! balances: it serves consumers that only count records (`LedgerKind::Count`), whatever `StoreKind` says.
//!
//! `store/schedules.rs` tests a store against random schedules of commits, moves and crashes: implement its
//! `SimulatedStore`.

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
    Changelog, ChangelogContents, NewestProgress, RecordEncoder, UnusableTopic, inspect, prepare as prepare_changelog,
};
pub(crate) use checksum::LedgerChecksum;
pub(crate) use count::Count;
pub(crate) use interface::{
    ApplyMode, Assignment, AssignmentNumber, Batch, BatchPart, CommitError, NoRestorePlan, OnProgress, Replace,
    Replaced, RestoreDecisions, RestoreError, RestorePlan, RestorePlans, Restored, Store,
};
pub(crate) use offsets::{Committed, Offsets, PartitionOffsets, offsets_of};
pub(crate) use postgres::{
    DatabaseReadError, DatabaseReader, Postgres, StoreInspector, has_progress as database_has_progress,
    prepare as prepare_postgres,
};
pub(crate) use replay::{Replay, plan as replay_plan};
pub(crate) use stored_partition::{StoredPartition, StoredProgress};
