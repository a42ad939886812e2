//! The errors of calls that change or inspect a cluster.

use std::time::Duration;

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::Admin;
use crate::Error;
use crate::failure::{Circumstances, Failure, is_no_answer};
use crate::native::{Answer, Limits, Queue};

/// The operation of a call, for its errors.
pub(super) struct Operation {
    pub(super) verb: &'static str,
    pub(super) object: String,
    /// The right that allows it.
    pub(super) needs: &'static str,
}

impl Admin {
    /// Sends one request and waits for its answer; a failure is reported as that of `operation`.
    pub(super) fn carry_out<R>(
        &self,
        operation: &Operation,
        timeout: Duration,
        send: impl Fn(&Queue<'_>, Limits) -> Result<(), Error>,
        read: impl Fn(&Answer) -> Result<R, Failure>,
    ) -> Result<R, Error> {
        let (answer, circumstances) = self.ask_once(timeout, send, read)?;
        answer.map_err(|failure| operation.error(&circumstances, failure))
    }
}

impl Operation {
    pub(super) fn on_topic(verb: &'static str, topic: &str, needs: &'static str) -> Self {
        Self { verb, object: format!("topic {topic}"), needs }
    }

    /// The error behind `failure`. What is neither refused nor impossible for the cluster may work the next time.
    fn error(&self, circumstances: &Circumstances, failure: Failure) -> Error {
        let Self { verb, object, needs } = self;
        let what = object.clone();
        match Code::try_from(failure.code) {
            Ok(
                Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
                | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            ) => Error::Authorization { operation: format!("{verb} {object}"), needs, detail: failure.text },
            Ok(Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT) => {
                Error::Timeout { what, detail: failure.text, timeout: circumstances.timeout }
            }
            Ok(
                Code::RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR
                | Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
                | Code::RD_KAFKA_RESP_ERR_INVALID_CONFIG
                | Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION
                | Code::RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT
                | Code::RD_KAFKA_RESP_ERR_INVALID_REQUEST
                | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
            ) => Error::Other { what: format!("the request to {verb} {object}"), detail: failure.text },
            Ok(code) if is_no_answer(code) => circumstances.error(object, failure),
            _ => Error::Transient { what, detail: failure.text },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_failure_is_told_in_the_words_of_what_was_to_be_done() {
        let error = |code: Code, met_a_broker: bool| {
            let timeout = Duration::from_secs(3);
            let circumstances = Circumstances { trouble: None, met_a_broker, last_failure_log: None, timeout };
            let failure = Failure { code: code as i32, text: "words".into() };
            Operation::on_topic("configure", "t", "AlterConfigs on that topic").error(&circumstances, failure)
        };
        assert_eq!(
            error(Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, true).to_string(),
            "Kafka does not allow this user to configure topic t (words): grant AlterConfigs on that topic"
        );
        assert_eq!(
            error(Code::RD_KAFKA_RESP_ERR_INVALID_CONFIG, true).to_string(),
            "Kafka answered about the request to configure topic t: words"
        );
        for (code, met_a_broker, expected) in [
            (Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, true, ErrorKind::Timeout),
            (Code::RD_KAFKA_RESP_ERR__TIMED_OUT, true, ErrorKind::Timeout),
            (Code::RD_KAFKA_RESP_ERR__TIMED_OUT, false, ErrorKind::Unreachable),
            // A broker that has not heard of a new topic yet.
            (Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, true, ErrorKind::Transient),
            (Code::RD_KAFKA_RESP_ERR_NOT_CONTROLLER, true, ErrorKind::Transient),
        ] {
            assert_eq!(error(code, met_a_broker).kind(), expected, "{code:?}");
        }
    }
}
