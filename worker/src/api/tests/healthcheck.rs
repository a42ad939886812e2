//! What `balance-worker healthcheck` says of a server on a real socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{joined, own, view_of, worker_info};
use crate::api::healthcheck::healthcheck;
use crate::api::{ApiConfig, ApiServer};
use crate::status::Status;
use crate::view::View;

/// What it says of a worker with this view.
async fn said_of(view: Arc<View>) -> Result<String, String> {
    let config = ApiConfig { address: "127.0.0.1:0".parse().unwrap(), peers: vec![], database: None };
    let server = ApiServer::bind(config, view).await.unwrap();
    let address = server.address().unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(server.run(shutdown.clone()));
    let said = healthcheck(address).await.map_err(|error| error.to_string());
    shutdown.cancel();
    running.await.unwrap();
    said
}

#[tokio::test]
async fn a_ready_worker_is_healthy() {
    let view = joined("w", 2);
    own(&view, 1, 1, &[]);
    assert_eq!(said_of(view).await, Ok("ready: Consuming, 1 partition".to_owned()));
}

#[tokio::test]
async fn a_worker_that_is_not_ready_says_why() {
    assert_eq!(said_of(view_of(worker_info("w"))).await, Err("not ready: Starting".to_owned()));
    let stopped = joined("w", 2);
    stopped.set_status(Status::Stopped);
    assert_eq!(said_of(stopped).await, Err("not ready: Stopped".to_owned()));
}

/// A server that sends this to whoever asks, and then keeps the connection.
fn sends(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let connections: Vec<_> = listener
            .incoming()
            .map(|connection| {
                let mut connection = connection.unwrap();
                // What comes before the request is no answer to it.
                assert!(connection.read(&mut [0; 1024]).unwrap() > 0);
                connection.write_all(text.as_bytes()).unwrap();
                connection
            })
            .collect();
        drop(connections);
    });
    address
}

#[tokio::test]
async fn a_worker_that_is_gone_or_frozen_and_another_program_are_told_apart() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let frozen = sends("");
    let half_frozen = sends("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
    let other = sends("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    for (address, words) in [
        (gone, "no worker answers"),
        (other, "is not a worker"),
        (frozen, "has not answered within 2s"),
        (half_frozen, "has not answered within 2s"),
    ] {
        let began = Instant::now();
        let error = healthcheck(address).await.unwrap_err().to_string();
        assert!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
        assert!(error.contains(words) && error.contains(&address.to_string()), "{error}");
    }
}
