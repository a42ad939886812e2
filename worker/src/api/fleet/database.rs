//! What the database says, where balances are kept in one: every partition of the group in one answer.

use std::sync::Arc;

use super::Wanted;
use super::local;
use super::memory::{Charge, Exceeded};
use super::merge::{Answer, Cover, Gathering};
use crate::api::refusal::Refusal;
use crate::store::{DatabaseReadError, DatabaseReader};
use crate::view::{Selection, View};

/// Every partition's rows for `wanted`. A partition that no worker has begun yet is missing.
pub(super) async fn gather(
    view: &View,
    database: &DatabaseReader,
    wanted: &Wanted,
    charge: &Arc<Charge>,
) -> Result<Cover, Refusal> {
    let (identity, partition_count) = local::ledger(view).ok_or(Refusal::TopicUnknown)?;
    let selection = match wanted {
        Wanted::All => Selection::All,
        Wanted::Customer(customer) => Selection::Customer(customer),
    };
    let mut exceeded = None;
    let mut may_take = |bytes| match charge.take(bytes) {
        Ok(()) => true,
        Err(error) => {
            exceeded = Some(error);
            false
        }
    };
    let read = database.read(&identity.topic_id, selection, &mut may_take).await;
    let partitions = read.map_err(|error| refusal(error, exceeded))?;
    let mut gathering = Gathering::new(identity.clone(), view.book().clone(), partition_count);
    gathering.add(Answer::own(identity, partition_count, partitions));
    gathering.take_cover().ok_or_else(|| Refusal::Incomplete { missing_partitions: gathering.missing() })
}

/// What a client reads names no host and no user; the log does.
fn refusal(error: DatabaseReadError, exceeded: Option<Exceeded>) -> Refusal {
    match error {
        DatabaseReadError::NoRoom => exceeded.unwrap_or(Exceeded::Together).into(),
        DatabaseReadError::Database(error) => {
            tracing::debug!(%error, "balances cannot be read from the database");
            Refusal::Database { kind: error.kind() }
        }
        unreadable @ DatabaseReadError::Unreadable(_) => {
            tracing::error!("{unreadable}");
            Refusal::Internal
        }
    }
}
