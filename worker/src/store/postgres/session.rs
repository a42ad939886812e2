//! The limits of a session, and whose rows it is about.

use std::{sync::Arc, time::Duration};

use crate::{config::Config, domain::ledger_rules::WorkerRules};

/// Of every session that writes. A worker that freezes between two statements of a transaction holds its rows for 5 s at
/// most; inside a statement that waits for its client no limit applies, hence none such comes after the rows are locked.
/// A worker whose host is gone answers no keepalive, and its session ends after 11 s.
pub(super) const SESSION: &str = "SET idle_in_transaction_session_timeout = '5s'; SET statement_timeout = '30s'; \
                                  SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
                                  SET lock_timeout = '10s'; SET client_min_messages = warning; \
                                  SET default_transaction_isolation = 'read committed'";

/// Of the one that claims: a partition whose row somebody else holds is asked for again, and meanwhile the others wait.
pub(super) const CLAIMING: &str = "SET lock_timeout = '2s'";

/// Longer than the session's own limits: the server answers first.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// Whose rows.
pub(super) struct LedgerKey {
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) worker_rules: Arc<WorkerRules>,
    /// This worker.
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
