//! The REST API: in go HTTP requests on any worker, out come the consumer's state and the fleet's exact balances.
//!
//! Reads the [`View`] and nothing else of the consumer. Paths and shapes are the labs'; Swagger UI lists them.

mod balance_shapes;
mod balances;
mod chunks;
mod connections;
mod consumer;
mod customer_id;
mod fleet;
mod guard;
mod internal;
mod monitoring;
mod paths;
mod probes;
mod refusal;
mod routes;
mod server;
mod stall;
mod swagger;
mod telemetry;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::store::DatabaseReader;
use crate::view::View;

/// Where to listen and whom to ask.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub address: SocketAddr,
    /// The other workers, each `host:port`; a name may list many addresses, this worker's own among them.
    pub peers: Vec<String>,
    /// Where balances are read, instead of asking the peers.
    pub database: Option<Arc<DatabaseReader>>,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The port is taken or not allowed.
    #[error("cannot listen on {address}: {source}; choose another HTTP_ADDRESS or stop what listens there")]
    Listen {
        /// Where it was tried.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A peer is not `host:port`.
    #[error("{0:?} in WORKER_PEERS is not host:port")]
    Peer(String),
    /// The client that asks the peers cannot be made.
    #[error("the HTTP client for the peers cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// The OpenAPI document cannot be rendered.
    #[error("the OpenAPI document cannot be rendered: {0}")]
    Document(#[from] serde_json::Error),
}

/// The OpenAPI 3.1 document of the REST API as JSON text, as `/swagger/v1/swagger.json` serves it.
pub fn openapi() -> Result<String, serde_json::Error> {
    routes::documented().1.to_pretty_json()
}

/// What every handler gets.
#[derive(Clone)]
struct Api {
    view: Arc<View>,
    fleet: Arc<fleet::Fleet>,
    telemetry: Arc<telemetry::Telemetry>,
}

/// A bound API that does not answer yet: a wrong address shows before the consumer joins its group.
pub struct ApiServer {
    listener: TcpListener,
    router: Router,
}

impl ApiServer {
    /// Checks the configuration and takes the port.
    pub async fn bind(config: ApiConfig, view: Arc<View>) -> Result<Self, ApiError> {
        let address = config.address;
        let router = router(config.peers, config.database, view)?;
        let listener = server::listen(address).map_err(|source| ApiError::Listen { address, source })?;
        Ok(Self { listener, router })
    }

    /// Where it listens; with port 0 in the configuration, the port that was taken.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `shutdown`, then lets requests under way finish for a moment.
    pub async fn run(self, shutdown: CancellationToken) {
        server::run(self.listener, self.router, shutdown).await;
    }
}

/// Binds and answers until `shutdown`.
pub async fn serve(config: ApiConfig, view: Arc<View>, shutdown: CancellationToken) -> Result<(), ApiError> {
    ApiServer::bind(config, view).await?.run(shutdown).await;
    Ok(())
}

fn router(peers: Vec<String>, database: Option<Arc<DatabaseReader>>, view: Arc<View>) -> Result<Router, ApiError> {
    if let Some(wrong) = peers.iter().find(|peer| !is_host_and_port(peer)) {
        return Err(ApiError::Peer(wrong.clone()));
    }
    let telemetry = Arc::new(telemetry::Telemetry::new(view.clone()));
    let fleet = Arc::new(fleet::Fleet::new(view.clone(), peers, database, telemetry.fleet.clone())?);
    Ok(routes::router(Api { view, fleet, telemetry })?)
}

pub(crate) fn is_host_and_port(peer: &str) -> bool {
    peer.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}
