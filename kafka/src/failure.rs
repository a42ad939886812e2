//! From librdkafka's codes to our errors: in go a failed answer and what is known about the client, out comes the
//! [`Error`] that says what is really wrong.

use std::time::Duration;

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::Error;

/// A failure as librdkafka hands it out. Positive codes come from a broker, negative ones from the client itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Failure {
    /// No answer came in time, not even librdkafka's own.
    pub(crate) fn timed_out() -> Self {
        Self { code: Code::RD_KAFKA_RESP_ERR__TIMED_OUT as i32, text: String::from("no answer in time") }
    }

    /// The broker that should have answered for this part of the question did not.
    pub(crate) fn unanswered() -> Self {
        Self { code: Code::RD_KAFKA_RESP_ERR__TRANSPORT as i32, text: String::from("its leader gave no answer") }
    }

    /// Whether a broker said this, so that one was certainly reached.
    pub(crate) const fn is_brokers(&self) -> bool {
        self.code > 0
    }

    pub(crate) const fn is(&self, code: Code) -> bool {
        self.code == code as i32
    }
}

/// What is known about the client when a call has ended.
#[derive(Debug)]
pub(crate) struct Circumstances {
    /// Why no broker answers, if none did since the trouble began.
    pub(crate) trouble: Option<Error>,
    /// Whether any broker ever described the cluster.
    pub(crate) met_a_broker: bool,
    /// The last line about a failed connection.
    pub(crate) last_failure_log: Option<String>,
    /// How long the call was allowed to take.
    pub(crate) timeout: Duration,
}

impl Circumstances {
    /// The error that `failure` is, under these circumstances; `what` was asked for.
    pub(crate) fn error(&self, what: &str, failure: Failure) -> Error {
        let detail = failure.text;
        let what = what.to_owned();
        let Ok(code) = Code::try_from(failure.code) else {
            return Error::Other { what, detail };
        };
        match code {
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED => {
                Error::Authentication { detail }
            }
            Code::RD_KAFKA_RESP_ERR__SSL => Error::Tls { detail },
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED => Error::Authorization { what, detail },
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID
            | Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
            | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION => Error::UnknownTopic { what },
            Code::RD_KAFKA_RESP_ERR__INVALID_ARG | Code::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID => {
                Error::Invalid { detail }
            }
            code if is_no_answer(code) => self.no_answer(what, code, detail),
            code if is_on_the_move(code) => Error::Transient { what, detail },
            _ => Error::Other { what, detail },
        }
    }

    fn no_answer(&self, what: String, code: Code, detail: String) -> Error {
        if let Some(trouble) = &self.trouble {
            return trouble.clone();
        }
        if !self.met_a_broker {
            // A connection that is neither accepted nor refused leaves no error behind for many seconds.
            return Error::Unreachable { detail: self.last_failure_log.clone().unwrap_or(detail) };
        }
        match code {
            Code::RD_KAFKA_RESP_ERR__TIMED_OUT | Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE => {
                Error::Timeout { what, timeout: self.timeout, detail }
            }
            _ => Error::Transient { what, detail },
        }
    }
}

/// The client's own codes for "nobody answered": what they mean depends on the circumstances.
const fn is_no_answer(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR__TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
            | Code::RD_KAFKA_RESP_ERR__TRANSPORT
            | Code::RD_KAFKA_RESP_ERR__RESOLVE
            | Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
            | Code::RD_KAFKA_RESP_ERR__WAIT_COORD
            | Code::RD_KAFKA_RESP_ERR__DESTROY_BROKER
    )
}

/// Leaders, coordinators and transactions that are about to settle.
const fn is_on_the_move(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION
            | Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION
            | Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR
            | Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR
            | Code::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT
            | Code::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED
            | Code::RD_KAFKA_RESP_ERR__IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR__NOENT
            | Code::RD_KAFKA_RESP_ERR__DESTROY
    )
}
