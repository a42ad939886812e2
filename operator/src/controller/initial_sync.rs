//! Which watched namespaces have told all their objects once. Whether an object shares its consumer group with an older
//! one is known only after that.

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::watch;

use crate::error::{CALL_TIMEOUT, Error, Result};

/// A namespace that can be listed in part only must not stop the passes of all others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The namespaces that are still expected to tell.
pub(super) struct FirstLists {
    expected: watch::Sender<BTreeSet<String>>,
    patience: Duration,
}

impl Default for FirstLists {
    fn default() -> Self {
        Self { expected: watch::Sender::default(), patience: PATIENCE }
    }
}

impl FirstLists {
    /// Before anything is listed.
    pub(super) fn expect(&self, scopes: impl IntoIterator<Item = String>) {
        self.expected.send_modify(|expected| expected.extend(scopes));
    }

    /// It has told everything, or it is known that it will not for now.
    pub(super) fn heard(&self, scope: &str) {
        self.expected.send_modify(|expected| drop(expected.take(scope)));
    }

    /// Waits for the first list of a namespace. The others wait with it, but not for ever.
    pub(super) async fn hear<T>(&self, scope: &str, list: impl Future<Output = T>) -> T {
        tokio::pin!(list);
        let early = tokio::time::timeout(self.patience, &mut list).await;
        self.heard(scope);
        match early {
            Ok(listed) => listed,
            Err(_) => list.await,
        }
    }

    /// Waits until nothing is expected any more.
    ///
    /// # Errors
    /// When that takes too long for a pass; it is tried again.
    pub(super) async fn all(&self) -> Result<()> {
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
    async fn a_pass_waits_for_the_first_list_of_every_namespace() {
        let lists = FirstLists::default();
        lists.expect(["a".to_owned(), "b".to_owned()]);
        lists.hear("a", async {}).await;
        assert!(lists.all().now_or_never().is_none());
        lists.hear("b", async {}).await;
        assert!(lists.all().await.is_ok());
    }

    #[tokio::test]
    async fn a_namespace_that_never_tells_stops_the_others_for_a_while_only() {
        let lists = FirstLists { patience: Duration::from_millis(1), ..FirstLists::default() };
        lists.expect(["a".to_owned()]);
        let never = lists.hear("a", std::future::pending::<()>());
        tokio::select! {
            () = never => unreachable!("it never tells"),
            heard = lists.all() => assert!(heard.is_ok()),
        }
    }
}
