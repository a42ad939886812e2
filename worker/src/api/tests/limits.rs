//! What the server bounds, on a real socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::joined;
use crate::api::{ApiConfig, ApiServer, ApiServerError};
use crate::view::View;

async fn bind(view: &Arc<View>) -> ApiServer {
    let config = ApiConfig { address: "127.0.0.1:0".parse().unwrap(), peers: vec![], database: None };
    ApiServer::bind(config, view.clone()).await.unwrap()
}

/// A server and a connection to it.
async fn connected() -> (TcpStream, CancellationToken, tokio::task::JoinHandle<()>) {
    let server = bind(&joined("w", 1)).await;
    let stream = TcpStream::connect(server.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let shutdown = CancellationToken::new();
    (stream, shutdown.clone(), tokio::spawn(server.run(shutdown)))
}

/// Sends a request and reads what comes back until the server closes the connection, within five seconds.
async fn exchange(stream: TcpStream, request: impl Into<Vec<u8>>) -> String {
    let request = request.into();
    tokio::task::spawn_blocking(move || blocking_exchange(stream, &request)).await.unwrap()
}

fn blocking_exchange(mut stream: TcpStream, request: &[u8]) -> String {
    // The server may close the connection while the request is still being sent.
    let _refused_midway_is_fine = stream.write_all(request);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server did not close");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_over_a_real_connection_is_answered() {
    let (stream, ..) = connected().await;
    let answer = exchange(stream, "GET /Health HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(r#"{"status":"UP"}"#), "{answer}");
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let long = "x".repeat(64 * 1024);
    let many: String = (0..100).map(|number| format!("x-{number}: 1\r\n")).collect();
    for head in [
        format!("GET /{long} HTTP/1.1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{many}\r\n"),
    ] {
        let (stream, ..) = connected().await;
        let answer = exchange(stream, head).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_nobody_asked_for_is_not_taken_in() {
    let (stream, ..) = connected().await;
    let mut request = b"POST /health HTTP/1.1\r\nhost: w\r\ncontent-length: 50000000\r\n\r\n".to_vec();
    request.resize(10_000_000, b'x');
    let answer = exchange(stream, request).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_the_port() {
    let (mut stream, shutdown, server) = connected().await;
    let address = stream.peer_addr().unwrap();
    let (stream, first) = tokio::task::spawn_blocking(move || {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: w\r\n\r\n").unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        (stream, first)
    })
    .await
    .unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    shutdown.cancel();
    server.await.unwrap();
    assert!(TcpStream::connect(address).is_err());
    exchange(stream, "").await;
}

#[tokio::test]
async fn a_request_that_does_not_end_holds_shutdown_up_for_a_second_at_most() {
    let (mut stream, shutdown, server) = connected().await;
    // Two partitions have no owner: this read goes on for a second and more.
    stream.write_all(b"GET /api/Balance/balances HTTP/1.1\r\nhost: w\r\n\r\n").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    shutdown.cancel();
    server.await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_taken_port_and_a_peer_without_a_port_are_named() {
    let view = joined("w", 1);
    let first = bind(&view).await;
    let address = first.address().unwrap();
    let taken =
        ApiServer::bind(ApiConfig { address, peers: vec![], database: None }, view.clone()).await.err().unwrap();
    assert!(taken.to_string().contains(&address.to_string()), "{taken}");
    for peer in ["worker", "worker:", ":8080", "worker:http", "worker:99999"] {
        let config = ApiConfig { address: "127.0.0.1:0".parse().unwrap(), peers: vec![peer.into()], database: None };
        let error = ApiServer::bind(config, view.clone()).await.err().unwrap();
        assert!(matches!(&error, ApiServerError::Peer(wrong) if wrong == peer), "{error}");
    }
}
