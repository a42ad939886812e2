//! A real Kubernetes from the outside, as a person sees it: `kubectl`, Kafka's own tools, the API of each worker.

mod consumer_groups;
mod group;
mod kubectl;
mod scenario;
mod wait;
mod worker;

pub use consumer_groups::{GroupRow, describe_group};
pub use group::{Group, Line};
pub use kubectl::{Kubectl, kill_process, process_ids};
pub use scenario::Scenario;
pub use wait::wait_until;
pub use worker::{Metrics, RebalanceEvent, Worker};

use std::time::Duration;

/// Kafka as the pods reach it.
pub const KAFKA_INSIDE: &str = "kafka.kafka.svc:9092";
/// The same broker's listener that wants a login.
pub const KAFKA_INSIDE_SASL: &str = "kafka.kafka.svc:9093";
/// Kafka as this machine reaches it.
pub const KAFKA_OUTSIDE: &str = "127.0.0.1:19092";

/// Why something could not be seen or done.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A command did not succeed.
    #[error("{command}: {output}")]
    Command {
        /// The command line.
        command: String,
        /// What it said.
        output: String,
    },
    /// A command could not be started.
    #[error("cannot start {command}: {source}; is it installed and in PATH?")]
    Start {
        /// The program.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// An answer was not the JSON that was expected.
    #[error("{what} is not what was expected: {source}")]
    Json {
        /// What was read.
        what: String,
        /// Why it could not be read.
        source: serde_json::Error,
    },
    /// Something did not come true in time.
    #[error("{what}: not within {patience:?}; last seen: {state}")]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How long.
        patience: Duration,
        /// What was seen instead.
        state: String,
    },
    /// An object lacks what it must have.
    #[error("{0}")]
    Unexpected(String),
    /// Traffic for the test could not be sent.
    #[error(transparent)]
    Traffic(#[from] crate::traffic::SendError),
}
