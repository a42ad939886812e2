//! Turns a failed answer of librdkafka, and what is known about the client, into the [`Error`] that says what is really
//! wrong.

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
    /// No answer came in time.
    pub(crate) fn timed_out() -> Self {
        Self { code: Code::RD_KAFKA_RESP_ERR__TIMED_OUT as i32, text: String::from("no answer in time") }
    }

    /// The broker that should have answered for this part of the question did not.
    pub(crate) fn unanswered() -> Self {
        Self { code: Code::RD_KAFKA_RESP_ERR__TRANSPORT as i32, text: String::from("its broker gave no answer") }
    }

    /// Whether a broker said this, so that one was certainly reached.
    pub(crate) const fn is_brokers(&self) -> bool {
        self.code > 0
    }

    pub(crate) const fn is(&self, code: Code) -> bool {
        self.code == code as i32
    }

    /// The error if nothing is known about the client; `what` was asked for.
    pub(crate) fn error(self, what: &str) -> Error {
        let nothing_known =
            Circumstances { trouble: None, met_a_broker: true, last_failure_log: None, timeout: Duration::ZERO };
        nothing_known.error(what, self)
    }
}

/// What is known about the client when a call ends.
#[derive(Debug)]
pub(crate) struct Circumstances {
    /// Why no broker answers, if none has answered since that error.
    pub(crate) trouble: Option<Error>,
    /// Whether any broker ever described the cluster.
    pub(crate) met_a_broker: bool,
    /// The last line about a failed connection.
    pub(crate) last_failure_log: Option<String>,
    /// The time limit of the call.
    pub(crate) timeout: Duration,
}

impl Circumstances {
    /// The error behind `failure` under these circumstances; `what` was asked for.
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
            | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED => {
                Error::Authorization { operation: format!("read {what}"), needs: "Describe and Read on it", detail }
            }
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
pub(crate) const fn is_no_answer(code: Code) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const QUIET: Circumstances =
        Circumstances { trouble: None, met_a_broker: true, last_failure_log: None, timeout: Duration::from_secs(3) };

    fn kind(circumstances: &Circumstances, code: i32) -> ErrorKind {
        circumstances.error("group g", Failure { code, text: "words".into() }).kind()
    }

    #[test]
    fn what_a_broker_refuses_has_its_own_kind_whatever_the_circumstances() {
        let trouble = Some(Error::Unreachable { detail: "elsewhere".into() });
        for circumstances in [QUIET, Circumstances { trouble, met_a_broker: false, ..QUIET }] {
            for (code, expected) in [
                (Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ErrorKind::UnknownTopic),
                (Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ErrorKind::Authorization),
                (Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, ErrorKind::Authorization),
                (Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, ErrorKind::Authentication),
                (Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, ErrorKind::Transient),
                (Code::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, ErrorKind::Transient),
                (Code::RD_KAFKA_RESP_ERR__INVALID_ARG, ErrorKind::Invalid),
                (Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, ErrorKind::Other),
            ] {
                assert_eq!(kind(&circumstances, code as i32), expected, "{code:?}");
            }
        }
    }

    #[test]
    fn a_call_without_an_answer_is_what_the_client_is_in_trouble_with() {
        let timed_out = Code::RD_KAFKA_RESP_ERR__TIMED_OUT as i32;
        let lost = Code::RD_KAFKA_RESP_ERR__TRANSPORT as i32;
        let login = Some(Error::Authentication { detail: "refused".into() });
        let refused = Circumstances { trouble: login, ..QUIET };
        let lonely = Circumstances { met_a_broker: false, ..QUIET };
        assert_eq!(kind(&refused, timed_out), ErrorKind::Authentication);
        assert_eq!(kind(&refused, lost), ErrorKind::Authentication);
        assert_eq!(kind(&lonely, timed_out), ErrorKind::Unreachable);
        assert_eq!(kind(&QUIET, timed_out), ErrorKind::Timeout);
        assert_eq!(kind(&QUIET, lost), ErrorKind::Transient);
    }

    #[test]
    fn a_code_of_a_later_kafka_keeps_its_words() {
        let error = QUIET.error("group g", Failure { code: 32_000, text: "something new".into() });
        assert_eq!(error, Error::Other { what: "group g".into(), detail: "something new".into() });
    }
}
