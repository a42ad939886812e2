//! One worker pod's REST API, reached through the API server.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ClusterError, Kubectl};
use crate::verify::{AnswerError, Balances};

/// A worker pod.
#[derive(Clone)]
pub struct Worker {
    kubectl: Kubectl,
    pod: String,
}

/// `GET /api/Balance/metrics`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the names are the contract's own
pub struct Metrics {
    pub consumer_id: String,
    pub group_id: String,
    pub status: String,
    pub assigned_partitions: Vec<u32>,
    pub messages_consumed: u64,
    pub balance_updates: u64,
    pub processing_errors: u64,
    pub partition_offsets: BTreeMap<i32, i64>,
}

/// An entry of `GET /api/Balance/rebalancing-history`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the names are the contract's own
pub struct RebalanceEvent {
    pub timestamp: jiff::Timestamp,
    pub event_type: String,
    pub partitions: Vec<u32>,
}

#[derive(Deserialize)]
struct History {
    history: Vec<RebalanceEvent>,
}

impl Worker {
    pub(super) fn new(kubectl: &Kubectl, pod: &str) -> Self {
        Self { kubectl: kubectl.clone(), pod: pod.to_owned() }
    }

    /// The pod's name.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// The pod as JSON.
    pub fn object(&self) -> Result<serde_json::Value, ClusterError> {
        self.kubectl.json(&["get", "pod", &self.pod])
    }

    /// `GET` on this very worker.
    pub fn get(&self, path: &str) -> Result<String, ClusterError> {
        let namespace = self.kubectl.namespace();
        self.kubectl.raw(&format!("/api/v1/namespaces/{namespace}/pods/{}:8080/proxy{path}", self.pod))
    }

    /// The answer as that shape.
    pub fn get_as<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClusterError> {
        let text = self.get(path)?;
        serde_json::from_str(&text)
            .map_err(|source| ClusterError::Json { what: format!("{path} of {}: {text}", self.pod), source })
    }

    /// Its counters.
    pub fn metrics(&self) -> Result<Metrics, ClusterError> {
        self.get_as("/api/Balance/metrics")
    }

    /// Its rebalance events, newest first.
    pub fn history(&self) -> Result<Vec<RebalanceEvent>, ClusterError> {
        self.get_as::<History>("/api/Balance/rebalancing-history").map(|answer| answer.history)
    }

    /// The balances of the whole fleet, as this worker says.
    pub fn balances(&self) -> Result<Balances, AnswerError> {
        let text = self.get("/api/Balance/balances").map_err(|error| AnswerError::Other(error.to_string()))?;
        Balances::parse(&text)
    }

    /// What it has logged.
    pub fn logs(&self) -> Result<String, ClusterError> {
        self.kubectl.run(&["logs", &self.pod])
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.pod)
    }
}
