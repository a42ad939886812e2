//! The three brokers of `e2e/kafka/with-brokers.sh`, which a test ends, freezes and starts again one by one.

use std::process::Command;

use parking_lot::{Mutex, MutexGuard};

/// They are one test's at a time.
static TAKEN: Mutex<()> = Mutex::new(());

/// Why the brokers are not as the test wants them.
#[derive(Debug, thiserror::Error)]
pub enum BrokersError {
    /// They were not started.
    #[error(
        "BALANCEFLEET_TEST_KAFKA_CLUSTER is not set; run the test in e2e/kafka/with-brokers.sh, or `make integration`"
    )]
    Missing,
    /// The script did not succeed.
    #[error("e2e/kafka/brokers.sh {command}: {output}")]
    Command {
        /// Its arguments.
        command: String,
        /// What it said.
        output: String,
    },
    /// The script could not be started.
    #[error("cannot start e2e/kafka/brokers.sh: {0}")]
    Start(#[from] std::io::Error),
}

/// All brokers, alone in this process; they run again when this is dropped.
pub struct Brokers {
    bootstrap: String,
    _taken: MutexGuard<'static, ()>,
}

impl Brokers {
    /// Waits until no other test has them.
    pub fn take() -> Result<Self, BrokersError> {
        let bootstrap = std::env::var("BALANCEFLEET_TEST_KAFKA_CLUSTER").map_err(|_| BrokersError::Missing)?;
        Ok(Self { bootstrap, _taken: TAKEN.lock() })
    }

    /// The addresses of all, by number from 1.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Has a broker leave in order: its leaderships move at once.
    pub fn stop(&self, broker: i32) -> Result<(), BrokersError> {
        control(&["stop", &broker.to_string()])
    }

    /// `kill -9`: its leaderships move when its session has ended.
    pub fn kill(&self, broker: i32) -> Result<(), BrokersError> {
        control(&["kill", &broker.to_string()])
    }

    /// Starts a broker again, and waits until it has joined the others.
    pub fn start(&self, broker: i32) -> Result<(), BrokersError> {
        control(&["start", &broker.to_string()])
    }

    /// Halts a broker; its connections stay open.
    pub fn freeze(&self, broker: i32) -> Result<(), BrokersError> {
        control(&["freeze", &broker.to_string()])
    }

    /// Has a frozen broker go on.
    pub fn thaw(&self, broker: i32) -> Result<(), BrokersError> {
        control(&["thaw", &broker.to_string()])
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        // The next test fails by itself if this does.
        let _ = control(&["start"]);
    }
}

/// The folder is in the environment.
fn control(arguments: &[&str]) -> Result<(), BrokersError> {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/brokers.sh")).args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(BrokersError::Command { command: arguments.join(" "), output: said })
}
