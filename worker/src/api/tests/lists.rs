//! Lists of all balances: within a bound of memory, or a refusal that says what to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{get, joined, own, turns};
use crate::api::limits::LIST_BYTES;
use crate::api::server;
use crate::view::{BalanceRow, View};

const LIST: &str = "/api/Balance/balances";

/// Gives the worker an active partition of `customers`, with ids of so many characters.
fn own_many(view: &View, partition: i32, customers: usize, characters: usize) {
    let ids: Vec<String> = (0..customers).map(|number| format!("C{number:0>width$}", width = characters - 1)).collect();
    let transactions: Vec<_> = ids.iter().map(|id| (id.as_str(), "EUR", 150, "t", 1)).collect();
    own(view, partition, 1, &transactions);
}

/// Serves `views`, all of them with the same peers, and keeps them members.
async fn start(views: &[Arc<View>]) -> (Vec<SocketAddr>, DropGuard) {
    let (mut listeners, stop) = (Vec::new(), CancellationToken::new());
    for _ in views {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let peers: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    for (listener, view) in listeners.into_iter().zip(views) {
        let router = crate::api::router(peers.clone(), None, view.clone()).unwrap();
        tokio::spawn(server::run(listener, router, stop.clone()));
        let view = view.clone();
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                turns(&view);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }));
    }
    (addresses, stop.drop_guard())
}

fn router(addresses: &[SocketAddr], view: &Arc<View>) -> axum::Router {
    crate::api::router(addresses.iter().map(SocketAddr::to_string).collect(), None, view.clone()).unwrap()
}

fn assert_says_what_to_do(answer: &super::Answered) {
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    let most = (LIST_BYTES / BalanceRow::LEAST_BYTES).to_string();
    assert!(error.contains(&most) && error.contains("ask for single customers"), "{error}");
}

/// More rows than fit, whoever owns them: the refusal is the same on each worker, before anything is copied.
#[tokio::test]
async fn a_list_beyond_the_bound_is_refused_wherever_its_rows_are() {
    let too_many = LIST_BYTES / BalanceRow::LEAST_BYTES + 1;
    let views = [joined("w1", 1), joined("w2", 1)];
    own_many(&views[0], 0, too_many, 8);
    let (addresses, _stop) = start(&views).await;
    for (view, path) in [(&views[0], LIST), (&views[1], LIST), (&views[0], "/internal/v1/partitions")] {
        let begun = Instant::now();
        assert_says_what_to_do(&get(&router(&addresses, view), path).await);
        assert!(begun.elapsed() < Duration::from_millis(500), "{path}: {:?}", begun.elapsed());
    }
    for view in &views {
        let one = get(&router(&addresses, view), "/api/Balance/balances/C0000007").await;
        assert!(one.text.contains(r#""balance":1.50"#), "single customers are answered: {}", one.text);
    }
}

/// Some of the rows here, some there: neither worker alone knows that they are too many.
#[tokio::test]
async fn rows_of_peers_and_own_ones_are_charged_together() {
    let most = LIST_BYTES / BalanceRow::LEAST_BYTES;
    let views = [joined("w1", 2), joined("w2", 2)];
    own_many(&views[0], 0, most / 2 + 1000, 8);
    own_many(&views[1], 1, most / 2 + 1000, 8);
    let (addresses, _stop) = start(&views).await;
    for view in &views {
        assert_says_what_to_do(&get(&router(&addresses, view), LIST).await);
    }
}

/// Ids of 128 characters take more than the least: that shows only when a partition is being copied for a peer, whose
/// answer has begun.
#[tokio::test]
async fn a_partition_that_turns_out_too_large_is_refused_as_well() {
    let views = [joined("w1", 1), joined("w2", 1)];
    own_many(&views[0], 0, 400_000, 128);
    let (addresses, _stop) = start(&views).await;
    for view in &views {
        assert_says_what_to_do(&get(&router(&addresses, view), LIST).await);
    }
    let begun = get(&router(&addresses, &views[0]), "/internal/v1/partitions").await;
    assert_eq!((begun.status, begun.text.lines().last()), (StatusCode::OK, Some(r#"{"refused":"TooLarge"}"#)));
}

/// A client that asks for a list and takes nothing of it.
async fn deaf(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: w\r\n\r\n").as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 12]).await.unwrap();
    stream
}

#[tokio::test]
async fn clients_that_read_slowly_keep_no_list_from_others() {
    let views = [joined("w1", 2), joined("w2", 2)];
    own_many(&views[0], 0, 60_000, 8);
    own_many(&views[1], 1, 60_000, 8);
    let (addresses, _stop) = start(&views).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(deaf(addresses[0], LIST).await);
        slow.push(deaf(addresses[0], "/internal/v1/partitions").await);
        slow.push(deaf(addresses[1], "/internal/v1/partitions").await);
    }
    let begun = Instant::now();
    for view in &views {
        let answer = get(&router(&addresses, view), LIST).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.text.matches(r#""balance":3.00"#).count(), 60_000);
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

/// What slow clients hold is counted: together they get no more than there is, and it comes back when they go.
#[tokio::test]
async fn all_lists_together_stay_within_the_bound_and_give_it_back() {
    let view = joined("w1", 1);
    own_many(&view, 0, LIST_BYTES / BalanceRow::LEAST_BYTES * 2 / 5, 8);
    let (addresses, _stop) = start(std::slice::from_ref(&view)).await;
    let slow = [deaf(addresses[0], LIST).await, deaf(addresses[0], LIST).await];
    let mut third = TcpStream::connect(addresses[0]).await.unwrap();
    third.write_all(format!("GET {LIST} HTTP/1.1\r\nhost: w\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    third.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), "HTTP/1.1 503");
    drop(slow);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut fourth = TcpStream::connect(addresses[0]).await.unwrap();
    fourth.write_all(format!("GET {LIST} HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    fourth.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.trim_end().ends_with('0'), "{}", &text[..100]);
    assert!(text.matches(r#""transactionCount":1"#).count() == LIST_BYTES / BalanceRow::LEAST_BYTES * 2 / 5);
}
