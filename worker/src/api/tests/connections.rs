//! Whatever other clients do with their connections, probes and peers are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{get, joined, own, turns};
use crate::api::server;
use crate::view::View;

/// A worker with partition 0 of two, and where it listens.
async fn serving() -> (Arc<View>, SocketAddr, DropGuard) {
    let view = joined("w1", 2);
    own(&view, 0, 1, &[("CUST-001", "EUR", 25_000, "t1", 1)]);
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let router = crate::api::router(vec![], None, view.clone()).unwrap();
    tokio::spawn(server::run(listener, router, stop.clone()));
    let turning = view.clone();
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        loop {
            turns(&turning);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }));
    (view, address, stop.drop_guard())
}

/// A new connection, and the head of the answer to one request on it.
async fn ask(address: SocketAddr, path: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer = ask_on(&mut stream, path).await.unwrap();
    (stream, answer)
}

async fn ask_on(stream: &mut TcpStream, path: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: w\r\n\r\n").as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    answer.truncate(read);
    Ok(String::from_utf8(answer).unwrap())
}

/// Probes are answered within a second, and a peer gets its balances.
async fn assert_open_to_probes_and_peers(address: SocketAddr) {
    let begun = Instant::now();
    for path in ["/livez", "/READYZ", "/health/", "/metrics", "/internal/v1/partitions", "/livez"] {
        let (_, answer) = ask(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let peer = joined("w2", 2);
    own(&peer, 1, 1, &[("CUST-001", "EUR", 10_000, "t2", 2)]);
    let router = crate::api::router(vec![address.to_string()], None, peer).unwrap();
    for path in ["/api/Balance/balances/CUST-001", "/api/Balance/balances"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert!(answer.text.contains(r#""balance":350.00"#), "{}", answer.text);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_waits_to_be_accepted() {
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for number in 0..most.min(3000) {
        // Whose first packet is dropped tries again after a second.
        let connected = tokio::time::timeout(Duration::from_millis(900), TcpStream::connect(address)).await;
        waiting.push(connected.unwrap_or_else(|_| panic!("after {number}")).unwrap());
    }
}

#[tokio::test]
async fn of_an_answer_that_is_not_taken_the_system_keeps_little() {
    let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let _deaf = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (answer, mut kept) = (vec![0; 64 << 10], 0);
    // Until the system takes no more for a while.
    while tokio::time::timeout(Duration::from_millis(300), stream.writable()).await.is_ok() {
        kept += stream.try_write(&answer).unwrap_or(0);
    }
    assert!((64 << 10..1 << 20).contains(&kept), "{kept} bytes");
}

#[tokio::test]
async fn clients_that_never_ask_shut_nobody_out() {
    let (_view, address, _stop) = serving().await;
    let mut silent = Vec::new();
    for count in [600, 2000] {
        while silent.len() < count {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert_open_to_probes_and_peers(address).await;
    }
}

#[tokio::test]
async fn clients_that_ask_again_and_again_shut_nobody_out() {
    let (_view, address, _stop) = serving().await;
    let mut asking = Vec::new();
    for _ in 0..2000 {
        let (stream, answer) = ask(address, "/api/Balance/health").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        asking.push(stream);
    }
    assert_open_to_probes_and_peers(address).await;
    let mut kept = 0;
    for stream in &mut asking {
        kept += usize::from(ask_on(stream, "/api/Balance/health").await.is_ok_and(|answer| !answer.is_empty()));
    }
    assert!((500..640).contains(&kept), "{kept} of the latest are still there");
}

#[tokio::test]
async fn clients_that_send_a_head_byte_by_byte_shut_nobody_out() {
    let (_view, address, _stop) = serving().await;
    let mut dribbling = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /api/Balance/bal").await.unwrap();
        dribbling.push(stream);
    }
    for stream in &mut dribbling {
        let _some_are_closed = stream.write_all(b"a").await;
    }
    assert_open_to_probes_and_peers(address).await;
}

#[tokio::test]
async fn clients_that_do_not_read_their_answers_shut_nobody_out() {
    let (_view, address, _stop) = serving().await;
    let mut deaf = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // More requests at once than answers fit into what the system keeps for a reader.
        let requests = "GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\nhost: w\r\n\r\n".repeat(10);
        stream.write_all(requests.as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    assert_open_to_probes_and_peers(address).await;
}

#[tokio::test]
async fn a_peers_connection_outlives_a_crowd_of_others() {
    let (_view, address, _stop) = serving().await;
    let (mut peer, _) = ask(address, "/internal/v1/partitions?customer=CUST-001").await;
    let mut crowd = Vec::new();
    for _ in 0..1500 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    assert_open_to_probes_and_peers(address).await;
    let answer = ask_on(&mut peer, "/internal/v1/partitions?customer=CUST-001").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn too_many_requests_at_a_time_are_refused_but_for_probes_and_peers() {
    let view = joined("w1", 2);
    own(&view, 0, 1, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let router = crate::api::router(vec![], None, view.clone()).unwrap();
    let bounds = crate::api::connections::Bounds { open: 20, reserved: 4, working: 2 };
    tokio::spawn(server::run_within(bounds, listener, router, stop.clone()));
    // Partition 1 has no owner: these go on for a second.
    let mut asking = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /api/Balance/balances/A HTTP/1.1\r\nhost: w\r\n\r\n").await.unwrap();
        asking.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (_, refused) = ask(address, "/api/Balance/health").await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("connection: close"), "{refused}");
    assert!(refused.contains("Too many requests"), "{refused}");
    assert!(ask(address, "/livez").await.1.starts_with("HTTP/1.1 200"));
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert!(ask(address, "/api/Balance/health").await.1.starts_with("HTTP/1.1 200"));
}
