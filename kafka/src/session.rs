//! One client and the calls on it: in go requests and how to read their answers, out come the answers in order and what
//! is known about the client now.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::failure::{Circumstances, Failure};
use crate::health::Health;
use crate::native::{Answer, Client, ClientEvent, Limits, Purpose, Queue};
use crate::{Error, client_log};

/// Requests of one call that are on their way at once.
const IN_FLIGHT: usize = 64;

/// Where librdkafka minds the time itself, this much more is waited for it to say that the time is over.
const GRACE: Duration = Duration::from_millis(250);

/// A client and the memory of its connection errors.
pub(crate) struct Session {
    client: Client,
    health: Mutex<Health>,
}

/// The answers to one call, by ticket, and the circumstances they came in.
pub(crate) type Answers<R> = (Vec<Result<R, Failure>>, Circumstances);

impl Session {
    pub(crate) fn start(config: &ClientConfig) -> Result<Self, Error> {
        Ok(Self { client: Client::start(config, Purpose::Admin)?, health: Mutex::default() })
    }

    /// Sends `count` requests, a bounded number at once, and waits for all answers or until the time is over.
    pub(crate) fn ask<R>(
        &self,
        count: usize,
        timeout: Duration,
        send: impl Fn(&Queue<'_>, Limits) -> Result<(), Error>,
        read: impl Fn(&Answer) -> Result<R, Failure>,
    ) -> Result<Answers<R>, Error> {
        let deadline = Instant::now() + timeout;
        let queue = Queue::new(&self.client)?;
        let mut answers: Vec<_> = (0..count).map(|_| Err(Failure::timed_out())).collect();
        let (mut sent, mut received) = (0, 0);
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            while sent < count && sent - received < IN_FLIGHT && !remaining.is_zero() {
                send(&queue, Limits { ticket: sent, timeout: remaining })?;
                sent += 1;
            }
            if received == sent {
                break;
            }
            let Some((ticket, answer)) = queue.poll(remaining + GRACE, |answer| (answer.ticket(), read(answer))) else {
                break;
            };
            received += 1;
            if let Some(slot) = answers.get_mut(ticket) {
                *slot = answer;
            }
        }
        let circumstances = self.circumstances(answers.iter().any(is_answered), timeout);
        Ok((answers, circumstances))
    }

    /// What is known about the client now that a call has ended; `answered` when a broker certainly answered it.
    fn circumstances(&self, answered: bool, timeout: Duration) -> Circumstances {
        let mut health = self.health.lock();
        // Nobody else serves the client's events: they wait here for the next call that can make use of them.
        while let Some(event) = self.client.next_event(Duration::ZERO) {
            match event {
                ClientEvent::Error { code, text } => health.note_error(code, text),
                ClientEvent::Log { level, facility, text } => {
                    health.note_log(&facility, &text);
                    client_log::line(level, &facility, &text);
                }
                ClientEvent::Delivered(_) => {} // nothing is ever sent
            }
        }
        if answered {
            health.note_answer();
        }
        Circumstances {
            trouble: health.trouble(),
            met_a_broker: self.client.has_met_a_broker(),
            last_failure_log: health.last_failure_log().map(String::from),
            timeout,
        }
    }
}

/// Whether a broker had a part in an answer. A client that only timed out has met nobody.
fn is_answered<R>(answer: &Result<R, Failure>) -> bool {
    answer.as_ref().map_or_else(Failure::is_brokers, |_| true)
}

/// Whether the client that gave these answers must not be asked again.
///
/// A request without an answer is still with it and will be sent whenever its coordinator returns. A coordinator that
/// has moved while its old broker stays up is remembered, and asked, for ever.
pub(crate) fn is_spent<R>(answers: &[Result<R, Failure>]) -> bool {
    let spent = |failure: &Failure| {
        failure.is(Code::RD_KAFKA_RESP_ERR__TIMED_OUT) || failure.is(Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
    };
    answers.iter().any(|answer| answer.as_ref().is_err_and(spent))
}
