//! The three brokers of `e2e/kafka/with-brokers.sh`, which a test ends, freezes and starts again one by one.

use std::process::Command;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Who disturbs them has them alone.
static TAKEN: RwLock<()> = RwLock::new(());

/// What a test wants of the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// That they work; other tests use them at the same time.
    Shared,
    /// To end and start them.
    Alone,
}

enum Taken {
    Shared(#[allow(dead_code, reason = "held, not read")] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "held, not read")] RwLockWriteGuard<'static, ()>),
}

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

/// All brokers. Whoever has had them alone leaves them running.
pub struct Brokers {
    bootstrap: String,
    taken: Taken,
}

impl Brokers {
    /// Waits until no other test of this process has them in a way that does not go with this one.
    pub fn take(using: Use) -> Result<Self, BrokersError> {
        let bootstrap = std::env::var("BALANCEFLEET_TEST_KAFKA_CLUSTER").map_err(|_| BrokersError::Missing)?;
        let taken = match using {
            Use::Shared => Taken::Shared(TAKEN.read()),
            Use::Alone => Taken::Alone(TAKEN.write()),
        };
        Ok(Self { bootstrap, taken })
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
        if let Taken::Alone(_) = self.taken {
            // The next test fails by itself if this does.
            let _ = control(&["start"]);
        }
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
