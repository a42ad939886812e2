//! Who the peers are: configured `host:port` entries in, socket addresses out.
//!
//! A name may list many addresses (a headless Service) and the list changes with every scaling, so it is looked up
//! again and again; but not for every request of a busy second, and never for longer than a request can wait.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// More addresses than partitions make no sense in one group; the bound keeps a wrong DNS entry harmless.
const MAX_ADDRESSES: usize = 1024;
/// A lookup that takes longer counts as failed: the request it is for has little more time than that.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(100);
/// A failed lookup is not tried again before this: each may hold a thread for as long as the resolver tries.
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);

/// How old a known list of addresses may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Up to a second: for the first attempt of a read.
    Recent,
    /// As of now, give or take the pause between two rounds: the recent list did not lead to every partition.
    Now,
}

/// The configured peers and the addresses they last had.
#[derive(Debug)]
pub(super) struct Directory {
    peers: Vec<String>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: BTreeSet<SocketAddr>,
    looked_up: Option<Instant>,
    failed: Option<Instant>,
}

impl Directory {
    pub(super) fn new(peers: Vec<String>) -> Self {
        Self { peers, known: Mutex::new(Known::default()) }
    }

    /// The peers' addresses. When a lookup fails those known before stay in use: a dead one does not answer, and an
    /// outage of DNS alone must not stop the reads.
    pub(super) async fn addresses(&self, freshness: Freshness) -> BTreeSet<SocketAddr> {
        // Held across the lookup on purpose: requests that come meanwhile share its result.
        let mut known = self.known.lock().await;
        if known.needs_lookup(freshness) {
            known.look_up(&self.peers).await;
        }
        known.addresses.clone()
    }
}

impl Known {
    fn needs_lookup(&self, freshness: Freshness) -> bool {
        let within = |moment: Option<Instant>, age: Duration| moment.is_some_and(|moment| moment.elapsed() < age);
        let max_age = match freshness {
            Freshness::Recent => Duration::from_secs(1),
            Freshness::Now => Duration::from_millis(50),
        };
        !within(self.looked_up, max_age) && !within(self.failed, LOOKUP_PAUSE)
    }

    async fn look_up(&mut self, peers: &[String]) {
        let lookups = futures::future::join_all(peers.iter().map(|peer| look_up(peer))).await;
        let failed = lookups.iter().any(Option::is_none);
        let found: BTreeSet<_> = lookups.into_iter().flatten().flatten().take(MAX_ADDRESSES).collect();
        if failed {
            self.failed = Some(Instant::now());
            self.addresses.extend(found);
            // Without this the list would grow for as long as one of several names fails.
            while self.addresses.len() > MAX_ADDRESSES {
                self.addresses.pop_first();
            }
        } else {
            self.failed = None;
            self.looked_up = Some(Instant::now());
            self.addresses = found;
        }
    }
}

async fn look_up(peer: &str) -> Option<Vec<SocketAddr>> {
    match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host(peer)).await {
        Ok(Ok(addresses)) => Some(addresses.collect()),
        Ok(Err(error)) => {
            tracing::warn!(peer, %error, "the name of the peers cannot be resolved");
            None
        }
        Err(_) => {
            tracing::warn!(peer, "the name of the peers was not resolved in time");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn several_entries_become_one_list_without_repeats() {
        let directory = Directory::new(["127.0.0.1:81", "127.0.0.2:82", "127.0.0.1:81"].map(String::from).to_vec());
        let addresses = directory.addresses(Freshness::Recent).await;
        assert_eq!(addresses.into_iter().map(|a| a.to_string()).collect::<Vec<_>>(), ["127.0.0.1:81", "127.0.0.2:82"]);
    }

    #[tokio::test]
    async fn without_peers_there_is_nobody_to_ask() {
        assert!(Directory::new(Vec::new()).addresses(Freshness::Now).await.is_empty());
    }

    #[tokio::test]
    async fn a_name_that_fails_leaves_the_other_entries_usable() {
        let directory = Directory::new(vec!["not a name".into(), "127.0.0.1:81".into()]);
        assert_eq!(directory.addresses(Freshness::Now).await.len(), 1);
    }

    #[test]
    fn a_failed_lookup_is_not_repeated_at_once() {
        let mut known = Known::default();
        assert!(known.needs_lookup(Freshness::Recent));
        known.failed = Some(Instant::now());
        assert!(!known.needs_lookup(Freshness::Now));
    }

    #[test]
    fn a_recent_list_serves_first_attempts_only() {
        let known = Known { looked_up: Some(Instant::now() - Duration::from_millis(100)), ..Known::default() };
        assert!(!known.needs_lookup(Freshness::Recent));
        assert!(known.needs_lookup(Freshness::Now));
    }
}
