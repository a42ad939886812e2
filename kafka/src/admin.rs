//! Kafka's admin API as far as it is needed: in go names and a time-out, out come plain values.
//!
//! All calls block; asynchronous callers put them on a blocking thread. One [`Admin`] per cluster is shared by all.

mod committed;
mod ends;
mod groups;
mod topics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;

pub use committed::CommittedOffset;
pub use ends::{At, Isolation, ListedOffset};
pub use groups::{GroupDescription, GroupState, Member};
pub use topics::{PartitionDescription, TopicDescription};

use crate::failure::{Circumstances, Failure};
use crate::health::Health;
use crate::native::{Answer, Client, ClientEvent, Limits, Queue};
use crate::{Connection, Error};

/// A topic's name and a partition's number.
pub type TopicPartition = (String, i32);

/// librdkafka answers by itself when the time is over; this much more is waited for that answer.
const GRACE: Duration = Duration::from_secs(1);

/// A client for admin calls. Clones share one librdkafka client, which ends with the last of them.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    health: Mutex<Health>,
    target: String,
}

impl Admin {
    /// Starts a client; no broker is waited for, so that an unreachable cluster shows at the first call.
    ///
    /// `client_id` is also the name of a group the client looks up the coordinator of, but never joins.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): settings that cannot work.
    pub fn connect(connection: &Connection, client_id: &str) -> Result<Self, Error> {
        connection.check()?;
        let client = Client::start(&client_config(connection, client_id))?;
        let shared = Shared { client, health: Mutex::default(), target: connection.to_string() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Sends one request and waits for its answer.
    fn ask_once<R>(
        &self,
        timeout: Duration,
        send: impl Fn(&Queue<'_>, Limits) -> Result<(), Error>,
        read: impl Fn(&Answer) -> Result<R, Failure>,
    ) -> Result<Result<R, Failure>, Error> {
        let answers = self.ask(1, 1, timeout, send, read)?;
        Ok(answers.into_iter().next().unwrap_or_else(|| Err(Failure::timed_out())))
    }

    /// Sends `count` requests, at most `in_flight` at once, and gives their answers in the order of their tickets.
    fn ask<R>(
        &self,
        count: usize,
        in_flight: usize,
        timeout: Duration,
        send: impl Fn(&Queue<'_>, Limits) -> Result<(), Error>,
        read: impl Fn(&Answer) -> Result<R, Failure>,
    ) -> Result<Vec<Result<R, Failure>>, Error> {
        let deadline = Instant::now() + timeout;
        let queue = Queue::new(&self.shared.client)?;
        let mut answers: Vec<_> = (0..count).map(|_| Err(Failure::timed_out())).collect();
        let (mut sent, mut received) = (0, 0);
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            while sent < count && sent - received < in_flight && !remaining.is_zero() {
                send(&queue, Limits { ticket: sent, timeout: remaining })?;
                sent += 1;
            }
            if received == sent {
                return Ok(answers);
            }
            let Some((ticket, answer)) = queue.poll(remaining + GRACE, |answer| (answer.ticket(), read(answer))) else {
                return Ok(answers);
            };
            received += 1;
            if let Some(slot) = answers.get_mut(ticket) {
                *slot = answer;
            }
        }
    }

    /// What is known about the client now that a call has ended; `answered` when a broker certainly answered it.
    fn circumstances(&self, answered: bool, timeout: Duration) -> Circumstances {
        let Shared { client, health, .. } = &*self.shared;
        let mut health = health.lock();
        // Nobody else serves the client's events: they wait here for the next call that can make use of them.
        while let Some(event) = client.next_event() {
            match event {
                ClientEvent::Error { code, text } => health.note_error(code, text, Instant::now()),
                ClientEvent::Log { level, facility, text } => {
                    health.note_log(&facility, &text);
                    log(level, &facility, &text);
                }
            }
        }
        if answered {
            health.note_answer();
        }
        Circumstances {
            trouble: health.trouble(Instant::now()),
            met_a_broker: client.has_met_a_broker(),
            last_failure_log: health.last_failure_log().map(String::from),
            timeout,
        }
    }
}

/// Whether a broker had a part in an answer. A client that only timed out has met nobody.
fn is_answered<T>(answer: &Result<T, Failure>) -> bool {
    answer.as_ref().map_or_else(Failure::is_brokers, |_| true)
}

fn partition_name(topic: &str, partition: i32) -> String {
    format!("partition {partition} of topic {topic}")
}

/// The settings of an admin client, each with its reason.
fn client_config(connection: &Connection, client_id: &str) -> ClientConfig {
    let mut config = connection.client_config();
    config.set("client.id", client_id);
    // Without a group of its own the client is killed by the first OffsetFetch that a broker answers with "not
    // coordinator", which a young cluster does (confluentinc/librdkafka#5040, not fixed in 2.12).
    config.set("group.id", client_id);
    config.set("enable.auto.commit", "false");
    // Leaders and coordinators are remembered for this long. A remembered coordinator that has moved while its old
    // broker stays up is asked for ever (only an unused memory expires), and a remembered topic never shows the
    // partitions it was given since: so it is short enough to be forgotten between two polls.
    config.set("metadata.max.age.ms", "2500");
    // A cluster that comes back is noticed by the next poll, and one that swallows packets is soon an error.
    config.set("reconnect.backoff.max.ms", "2000");
    config.set("socket.connection.setup.timeout.ms", "5000");
    config.set("socket.timeout.ms", "10000");
    config.set("socket.keepalive.enable", "true");
    // Client telemetry would be requests that nobody here reads.
    config.set("enable.metrics.push", "false");
    // The lines come as events and go to our own log.
    config.set("log.queue", "true");
    config
}

/// librdkafka's lines in our log. Its errors are warnings here: what they mean for us is the failed call's to say.
fn log(level: i32, facility: &str, text: &str) {
    match level {
        ..=4 => tracing::warn!(facility, "{text}"),
        5 | 6 => tracing::info!(facility, "{text}"),
        _ => tracing::debug!(facility, "{text}"),
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admin({})", self.shared.target)
    }
}
