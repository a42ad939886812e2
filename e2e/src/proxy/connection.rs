//! One connection of the client, and the proxy's own to the broker behind it.
//!
//! Each way has a pump that takes one message at a time and reads on only when that one has gone its way: order is
//! kept, and a message that is delayed or held stops what comes after it on that connection, as on a slow line.
//!
//! What has been read from the client reaches the broker, however late, unless a rule drops it: a cut and a client that
//! goes away end the client's side only. The broker's side ends once the broker has answered everything, and what it
//! answers in the meantime is counted.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::frame::Head;
use super::listeners::Listeners;
use super::rules::{Direction, Effect, Fate};
use super::shared::Shared;
use super::socket::{Incoming, Outgoing};
use super::{ProxyError, addresses};

/// More requests than a client has under way; those before them get no answer (`acks=0`).
const UNANSWERED: usize = 10_000;

struct Connection {
    listeners: Arc<Listeners>,
    /// Requests the broker has not answered yet; it answers in their order.
    unanswered: Mutex<VecDeque<Head>>,
    /// The client's side is to be closed.
    cut: CancellationToken,
}

/// Serves a client until both sides are closed.
pub(super) async fn serve(listeners: Arc<Listeners>, client: TcpStream, broker: SocketAddr) {
    let cut = listeners.shared().connected(broker.port());
    // A client of a broker that is down sees its connection closed.
    let Ok(broker) = TcpStream::connect(broker).await else { return };
    if client.set_nodelay(true).and(broker.set_nodelay(true)).is_err() {
        return;
    }
    let connection = Connection { listeners, unanswered: Mutex::default(), cut };
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let requests =
        connection.until_the_end(connection.carry_requests(Incoming::new(from_client), Outgoing::new(to_broker)));
    let responses =
        connection.until_the_end(connection.carry_responses(Incoming::new(from_broker), Outgoing::new(to_client)));
    tokio::join!(requests, responses);
}

impl Connection {
    /// Runs one pump; when it ends, the client has nothing to wait for.
    async fn until_the_end(&self, pump: impl Future<Output = Result<(), ProxyError>>) {
        match pump.await {
            // Whichever side went away: the other one will notice.
            Ok(()) | Err(ProxyError::Io(_)) => {}
            Err(error) => self.listeners.shared().complain(&error),
        }
        self.cut.cancel();
    }

    async fn carry_requests(&self, mut from: Incoming, to: Outgoing) -> Result<(), ProxyError> {
        loop {
            let frame = tokio::select! {
                biased;
                () = self.cut.cancelled() => return Ok(()),
                frame = from.next() => frame?,
            };
            let Some(frame) = frame else { return Ok(()) };
            let head = frame.head()?;
            let effect = self.listeners.shared().meet(head.api, Direction::Request);
            if let Some(Effect::CutAfter) = effect {
                // Before the request goes on: no answer can be faster.
                self.cut.cancel();
            }
            if passes(self.listeners.shared(), effect).await {
                self.expect_answer(head);
                to.send(frame.bytes()).await?;
            }
        }
    }

    async fn carry_responses(&self, mut from: Incoming, to: Outgoing) -> Result<(), ProxyError> {
        let mut client = Some(to);
        loop {
            let frame = tokio::select! {
                biased;
                () = self.cut.cancelled(), if client.is_some() => {
                    client = None;
                    continue;
                }
                frame = from.next() => frame?,
            };
            let Some(mut frame) = frame else { return Ok(()) };
            let head = self.answered(frame.correlation()?)?;
            let redirected =
                addresses::redirect(head, frame.message(), |host, port| self.listeners.port_for(host, port))?;
            self.listeners.shared().redirected(head.api, redirected);
            let effect = self.listeners.shared().meet(head.api, Direction::Response);
            if let Some(to) = &client {
                let delivery =
                    async { !passes(self.listeners.shared(), effect).await || to.send(frame.bytes()).await.is_ok() };
                let is_there = tokio::select! {
                    biased;
                    () = self.cut.cancelled() => false,
                    is_there = delivery => is_there,
                };
                if !is_there {
                    client = None;
                }
            }
        }
    }

    fn expect_answer(&self, head: Head) {
        let mut unanswered = self.unanswered.lock();
        if unanswered.len() == UNANSWERED {
            unanswered.pop_front();
        }
        unanswered.push_back(head);
    }

    /// The request that this response answers; those before it get no answer.
    fn answered(&self, correlation: i32) -> Result<Head, ProxyError> {
        let mut unanswered = self.unanswered.lock();
        while let Some(head) = unanswered.pop_front() {
            if head.correlation == correlation {
                return Ok(head);
            }
        }
        Err(ProxyError::NotKafka(format!("a response with correlation id {correlation}, which no request has")))
    }
}

/// Waits until a message may go on; false if it is dropped.
async fn passes(shared: &Shared, effect: Option<Effect>) -> bool {
    match effect {
        None | Some(Effect::CutAfter) => {}
        Some(Effect::Drop) => return false,
        Some(Effect::Delay(pause)) => tokio::time::sleep(pause).await,
        Some(Effect::Hold(fate)) => {
            if is_dropped(fate).await {
                return false;
            }
        }
    }
    shared.passable().await;
    true
}

/// A test that forgets what it holds lets it go.
async fn is_dropped(mut fate: watch::Receiver<Fate>) -> bool {
    fate.wait_for(|fate| *fate != Fate::Undecided).await.is_ok_and(|fate| *fate == Fate::Dropped)
}
