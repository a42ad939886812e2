//! One worker as a process, and what it says over HTTP.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{SOON, Stream, eventually};

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    pub(crate) port: u16,
    log: tempfile::NamedTempFile,
}

/// Starts a worker on its own, at a free port.
pub(crate) fn worker(stream: &Stream, settings: &[(&str, &str)]) -> Worker {
    Worker::start(stream, free_port(), settings)
}

/// A port below those from which the kernel serves outgoing connections: one of them could have it before the worker.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(97).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(next % 9_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The worker of the first release.
#[track_caller]
pub(crate) fn former_worker() -> PathBuf {
    std::env::var_os("BALANCEFLEET_TEST_FORMER_WORKER").map(PathBuf::from).expect(
        "make integration sets BALANCEFLEET_TEST_FORMER_WORKER to the worker of the first release: \
         BALANCEFLEET_TEST_FORMER_WORKER=$(e2e/scripts/former-worker.sh)",
    )
}

impl Worker {
    pub(crate) fn start(stream: &Stream, port: u16, settings: &[(&str, &str)]) -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_balance-worker")), stream, port, settings)
    }

    /// With this program.
    pub(crate) fn of(program: &Path, stream: &Stream, port: u16, settings: &[(&str, &str)]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let output = || File::options().append(true).open(log.path()).unwrap();
        let mut command = Command::new(program);
        if settings.contains(&("BALANCE_STORE", "postgres")) {
            command.env("BALANCE_POSTGRES_URL", super::database_url());
        }
        let child = command
            .env("KAFKA_BOOTSTRAP_SERVERS", &stream.bootstrap)
            .env("KAFKA_TOPIC", &stream.topic)
            .env("KAFKA_GROUP_ID", &stream.group)
            .env("KAFKA_SESSION_TIMEOUT", "6s")
            .env("HTTP_ADDRESS", format!("127.0.0.1:{port}"))
            .env("LOG_FORMAT", "json")
            .envs(settings.iter().copied())
            .stdout(output())
            .stderr(output())
            .spawn()
            .unwrap();
        Self { child, port, log }
    }

    /// What is at `path`, with its status code.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String), String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer = reqwest::Client::new().get(url).timeout(Duration::from_secs(5)).send().await;
            let answer = answer.map_err(|error| error.to_string())?;
            let status = answer.status().as_u16();
            Ok((status, answer.text().await.map_err(|error| error.to_string())?))
        })
    }

    /// The JSON at `path`, if the answer is a 200.
    pub(crate) fn json(&self, path: &str) -> Result<Value, String> {
        match self.get(path)? {
            (200, body) => serde_json::from_str(&body).map_err(|error| error.to_string()),
            (status, body) => Err(format!("{path} answers {status}: {body}")),
        }
    }

    pub(crate) fn metrics(&self) -> Result<Value, String> {
        self.json("/api/Balance/metrics")
    }

    /// The partitions it has.
    pub(crate) fn partitions(&self) -> Result<Vec<i32>, String> {
        serde_json::from_value(self.metrics()?["assignedPartitions"].clone()).map_err(|error| error.to_string())
    }

    /// A count of `/api/Balance/metrics`.
    pub(crate) fn count(&self, name: &str) -> Result<u64, String> {
        self.metrics()?[name].as_u64().ok_or_else(|| format!("no {name}"))
    }

    #[track_caller]
    pub(crate) fn await_count(&self, name: &str, expected: u64) {
        eventually(SOON, || match self.count(name)? {
            count if count == expected => Ok(()),
            count => Err(format!("{name} is {count}, not {expected}")),
        });
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    #[track_caller]
    pub(crate) fn await_log(&self, text: &str) {
        eventually(SOON, || {
            if self.log().contains(text) { Ok(()) } else { Err(format!("no {text:?} in {}", self.log())) }
        });
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to stop; how it ended and how long that took.
    pub(crate) fn stop(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (status, asked.elapsed())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it ended by itself.
    #[track_caller]
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually(SOON, || child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- worker on port {}\n{}", self.port, self.log());
        }
    }
}
