//! The initial cache sync of all watched namespaces. Only after it is it known whether an object shares its consumer
//! group with an older one.

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::watch;

use crate::error::{CALL_TIMEOUT, Error, Result};

/// How long the other namespaces wait for one that cannot be listed completely.
const PATIENCE: Duration = Duration::from_secs(30);

/// The scopes whose first lists are not complete yet.
pub(super) struct InitialSync {
    expected: watch::Sender<BTreeSet<String>>,
    patience: Duration,
}

impl Default for InitialSync {
    fn default() -> Self {
        Self { expected: watch::Sender::default(), patience: PATIENCE }
    }
}

impl InitialSync {
    /// Adds scopes to wait for; called before anything is listed.
    pub(super) fn expect_scopes(&self, scopes: impl IntoIterator<Item = String>) {
        self.expected.send_modify(|expected| expected.extend(scopes));
    }

    /// Records that the scope is synced, or that the others must not wait for it any longer.
    pub(super) fn mark_synced(&self, scope: &str) {
        self.expected.send_modify(|expected| drop(expected.take(scope)));
    }

    /// Waits for the first lists of a scope. The other scopes wait for them too, but for a limited time.
    pub(super) async fn wait_for_scope<T>(&self, scope: &str, list: impl Future<Output = T>) -> T {
        tokio::pin!(list);
        let early = tokio::time::timeout(self.patience, &mut list).await;
        self.mark_synced(scope);
        match early {
            Ok(listed) => listed,
            Err(_) => list.await,
        }
    }

    /// Waits until every scope is synced.
    ///
    /// # Errors
    /// When that takes too long for a reconcile; it is retried.
    pub(super) async fn wait_all(&self) -> Result<()> {
        let mut expected = self.expected.subscribe();
        let all = expected.wait_for(BTreeSet::is_empty);
        match tokio::time::timeout(CALL_TIMEOUT, all).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::CacheNotReady),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_reconcile_waits_for_the_first_list_of_every_namespace() {
        let sync = InitialSync::default();
        sync.expect_scopes(["a".to_owned(), "b".to_owned()]);
        sync.wait_for_scope("a", async {}).await;
        assert!(sync.wait_all().now_or_never().is_none());
        sync.wait_for_scope("b", async {}).await;
        assert!(sync.wait_all().await.is_ok());
    }

    #[tokio::test]
    async fn a_namespace_that_never_syncs_stops_the_others_for_a_while_only() {
        let sync = InitialSync { patience: Duration::from_millis(1), ..InitialSync::default() };
        sync.expect_scopes(["a".to_owned()]);
        let never = sync.wait_for_scope("a", std::future::pending::<()>());
        tokio::select! {
            () = never => unreachable!("it never syncs"),
            synced = sync.wait_all() => assert!(synced.is_ok()),
        }
    }
}
