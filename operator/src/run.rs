//! Starts the operator's components from the arguments, and stops all of them when one exits.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    args::Args,
    client::{self, ClientError},
    controller::{self, GroupMetrics, Scope, Shared},
    health::Health,
    http::{self, AppState},
    logging::{self, LogLevel, LoggingError},
    metrics::Metrics,
    poller::LagRegistry,
};

/// At shutdown, running reconciles get this long to end; the pod's grace period is longer.
const DRAIN: Duration = Duration::from_secs(20);

/// Why the operator could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Log lines could not be set up.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// No client for the API server could be created.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The runtime, the signals or the HTTP port.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A component that runs as long as the process exited by itself; the log says which.
    #[error("a component of the operator exited by itself: the process exits so that it is restarted")]
    ComponentExited,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When the operator cannot start, or one of its components exits by itself.
pub fn run(args: &Args) -> Result<(), RunError> {
    // Before anything may open a TLS connection: with two providers in the build rustls refuses to choose.
    // Fails only if one is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let log_level = logging::start(&args.log_level, args.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| RunError::Io { what: "cannot start the runtime".to_owned(), source })?;
    let result = runtime.block_on(operate(args, log_level));
    // A call into librdkafka that still waits for a broker must not delay the exit.
    runtime.shutdown_background();
    result
}

async fn operate(args: &Args, log_level: LogLevel) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    end_on_signals(&stop)?;
    let (metrics, health) = (Metrics::default(), Health::default());
    let client = client::connect(args, &metrics).await?;
    let (lag, triggers) = LagRegistry::new();
    let shared = Shared::new(client, lag, metrics.clone(), args.worker_image.clone(), args.pod_name.clone());
    metrics.add_collector(Box::new(GroupMetrics::new(shared.clone())));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), worker_image = args.worker_image, "starting");

    let state = AppState { health: health.clone(), metrics, log_level: Some(log_level) };
    let (address, stop_server) = (args.http_address, stop.clone());
    let server = tokio::spawn(async move {
        let served = http::serve(address, state, stop_server).await;
        served.map_err(|source| RunError::Io { what: format!("cannot serve {address}"), source })
    });
    // A token of its own: a controller that exits by itself cancels its tasks, which must not look like an order to
    // stop.
    let controller = tokio::spawn(controller::run(shared, scopes(args), triggers, health, stop.child_token()));
    until_stopped(&stop, server, controller).await
}

/// Waits for the order to stop, and then for the reconciles that are running.
async fn until_stopped(
    stop: &CancellationToken,
    mut server: JoinHandle<Result<(), RunError>>,
    mut controller: JoinHandle<()>,
) -> Result<(), RunError> {
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        served = &mut server => Some(match served {
            Ok(Err(error)) => error,
            _ => RunError::ComponentExited,
        }),
        _ = &mut controller => Some(RunError::ComponentExited),
    };
    // After the order to stop, a component that exits is no error, even if its exit was seen first.
    if let Some(error) = ended.filter(|_| !stop.is_cancelled()) {
        return Err(error);
    }
    tracing::info!("stopping");
    if !controller.is_finished() && tokio::time::timeout(DRAIN, controller).await.is_err() {
        tracing::warn!("reconciles were still running at the end of the drain time");
    }
    Ok(())
}

fn scopes(args: &Args) -> Vec<Scope> {
    let namespaces = args.namespaces();
    if namespaces.is_empty() { vec![Scope::All] } else { namespaces.into_iter().map(Scope::Namespace).collect() }
}

/// Cancels `stop` on SIGTERM (Kubernetes) and SIGINT (a terminal).
fn end_on_signals(stop: &CancellationToken) -> Result<(), RunError> {
    let listen =
        |kind| signal(kind).map_err(|source| RunError::Io { what: "cannot listen to signals".to_owned(), source });
    let (mut term, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The HTTP server, which ends when it is stopped.
    fn server(stop: &CancellationToken) -> JoinHandle<Result<(), RunError>> {
        let stop = stop.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            Ok(())
        })
    }

    #[tokio::test]
    async fn a_controller_that_ends_by_itself_is_a_failure() {
        let stop = CancellationToken::new();
        let own = stop.child_token();
        let ends = tokio::spawn(async move { own.cancel() });
        assert!(matches!(until_stopped(&stop, server(&stop), ends).await, Err(RunError::ComponentExited)));
        let panics = tokio::spawn(async { panic!("a fault") });
        assert!(matches!(until_stopped(&stop, server(&stop), panics).await, Err(RunError::ComponentExited)));
    }

    #[tokio::test]
    async fn a_controller_that_ends_when_stopped_is_no_failure() {
        let stop = CancellationToken::new();
        let own = stop.child_token();
        let controller = tokio::spawn(async move { own.cancelled().await });
        stop.cancel();
        assert!(until_stopped(&stop, server(&stop), controller).await.is_ok());
    }
}
