//! The REST API: every worker serves its consumer's state and the exact balances of the whole fleet.
//!
//! Reads the [`View`] and nothing else of the consumer. Paths and shapes are those of the .NET consumers that this
//! worker replaces; Swagger UI lists them.

mod balance_shapes;
mod balances;
mod connections;
mod consumer;
mod errors;
mod fleet;
mod healthcheck;
mod internal;
mod io_timeout;
mod limits;
mod monitoring;
mod paths;
mod probes;
mod routes;
mod server;
mod state;
mod streaming_body;
mod telemetry;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use self::healthcheck::healthcheck;
use self::state::Api;
use crate::config::is_host_and_port;
use crate::store::DatabaseReader;
use crate::view::View;

/// Where to listen and whom to ask.
#[derive(Clone, Debug)]
pub(crate) struct ApiConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub(crate) address: SocketAddr,
    /// The other workers, each `host:port`; a name may list many addresses, this worker's own among them.
    pub(crate) peers: Vec<String>,
    /// Where balances are read, instead of asking the peers.
    pub(crate) database: Option<Arc<DatabaseReader>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiServerError {
    #[error("cannot listen on {address}: {source}; choose another HTTP_ADDRESS or stop what listens there")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{0:?} in WORKER_PEERS is not host:port")]
    Peer(String),
    #[error("the HTTP client for the peers cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the OpenAPI document cannot be rendered: {0}")]
    Document(#[from] serde_json::Error),
}

/// The OpenAPI 3.1 document of the REST API as JSON text, as `/swagger/v1/swagger.json` serves it.
pub(crate) fn openapi() -> Result<String, serde_json::Error> {
    routes::documented().1.to_pretty_json()
}

/// A bound API that does not answer yet: a wrong address shows before the consumer joins its group.
pub(crate) struct ApiServer {
    listener: TcpListener,
    router: Router,
}

impl ApiServer {
    /// Checks the configuration and takes the port.
    pub(crate) async fn bind(config: ApiConfig, view: Arc<View>) -> Result<Self, ApiServerError> {
        let address = config.address;
        let router = router(config.peers, config.database, view)?;
        let listener = server::listen(address).map_err(|source| ApiServerError::Listen { address, source })?;
        Ok(Self { listener, router })
    }

    /// Where it listens; with port 0 in the configuration, the port that was taken.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown`, then lets requests under way finish for a moment.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        server::run(self.listener, self.router, shutdown).await;
    }
}

fn router(
    peers: Vec<String>,
    database: Option<Arc<DatabaseReader>>,
    view: Arc<View>,
) -> Result<Router, ApiServerError> {
    if let Some(wrong) = peers.iter().find(|peer| !is_host_and_port(peer)) {
        return Err(ApiServerError::Peer(wrong.clone()));
    }
    let telemetry = Arc::new(telemetry::Telemetry::new(view.clone()));
    let fleet = Arc::new(fleet::Fleet::new(view.clone(), peers, database, telemetry.fleet.clone())?);
    Ok(routes::router(Api { view, fleet, telemetry })?)
}
