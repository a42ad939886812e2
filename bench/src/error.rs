//! Why there is no figure.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use balancefleet_e2e::oracle::TopicError;
use balancefleet_e2e::traffic::SendError;
use balancefleet_e2e::verify::AnswerError;
use rdkafka::error::KafkaError;

use crate::subject::Subject;

/// What ends the whole run: a table with a hole nobody explains would be worse.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A program is missing, or the machine gives no process.
    #[error("{program} cannot be started: {source}; start by bench/run.sh, which builds what is measured")]
    Start { program: String, source: io::Error },
    /// A measured process is gone.
    #[error("{who} ended early; the end of its log {log}:\n{tail}", log = .log.display())]
    Ended { who: String, log: PathBuf, tail: String },
    /// Something does not come true.
    #[error("{what}: not within {patience:?}; last seen: {state}")]
    NotInTime { what: String, patience: Duration, state: String },
    /// A figure of a wrong result is none.
    #[error("{who} has {found}, not {expected}: its figures are worth nothing")]
    Wrong { who: String, found: String, expected: String },
    /// A peer said what is not of the protocol.
    #[error("{who} said {line:?}, which is none of the lines of bench/src/peer.rs")]
    Protocol { who: String, line: String },
    /// The figures of a process cannot be read.
    #[error("/proc tells nothing of {who}: {reason}")]
    Proc { who: String, reason: String },
    /// A worker answers otherwise than the contract says.
    #[error("the worker at {url} answers {status}: {body}")]
    Api { url: String, status: u16, body: String },
    /// Somebody asked for what makes no sense.
    #[error("{0} has no part in this scenario")]
    NoPart(Subject),
    /// The same, of builds.
    #[error("there is no former build to start; name it with --former")]
    NoFormer,
    /// The topic cannot be read.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The data cannot be written.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The list of balances cannot be read.
    #[error(transparent)]
    Balances(#[from] AnswerError),
    /// librdkafka's own words.
    #[error("kafka: {0}; is the broker of bench/run.sh still up?")]
    Kafka(#[from] KafkaError),
    /// A reader in batches.
    #[error(transparent)]
    Read(#[from] balancefleet_kafka::Error),
    /// No HTTP answer.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// Not the JSON that was expected.
    #[error("unexpected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A file, a thread, a pipe.
    #[error("{0}")]
    Io(#[from] io::Error),
}
