//! Our own subject: a `balance-worker` process, and what it says over HTTP.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::BenchError;
use crate::http::Http;
use crate::process::Process;
use crate::subject::{Build, Ours, Store};

/// How often a worker is asked how far it is: each answer costs it about 0.1 ms.
const EVERY: Duration = Duration::from_millis(20);
const METRICS: &str = "/api/Balance/metrics";
/// Longer than anything here takes, a crashed member's session included.
const PATIENCE: Duration = Duration::from_secs(120);

/// How workers are started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    /// The binary that it is held against.
    pub(crate) former: Option<PathBuf>,
    pub(crate) brokers: String,
    pub(crate) postgres: Option<String>,
    pub(crate) logs: PathBuf,
}

/// What one worker is to do.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Also the name of its log.
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) ours: Ours,
}

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) port: u16,
    pub(crate) http: Http,
}

/// What `/api/Balance/metrics` says, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metrics {
    pub(crate) messages_consumed: u64,
    pub(crate) assigned_partitions: Vec<i32>,
    /// The last record processed of each.
    pub(crate) partition_offsets: BTreeMap<i32, i64>,
    pub(crate) rebalancing_history: Vec<Event>,
}

/// A rebalance event.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) event_type: String,
    pub(crate) restore_millis: Option<u64>,
}

/// What `/readyz` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    ready: bool,
    assigned_partitions: usize,
    restoring: Vec<serde_json::Value>,
}

impl Launch {
    /// Starts one worker alone.
    pub(crate) fn start(&self, task: &Task) -> Result<Worker, BenchError> {
        self.start_at(task, free_port()?, &[])
    }

    /// Starts one at that port that knows the others.
    pub(crate) fn start_at(&self, task: &Task, port: u16, peers: &[u16]) -> Result<Worker, BenchError> {
        let program = match task.ours.build {
            Build::Current => &self.program,
            Build::Former => self.former.as_ref().ok_or(BenchError::NoFormer)?,
        };
        let mut command = Command::new(program);
        command
            .env("BALANCE_STORE", task.ours.store.name())
            .env("BALANCE_CHANGELOG_TOPIC", changelog_of(&task.group))
            .env("KAFKA_BOOTSTRAP_SERVERS", &self.brokers)
            .env("KAFKA_TOPIC", &task.topic)
            .env("KAFKA_GROUP_ID", &task.group)
            .env("HTTP_ADDRESS", format!("127.0.0.1:{port}"))
            .env("LOG_FORMAT", "json");
        if let Some(url) = self.postgres.as_ref().filter(|_| task.ours.store == Store::Postgres) {
            // The server of the benchmarks has a certificate of its own, which no authority has signed.
            command.env("BALANCE_POSTGRES_URL", format!("{url}?sslmode=disable"));
        }
        if !peers.is_empty() {
            let peers: Vec<_> = peers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
            command.env("WORKER_PEERS", peers.join(","));
        }
        let process = Process::start(&task.name, &mut command, &self.logs)?;
        Ok(Worker { process, port, http: Http::new(port)? })
    }
}

/// The topic into which the workers of a group write their ledger.
pub(crate) fn changelog_of(group: &str) -> String {
    format!("{group}-changelog")
}

/// A port nobody listens at now.
pub(crate) fn free_port() -> Result<u16, BenchError> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Worker {
    pub(crate) fn metrics(&self) -> Result<Metrics, BenchError> {
        self.http.json(METRICS)
    }

    /// Asks until the metrics are as wanted.
    pub(crate) fn await_metrics(
        &mut self,
        what: &str,
        wanted: impl Fn(&Metrics) -> bool,
    ) -> Result<Metrics, BenchError> {
        self.await_answer(METRICS, what, wanted)
    }

    /// Waits until so many partitions are assigned and none of them is being restored.
    pub(crate) fn await_active(&mut self, partitions: usize) -> Result<(), BenchError> {
        let is_active =
            |state: &Readiness| state.ready && state.assigned_partitions == partitions && state.restoring.is_empty();
        self.await_answer("/readyz", &format!("{partitions} active partitions"), is_active).map(|_| ())
    }

    fn await_answer<T: DeserializeOwned + Debug>(
        &mut self,
        path: &str,
        what: &str,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<T, BenchError> {
        let began = Instant::now();
        loop {
            let seen = self.http.json(path);
            if let Ok(answer) = &seen
                && wanted(answer)
            {
                return seen;
            }
            self.process.must_run()?;
            if began.elapsed() > PATIENCE {
                let what = format!("{what} of {}", self.process.name);
                return Err(BenchError::NotInTime { what, patience: PATIENCE, state: format!("{seen:?}") });
            }
            thread::sleep(EVERY);
        }
    }
}
