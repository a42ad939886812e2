//! Where the progress of partitions is kept.
//!
//! A store answers three questions: what has to be read before a partition can go on (`plan`), what follows from it
//! (`settle` when it was read from a log, `fetch` when only the store can read it; all on the restore thread), and how is
//! what was done since then made durable (`commit`, on the commit thread). Between them, the poll thread alone owns a
//! partition.

mod beginning;
mod changelog;
mod count;
mod examined;
mod interface;
mod offsets;
mod postgres;
mod replay;
#[cfg(test)]
mod schedules;
mod seal;

pub(crate) use changelog::{
    Changelog, Loaded, NewestProgress, Rewriter, RowWriter, Target, Unfit, examine, prepare as prepare_changelog,
};
pub(crate) use count::Count;
pub(crate) use examined::{Examined, ToldStanding};
pub(crate) use interface::{
    Assignment, Batch, CommitError, Epoch, Folding, Obstacle, Plan, Plans, Progress, Restored, Settled, Store,
    Unsettled, Watch,
};
pub(crate) use offsets::{Committed, Offsets, Position, positions};
pub(crate) use postgres::{
    Examiner, Postgres, ReadError as DatabaseReadError, Reader as DatabaseReader, Replacer,
    has_progress as database_has_progress, prepare as prepare_postgres,
};
pub(crate) use replay::{Replay, plan as replay_plan};
pub(crate) use seal::Seal;
