//! One `BalanceConsumerGroup` in the cluster: what its status, its columns and its pods say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{ClusterError, Kubectl, Scenario, Worker, wait_until};

const PATIENCE: Duration = Duration::from_secs(135);

/// A line of `kubectl get`: column → value.
pub type Line = BTreeMap<String, String>;

/// An object that was applied.
#[derive(Clone, Debug)]
pub struct Group {
    kubectl: Kubectl,
    name: String,
}

impl Group {
    /// Applies the manifest.
    pub fn apply(scenario: &Scenario, manifest: &Value) -> Result<Self, ClusterError> {
        scenario.kubectl().apply(manifest)?;
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(Self { kubectl: scenario.kubectl().clone(), name })
    }

    /// Workers of that name without an object: no operator runs them.
    pub fn without_object(scenario: &Scenario, name: &str) -> Self {
        Self { kubectl: scenario.kubectl().clone(), name: name.to_owned() }
    }

    /// The whole object.
    pub fn object(&self) -> Result<Value, ClusterError> {
        self.kubectl.json(&["get", "bcg", &self.name])
    }

    /// Its status.
    pub fn status(&self) -> Result<Value, ClusterError> {
        Ok(self.object()?["status"].take())
    }

    /// A condition of its status.
    pub fn condition(&self, kind: &str) -> Result<Value, ClusterError> {
        let mut status = self.status()?;
        let conditions = status["conditions"].as_array_mut();
        let found =
            conditions.and_then(|all| all.iter_mut().find(|condition| condition["type"] == kind).map(Value::take));
        found.ok_or_else(|| ClusterError::Unexpected(format!("no condition {kind} in {status}")))
    }

    /// Waits for a condition of that status and reason; gives its message.
    pub fn wait_for_condition(&self, kind: &str, status: &str, reason: &str) -> Result<String, ClusterError> {
        wait_until(&format!("{}: {kind}={status} {reason}", self.name), PATIENCE, || {
            let condition = self.condition(kind)?;
            if condition["status"] == status && condition["reason"] == reason {
                return Ok(condition["message"].as_str().unwrap_or_default().to_owned());
            }
            Err(ClusterError::Unexpected(condition.to_string()))
        })
    }

    /// `kubectl scale bcg/NAME --replicas=N`.
    pub fn scale(&self, replicas: u32) -> Result<(), ClusterError> {
        self.kubectl.run(&["scale", &format!("bcg/{}", self.name), &format!("--replicas={replicas}")]).map(drop)
    }

    /// A merge patch.
    pub fn patch(&self, patch: &Value) -> Result<(), ClusterError> {
        self.kubectl.run(&["patch", "bcg", &self.name, "--type=merge", "--patch", &patch.to_string()]).map(drop)
    }

    /// The line of `kubectl get bcg -o wide`.
    pub fn columns(&self) -> Result<Line, ClusterError> {
        let table = self.kubectl.run(&["get", "bcg", &self.name, "--output=wide"])?;
        columns(&table).ok_or_else(|| ClusterError::Unexpected(format!("no table: {table}")))
    }

    /// Its worker pods that are not on their way out, as JSON.
    pub fn pods(&self) -> Result<Vec<Value>, ClusterError> {
        let selector = format!("--selector=balancefleet.io/group={}", self.name);
        let mut list = self.kubectl.json(&["get", "pods", &selector])?;
        let mut pods = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(pods)
    }

    /// Its workers, by the names of their pods.
    pub fn workers(&self) -> Result<Vec<Worker>, ClusterError> {
        let pods = self.pods()?;
        let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
        Ok(names.map(|name| Worker::new(&self.kubectl, name)).collect())
    }

    /// Waits until exactly so many workers share all partitions, as evenly as it can be; gives them with what each
    /// has. A worker that has just joined has nothing yet: an uneven moment is on the way to an even one.
    pub fn wait_for_assignment(
        &self,
        workers: usize,
        partitions: u32,
    ) -> Result<Vec<(Worker, Vec<u32>)>, ClusterError> {
        let what = format!("{workers} workers of {} share {partitions} partitions", self.name);
        wait_until(&what, PATIENCE, || {
            let assigned = self.assignment()?;
            let shares = assigned.iter().map(|(_, partitions)| partitions.len());
            let even = shares.clone().max().unwrap_or(0) <= shares.min().unwrap_or(0) + 1;
            let mut all: Vec<u32> = assigned.iter().flat_map(|(_, partitions)| partitions.iter().copied()).collect();
            all.sort_unstable();
            if assigned.len() == workers && even && all.into_iter().eq(0..partitions) {
                return Ok(assigned);
            }
            Err(ClusterError::Unexpected(format!("{assigned:?}")))
        })
    }

    /// What each worker itself says it has.
    pub fn assignment(&self) -> Result<Vec<(Worker, Vec<u32>)>, ClusterError> {
        let of = |worker: Worker| worker.metrics().map(|metrics| (worker, metrics.assigned_partitions));
        self.workers()?.into_iter().map(of).collect()
    }

    /// `GET` on the workers' Service, through the API server.
    pub fn get(&self, path: &str) -> Result<String, ClusterError> {
        let namespace = self.kubectl.namespace();
        self.kubectl.raw(&format!("/api/v1/namespaces/{namespace}/services/{}:8080/proxy{path}", self.name))
    }
}

/// A cell stands below its header; an unknown one is empty, so that words alone would not tell which is which.
fn columns(table: &str) -> Option<Line> {
    let mut lines = table.lines();
    let (header, values) = (lines.next()?, lines.next()?);
    let begins = |at: usize| !header[at..].starts_with(' ') && (at == 0 || header[..at].ends_with(' '));
    let starts: Vec<usize> = (0..header.len()).filter(|at| header.is_char_boundary(*at) && begins(*at)).collect();
    let cell = |line: &str, column: usize| {
        let end = starts.get(column + 1).copied().unwrap_or(line.len()).min(line.len());
        line.get(starts[column]..end).unwrap_or_default().trim().to_owned()
    };
    Some((0..starts.len()).map(|column| (cell(header, column), cell(values, column))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cell_does_not_shift_the_others() {
        let line = columns("NAME    LAG   BEHIND   SCALING\nfleet   600            Auto\n").unwrap();
        let expected = [("NAME", "fleet"), ("LAG", "600"), ("BEHIND", ""), ("SCALING", "Auto")];
        assert_eq!(line, expected.map(|(column, value)| (column.to_owned(), value.to_owned())).into());
    }
}
