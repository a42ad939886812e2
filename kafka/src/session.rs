//! One client and the calls on it: sends requests, and returns their answers in order with what is known about the
//! client.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::failure::{Circumstances, Failure};
use crate::health::Health;
use crate::native::{Answer, Client, ClientEvent, Limits, Purpose, Queue};
use crate::{Error, client_log};

/// The most requests of one call that are in flight at once.
const IN_FLIGHT: usize = 64;

/// If librdkafka enforces the time limit itself, the call waits this much longer for its answer.
const GRACE: Duration = Duration::from_millis(250);

/// A client and the memory of its connection errors.
pub(crate) struct Session {
    client: Client,
    health: Mutex<Health>,
}

/// The answers to one call, by the index of the request, and the circumstances in which they came.
pub(crate) type Answers<R> = (Vec<Result<R, Failure>>, Circumstances);

impl Session {
    pub(crate) fn start(config: &ClientConfig) -> Result<Self, Error> {
        Ok(Self { client: Client::start(config, Purpose::Admin)?, health: Mutex::default() })
    }

    /// Sends `count` requests, a bounded number at once, and waits for all answers or the time limit.
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
                send(&queue, Limits { request_index: sent, timeout: remaining })?;
                sent += 1;
            }
            if received == sent {
                break;
            }
            let Some((index, answer)) = queue.poll(remaining + GRACE, |answer| (answer.request_index(), read(answer)))
            else {
                break;
            };
            received += 1;
            if let Some(slot) = answers.get_mut(index) {
                *slot = answer;
            }
        }
        let circumstances = self.circumstances(answers.iter().any(is_answered), timeout);
        Ok((answers, circumstances))
    }

    /// What is known about the client at the end of a call; `answered` if a broker certainly answered it.
    fn circumstances(&self, answered: bool, timeout: Duration) -> Circumstances {
        let mut health = self.health.lock();
        // Nobody else reads the client's events: they wait for the next call that can use them.
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

/// Whether a broker contributed to an answer. A client that only timed out has reached none.
fn is_answered<R>(answer: &Result<R, Failure>) -> bool {
    answer.as_ref().map_or_else(Failure::is_brokers, |_| true)
}

/// Whether the client that gave these answers must be replaced.
///
/// It keeps a request without an answer and sends it when the coordinator returns. And if a coordinator has moved while
/// its old broker stays up, the client keeps asking the old one forever.
pub(crate) fn is_spent<R>(answers: &[Result<R, Failure>]) -> bool {
    let spent = |failure: &Failure| {
        failure.is(Code::RD_KAFKA_RESP_ERR__TIMED_OUT) || failure.is(Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
    };
    answers.iter().any(|answer| answer.as_ref().is_err_and(spent))
}
