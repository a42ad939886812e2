//! What a client has said about its connections since a broker last answered: in go its errors and log lines, out comes
//! the trouble that explains why a call got no answer.
//!
//! librdkafka never tells a call that the login failed or that nothing listens. The call just times out; the reason
//! comes separately, as an event about the client.

use std::time::{Duration, Instant};

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::Error;

/// An event that repeats unchanged is suppressed for 30 s; one that was not repeated for twice that is history.
const REPEATED_WITHIN: Duration = Duration::from_secs(60);

/// The memory of one client's connection errors.
#[derive(Debug, Default)]
pub(crate) struct Health {
    login: Option<Trouble>,
    tls: Option<Trouble>,
    connection: Option<Trouble>,
    last_failure_log: Option<String>,
}

#[derive(Debug)]
struct Trouble {
    text: String,
    at: Instant,
}

impl Health {
    /// Takes in an error event.
    pub(crate) fn note_error(&mut self, code: i32, text: String, at: Instant) {
        let slot = match Code::try_from(code) {
            Ok(Code::RD_KAFKA_RESP_ERR__AUTHENTICATION) => &mut self.login,
            Ok(Code::RD_KAFKA_RESP_ERR__SSL) => &mut self.tls,
            Ok(Code::RD_KAFKA_RESP_ERR__TRANSPORT | Code::RD_KAFKA_RESP_ERR__RESOLVE) => &mut self.connection,
            // It only says that there is trouble; what trouble, the log line before it says best.
            Ok(Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) => {
                let text = self.last_failure_log.clone().unwrap_or(text);
                self.connection.get_or_insert(Trouble { text, at }).at = at;
                return;
            }
            _ => return,
        };
        *slot = Some(Trouble { text, at });
    }

    /// Takes in a log line. A broker that hangs up on us is only logged, never an error event.
    pub(crate) fn note_log(&mut self, facility: &str, text: &str) {
        if facility == "FAIL" {
            self.last_failure_log = Some(text.to_owned());
        }
    }

    /// A broker has answered: whatever was wrong is over.
    pub(crate) fn note_answer(&mut self) {
        *self = Self::default();
    }

    /// The trouble there is now, as the error of a call that got no answer.
    ///
    /// With several brokers in trouble the one a person can act on wins, as long as it keeps coming back.
    pub(crate) fn trouble(&self, now: Instant) -> Option<Error> {
        let fresh = |trouble: &&Trouble| now.saturating_duration_since(trouble.at) < REPEATED_WITHIN;
        let (login, tls) = (self.login.as_ref(), self.tls.as_ref());
        if let Some(login) = login.filter(fresh) {
            return Some(Error::Authentication { detail: login.text.clone() });
        }
        if let Some(tls) = tls.filter(fresh) {
            return Some(Error::Tls { detail: tls.text.clone() });
        }
        if let Some(connection) = &self.connection {
            return Some(Error::Unreachable { detail: connection.text.clone() });
        }
        let login = login.map(|it| Error::Authentication { detail: it.text.clone() });
        login.or_else(|| tls.map(|it| Error::Tls { detail: it.text.clone() }))
    }

    /// The last line about a failed connection, for calls that time out while no error is known.
    pub(crate) fn last_failure_log(&self) -> Option<&str> {
        self.last_failure_log.as_deref()
    }
}
