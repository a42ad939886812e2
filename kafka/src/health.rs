//! The connection errors of a client since a broker last answered. They explain why a call got no answer.
//!
//! librdkafka never tells a call that the login failed or that nothing listens. The call just times out; the reason
//! comes separately, as an error event or a log line of the client.

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::Error;

/// The memory of one client's connection errors.
#[derive(Debug, Default)]
pub(crate) struct Health {
    login: Option<String>,
    tls: Option<String>,
    connection: Option<String>,
    last_failure_log: Option<String>,
}

impl Health {
    /// Notes an error event.
    pub(crate) fn note_error(&mut self, code: i32, text: String) {
        match Code::try_from(code) {
            Ok(Code::RD_KAFKA_RESP_ERR__AUTHENTICATION) => self.login = Some(text),
            Ok(Code::RD_KAFKA_RESP_ERR__SSL) => self.tls = Some(text),
            // TLS 1.3 refuses our certificate after its handshake, where librdkafka expects broken connections only.
            Ok(Code::RD_KAFKA_RESP_ERR__TRANSPORT) if text.contains("SSL alert") => self.tls = Some(text),
            Ok(Code::RD_KAFKA_RESP_ERR__TRANSPORT | Code::RD_KAFKA_RESP_ERR__RESOLVE) => self.connection = Some(text),
            // It only says that there is an error. The log line before it says which.
            Ok(Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) => {
                let text = self.last_failure_log.clone().unwrap_or(text);
                self.connection.get_or_insert(text);
            }
            _ => {}
        }
    }

    /// Notes a log line. A broker that closes the connection gives only a log line, never an error event.
    pub(crate) fn note_log(&mut self, facility: &str, text: &str) {
        if facility == "FAIL" {
            self.last_failure_log = Some(text.to_owned());
        }
    }

    /// Notes that a broker has answered: earlier errors are over.
    pub(crate) fn note_answer(&mut self) {
        *self = Self::default();
    }

    /// The present error, for a call that got no answer. If several brokers have errors, the one that a user can fix
    /// wins.
    pub(crate) fn trouble(&self) -> Option<Error> {
        if let Some(detail) = self.login.clone() {
            return Some(Error::Authentication { detail });
        }
        if let Some(detail) = self.tls.clone() {
            return Some(Error::Tls { detail });
        }
        self.connection.clone().map(|detail| Error::Unreachable { detail })
    }

    /// The last line about a failed connection, for calls that time out while no error is known.
    pub(crate) fn last_failure_log(&self) -> Option<&str> {
        self.last_failure_log.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn noted(codes: &[Code]) -> Health {
        let mut health = Health::default();
        for code in codes {
            health.note_error(*code as i32, format!("{code:?}"));
        }
        health
    }

    fn kind(health: &Health) -> Option<ErrorKind> {
        health.trouble().map(|error| error.kind())
    }

    #[test]
    fn a_refused_login_outweighs_connection_errors_before_and_after_it() {
        let codes = [
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
            Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
        ];
        assert_eq!(kind(&noted(&codes)), Some(ErrorKind::Authentication));
    }

    #[test]
    fn a_failed_handshake_outweighs_connection_errors() {
        let codes = [Code::RD_KAFKA_RESP_ERR__SSL, Code::RD_KAFKA_RESP_ERR__TRANSPORT];
        assert_eq!(kind(&noted(&codes)), Some(ErrorKind::Tls));
    }

    #[test]
    fn an_alert_after_the_handshake_is_a_tls_error() {
        let mut health = Health::default();
        let text = "Receive failed: SSL routines::tlsv13 alert certificate required: SSL alert number 116";
        health.note_error(Code::RD_KAFKA_RESP_ERR__TRANSPORT as i32, text.into());
        assert_eq!(kind(&health), Some(ErrorKind::Tls));
    }

    #[test]
    fn an_answer_ends_every_trouble() {
        let mut health = noted(&[Code::RD_KAFKA_RESP_ERR__AUTHENTICATION, Code::RD_KAFKA_RESP_ERR__RESOLVE]);
        health.note_answer();
        assert_eq!(kind(&health), None);
    }

    #[test]
    fn all_brokers_down_is_explained_by_the_line_logged_before_it() {
        let mut health = Health::default();
        health.note_log("REQTMOUT", "slow");
        health.note_log("FAIL", "connection closed by peer");
        health.note_error(Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32, "1/1 brokers are down".into());
        assert_eq!(health.trouble(), Some(Error::Unreachable { detail: "connection closed by peer".into() }));
    }

    #[test]
    fn what_a_broker_says_and_what_nobody_listed_is_no_connection_trouble() {
        let mut health = noted(&[Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED]);
        health.note_error(-32_000, "from the future".into());
        assert_eq!(kind(&health), None);
    }
}
