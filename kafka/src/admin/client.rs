//! The client of the admin calls: sends requests, waits for their answers, and is replaced when it can no longer be
//! used.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;

use crate::failure::{Circumstances, Failure};
use crate::native::{Answer, Limits, Queue};
use crate::session::{Answers, Session, is_spent};
use crate::{Connection, Error};

/// A client for admin calls. Clones share one librdkafka client, which ends with the last of them: that drop waits for
/// the client's threads, usually some milliseconds.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    session: Mutex<Arc<Session>>,
    target: String,
}

impl Admin {
    /// Starts a client without a wait for a broker: an unreachable cluster shows at the first call.
    ///
    /// `client_id` is also the name of a group the client looks up the coordinator of, but never joins.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): settings that cannot work.
    pub fn connect(connection: &Connection, client_id: &str) -> Result<Self, Error> {
        connection.check()?;
        let config = client_config(connection, client_id);
        let session = Mutex::new(Arc::new(Session::start(&config)?));
        Ok(Self { shared: Arc::new(Shared { config, session, target: connection.to_string() }) })
    }

    /// Sends one request and waits for its answer.
    pub(super) fn ask_once<R>(
        &self,
        timeout: Duration,
        send: impl Fn(&Queue<'_>, Limits) -> Result<(), Error>,
        read: impl Fn(&Answer) -> Result<R, Failure>,
    ) -> Result<(Result<R, Failure>, Circumstances), Error> {
        let (mut answers, circumstances) = self.ask(1, timeout, send, read)?;
        Ok((answers.pop().unwrap_or_else(|| Err(Failure::timed_out())), circumstances))
    }

    /// Sends `count` requests and waits for their answers, in the order of the requests.
    pub(super) fn ask<R>(
        &self,
        count: usize,
        timeout: Duration,
        send: impl Fn(&Queue<'_>, Limits) -> Result<(), Error>,
        read: impl Fn(&Answer) -> Result<R, Failure>,
    ) -> Result<Answers<R>, Error> {
        let session = Arc::clone(&self.shared.session.lock());
        let answers = session.ask(count, timeout, send, read)?;
        if is_spent(&answers.0) {
            self.replace(session)?;
        }
        Ok(answers)
    }

    /// Makes the next call use a new client, unless another call has already done so.
    fn replace(&self, spent: Arc<Session>) -> Result<(), Error> {
        let mut current = self.shared.session.lock();
        if Arc::ptr_eq(&current, &spent) {
            *current = Arc::new(Session::start(&self.shared.config)?);
        }
        drop(current);
        // Closing a client waits for its threads, one of which may be resolving a name, so the caller does not wait for
        // it. If no thread can be started, the client is closed here.
        let ended = std::thread::Builder::new().name("kafka-client-end".into()).spawn(move || drop(spent));
        drop(ended);
        Ok(())
    }
}

/// The settings of an admin client, each with its reason.
fn client_config(connection: &Connection, client_id: &str) -> ClientConfig {
    let mut config = connection.client_config();
    config.set("client.id", client_id);
    // Without a group of its own the client is killed by the first OffsetFetch that a broker answers with "not
    // coordinator", which a young cluster does (confluentinc/librdkafka#5040, not fixed in 2.12).
    config.set("group.id", client_id);
    config.set("enable.auto.commit", "false");
    // A remembered topic never shows the partitions it was given since: forget it between two polls.
    config.set("metadata.max.age.ms", "2500");
    // The next poll notices a cluster that comes back, and a cluster that drops packets soon gives an error.
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

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admin({})", self.shared.target)
    }
}
