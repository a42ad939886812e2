//! Checks periodically whether the input topic keeps every record, and updates the view.

use std::{sync::Arc, time::Duration};

use balancefleet_kafka::Admin;
use parking_lot::Mutex;

use crate::{
    cleanup_policy::{CleanupPolicy, look_up},
    config::Config,
    critical_thread,
    domain::rules::LedgerKind,
    view::View,
};

/// The interval between two checks.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) struct CleanupPolicyChecker {
    topic: String,
    admin: Admin,
    found: Mutex<Option<CleanupPolicy>>,
    view: Arc<View>,
}

impl CleanupPolicyChecker {
    /// Starts the thread; `None` for a ledger that never folds.
    pub(crate) fn start(config: &Config, admin: Admin, view: Arc<View>) -> std::io::Result<Option<Arc<Self>>> {
        if config.rules.ledger == LedgerKind::Count {
            return Ok(None);
        }
        let checker = Arc::new(Self { topic: config.topic.clone(), admin, found: Mutex::default(), view });
        let looking = checker.clone();
        critical_thread::start("input", move || {
            loop {
                looking.look();
                std::thread::sleep(EVERY);
            }
        })?;
        Ok(Some(checker))
    }

    /// The result of the last check; `None` if the brokers have never answered.
    pub(crate) fn now(&self) -> Option<CleanupPolicy> {
        let found = self.found.lock().clone();
        found.or_else(|| {
            self.look();
            self.found.lock().clone()
        })
    }

    fn look(&self) {
        match look_up(&self.admin, &self.topic) {
            Ok(policy) => self.note(policy),
            // The topic monitor checks more often, and reports unreachable brokers.
            Err(error) => tracing::debug!(%error, topic = self.topic, "the cleanup policy cannot be looked up now"),
        }
    }

    fn note(&self, policy: CleanupPolicy) {
        let mut found = self.found.lock();
        if found.as_ref() != Some(&policy) {
            match (&policy, policy.warning()) {
                (_, Some(warning)) => tracing::warn!(kind = "InputCompacted", "{warning}"),
                (CleanupPolicy::Unknown, _) => tracing::warn!("{}", CleanupPolicy::unknown(&self.topic)),
                _ if found.is_some() => tracing::info!(topic = self.topic, "the topic is not compacted (any more)"),
                _ => {}
            }
        }
        self.view.set_cleanup_policy(policy.clone());
        *found = Some(policy);
    }
}
