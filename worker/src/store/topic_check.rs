//! Whether the topic is still the one whose records are about to be committed.
//!
//! A topic that is deleted and made again within seconds may go unnoticed by the client: it gets the new id with its
//! metadata and goes on in the new log at the offset of the old, without an error. So nothing becomes durable before a
//! look at the topic's id that began after the last of its records had come. The look is under way while the commit is
//! being written, and rarely the slower of the two.
//!
//! It is as good as the metadata of the broker that answers, which follows the controller's within milliseconds.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use balancefleet_kafka::{Admin, ErrorKind};

use super::CommitError;
use crate::{consumer::describe, vital_thread};

/// A broker that does not answer is given up after this, and another one asked,
const LOOK_WITHIN: Duration = Duration::from_secs(1);
/// a moment later,
const AGAIN: Duration = Duration::from_millis(100);
/// until nobody can be waiting any more.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

type Outcome = Result<(), String>;

/// Starts looks, on a thread of its own.
pub(crate) struct TopicChecks {
    requests: mpsc::Sender<Request>,
}

struct Request {
    expected_id: String,
    outcome: mpsc::SyncSender<Outcome>,
    give_up_at: Instant,
}

/// A look under way.
pub(crate) struct TopicCheck(mpsc::Receiver<Outcome>);

impl TopicChecks {
    pub(crate) fn start(admin: Admin, topic: String) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        vital_thread::start("topic-check", move || {
            for request in &inbox {
                // One commit is under way at a time: whoever asked before has given up.
                let request = inbox.try_iter().last().unwrap_or(request);
                let outcome = look(&admin, &topic, &request);
                // Nobody waits for it any more when the commit has failed otherwise.
                let _ = request.outcome.try_send(outcome);
            }
        })?;
        Ok(Self { requests })
    }

    /// Looks whether the topic's id is `expected_id`, from now on.
    pub(crate) fn begin(&self, expected_id: &str) -> TopicCheck {
        let (outcome, answer) = mpsc::sync_channel(1);
        let request =
            Request { expected_id: expected_id.to_owned(), outcome, give_up_at: Instant::now() + GIVE_UP_AFTER };
        // The thread ends only with the process; without it no look is ever passed.
        let _ = self.requests.send(request);
        TopicCheck(answer)
    }
}

fn look(admin: &Admin, topic: &str, request: &Request) -> Outcome {
    loop {
        let error = match describe(admin, topic, LOOK_WITHIN) {
            Ok(found) if found.topic_id == request.expected_id => return Ok(()),
            Ok(found) => {
                let (expected, found) = (&request.expected_id, found.topic_id);
                return Err(format!("topic {topic} was made again: its id was {expected}, now it is {found}"));
            }
            Err(error) => error,
        };
        if error.kind() == ErrorKind::UnknownTopic || Instant::now() >= request.give_up_at {
            return Err(error.to_string());
        }
        std::thread::sleep(AGAIN);
    }
}

impl TopicCheck {
    /// Waits until it is known that the topic is the same one.
    ///
    /// # Errors
    /// It is not, or that could not be told `within` the time.
    pub(crate) fn pass(&self, within: Duration) -> Result<(), CommitError> {
        let late = |_| Err(format!("no broker said within {within:?} whether the topic is still the same one"));
        self.0.recv_timeout(within).unwrap_or_else(late).map_err(CommitError::Unavailable)
    }

    /// One whose outcome is known.
    #[cfg(test)]
    pub(crate) fn known(outcome: Outcome) -> Self {
        let (sender, answer) = mpsc::sync_channel(1);
        sender.try_send(outcome).unwrap();
        Self(answer)
    }
}
