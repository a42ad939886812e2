//! One listener for each broker, made when the broker's address is first seen.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::connection;
use super::shared::Shared;
use super::{HOST, ProxyError};

/// Where the client finds each broker. To be used on the proxy's runtime.
pub(super) struct Listeners {
    shared: Arc<Shared>,
    /// The listener's port by the broker's.
    ports: Mutex<BTreeMap<u16, u16>>,
}

impl Listeners {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, ports: Mutex::default() })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The port that stands for this broker.
    pub(super) fn port_for(self: &Arc<Self>, host: &str, broker: u16) -> Result<u16, ProxyError> {
        if host != HOST {
            return Err(ProxyError::Address(format!("{host}:{broker}")));
        }
        match self.ports.lock().entry(broker) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(new) => Ok(*new.insert(self.listen(broker)?)),
        }
    }

    fn listen(self: &Arc<Self>, broker: u16) -> Result<u16, ProxyError> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        tokio::spawn(Arc::clone(self).accept(TcpListener::from_std(listener)?, broker));
        Ok(port)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, broker: u16) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, broker));
        loop {
            match listener.accept().await {
                Ok((client, _)) => drop(tokio::spawn(connection::serve(Arc::clone(&self), client, address))),
                // No file descriptors, say: others are about to be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}
