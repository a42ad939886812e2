//! Accepts connections and serves them within bounds until told to stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::connections::{Bounds, ConnectionSlot, Connections};
use super::io_timeout::{IoTimeouts, TimeoutStream};

/// With what Kafka and the database need, far below the 1024 file descriptors that a process has as a rule.
const BOUNDS: Bounds = Bounds { open: 640, reserved: 128, working: 512 };
/// Connections that wait to be accepted. Beyond it the system drops a client's first packet, who tries again after a
/// second: also a probe, when a crowd comes back at once. The system allows 4096 as a rule.
const BACKLOG: u32 = 4096;
/// For what a client has not taken yet of its answer; Linux doubles it. By itself the system keeps up to 4 MiB for each
/// connection, and copying that for many clients that do not read takes the time of those that do.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;
/// Request line and headers together.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// A connection without a request is kept so long: longer than load balancers keep theirs (60 s), who would else send a
/// request on one that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const IO_TIMEOUTS: IoTimeouts = IoTimeouts { head: Duration::from_secs(15), write: Duration::from_secs(10) };
/// Requests under way at shutdown have this long to finish: the worker as a whole leaves in under 3 s.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// After a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const SLOT_PAUSE: Duration = Duration::from_millis(5);

/// What probes and scrapers ask; everything below `/internal/` is for peers.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/health", "/metrics"];
const PEERS: &str = "/internal/";

/// Marks requests that are refused because too many are already being processed.
#[derive(Clone, Copy)]
pub(super) struct Overload;

/// Takes the port. To be called inside a Tokio runtime.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted worker can use the same port at once.
    socket.set_reuseaddr(true)?;
    // Accepted connections have it from the listener.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `router` on `listener` until `shutdown`, then lets requests under way finish for a second.
pub(super) async fn run(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    run_within(BOUNDS, listener, router, shutdown).await;
}

pub(super) async fn run_within(bounds: Bounds, listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let (watched, connections) = (GracefulShutdown::new(), Connections::new(bounds));
    let cut = CancellationToken::new();
    while let Some((stream, slot)) = next(&listener, &connections, &shutdown).await {
        let served = connection(stream, router.clone(), watched.watcher(), slot);
        tokio::spawn(cut.clone().run_until_cancelled_owned(served));
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, watched.shutdown()).await.is_err() {
        tracing::warn!("requests still under way at shutdown are cut off");
        cut.cancel();
    }
}

async fn next(
    listener: &TcpListener,
    connections: &Arc<Connections>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, ConnectionSlot)> {
    let accept = async {
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        loop {
            match connections.admit() {
                Some(slot) => return (stream, slot),
                // All connections have a request in process, which takes only a moment.
                None => tokio::time::sleep(SLOT_PAUSE).await,
            }
        }
    };
    tokio::select! {
        accepted = accept => Some(accepted),
        () = shutdown.cancelled() => None,
    }
}

async fn connection(stream: TcpStream, router: Router, watcher: Watcher, slot: ConnectionSlot) {
    // Answers are small and waited for; Nagle's algorithm would hold their last segment back.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was closed before its first request");
        return;
    }
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    let stream = TokioIo::new(TimeoutStream::new(stream, IO_TIMEOUTS, slot.connection.clone()));
    let service = service_fn(|request| answer(&router, &slot, request));
    let served = watcher.watch(builder.serve_connection(stream, service));
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        },
        () = slot.connection.closed() => tracing::debug!("an idle connection made room for a new one"),
    }
}

fn answer(
    router: &Router,
    slot: &ConnectionSlot,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let working = slot.begin(is_reserved(request.uri().path()));
    let mut request = request.map(Body::new);
    if working.is_none() {
        request.extensions_mut().insert(Overload);
    }
    let answered = router.clone().oneshot(request);
    // Its request counts as worked on until the answer is handed over, and its body dropped.
    let held_by_body = move |error| {
        let _held = &working;
        error
    };
    async move { Ok(answered.await?.map(|body| Body::new(body.map_err(held_by_body)))) }
}

/// Paths match in any letter case.
fn is_reserved(path: &str) -> bool {
    let of_peer = path.get(..PEERS.len()).is_some_and(|start| start.eq_ignore_ascii_case(PEERS));
    of_peer || PROBES.iter().any(|probe| probe.eq_ignore_ascii_case(path.strip_suffix('/').unwrap_or(path)))
}
