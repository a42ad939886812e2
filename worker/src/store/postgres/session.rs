//! The timeouts of a session, and the key of the rows that it works on.

use std::{sync::Arc, time::Duration};

use crate::{config::Config, domain::ledger_rules::WorkerRules};

/// The settings of every session that writes. A worker that freezes between two statements of a transaction holds its
/// rows for at most 5 s. No timeout applies inside a statement that waits for its client, so none follows after rows
/// are locked. A worker whose host is gone answers no keepalive, and its session ends after 11 s.
pub(super) const SESSION: &str = "SET idle_in_transaction_session_timeout = '5s'; SET statement_timeout = '30s'; \
                                  SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
                                  SET lock_timeout = '10s'; SET client_min_messages = warning; \
                                  SET default_transaction_isolation = 'read committed'";

/// The setting of the session that claims. While it waits for a locked row, other partitions wait, so it gives up soon
/// and claims again.
pub(super) const CLAIMING: &str = "SET lock_timeout = '2s'";

/// Longer than the session's own timeouts, so that the server answers first.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// The group and topic whose rows a session works on, and who writes them by which rules.
pub(super) struct LedgerKey {
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) worker_rules: Arc<WorkerRules>,
    /// This worker's consumer id.
    pub(super) owner: String,
}

impl LedgerKey {
    pub(super) fn of(config: &Config, worker_rules: Arc<WorkerRules>) -> Self {
        Self {
            group: config.group_id.clone(),
            topic: config.topic.clone(),
            worker_rules,
            owner: config.consumer_id.clone(),
        }
    }
}
