//! Accepts connections and serves them within bounds until told to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::stall::Impatient;

/// Connections served at a time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 512;
/// Request line and headers together.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Within this a client sends its next request's head, or its connection is closed (idle ones too).
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A client that reads nothing of its answer for so long is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way at shutdown have this long to finish: the worker as a whole leaves in under 3 s.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// After a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown`, then lets requests under way finish for a second.
pub(super) async fn run(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let connections = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let cut = CancellationToken::new();
    while let Some((stream, permit)) = next(&listener, &free, &shutdown).await {
        let served = connection(stream, router.clone(), connections.watcher(), permit);
        tokio::spawn(cut.clone().run_until_cancelled_owned(served));
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.shutdown()).await.is_err() {
        tracing::warn!("requests still under way at shutdown are cut off");
        cut.cancel();
    }
}

async fn next(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accept = async {
        // The semaphore is never closed, so `None` here would only end the loop.
        let permit = free.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = accept => accepted,
        () = shutdown.cancelled() => None,
    }
}

async fn connection(stream: TcpStream, router: Router, watcher: Watcher, permit: OwnedSemaphorePermit) {
    // Answers are small and waited for; Nagle's algorithm would hold their last segment back.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was closed before its first request");
        return;
    }
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    let stream = TokioIo::new(Impatient::new(stream, WRITE_TIMEOUT));
    let served = builder.serve_connection(stream, TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(permit);
}
