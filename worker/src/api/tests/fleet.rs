//! Balance reads over real servers on the loopback: whole, or a refusal in time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Answered, Transaction, get, join, joined, own, turns, view_by, worker_info};
use crate::api::server;
use crate::domain::rules::Sign;
use crate::domain::transaction::TransactionType;
use crate::view::View;

const PATH: &str = "/api/Balance/balances/CUST-001";

/// Servers that answer until this is dropped, and the addresses every worker is given as its peers.
struct Running {
    peers: Vec<String>,
    _stop: DropGuard,
}

/// Starts a server per view and keeps each view's worker a member; all know each other and `others`.
async fn start(views: &[Arc<View>], others: &[SocketAddr]) -> Running {
    let mut listeners = Vec::new();
    for _ in views {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let own = listeners.iter().map(|listener| listener.local_addr().unwrap());
    let peers: Vec<String> = own.chain(others.iter().copied()).map(|address| address.to_string()).collect();
    let stop = CancellationToken::new();
    for (listener, view) in listeners.into_iter().zip(views) {
        let router = crate::api::router(peers.clone(), None, view.clone()).unwrap();
        tokio::spawn(server::run(listener, router, stop.clone()));
        tokio::spawn(stop.clone().run_until_cancelled_owned(keep_turning(view.clone())));
    }
    Running { peers, _stop: stop.drop_guard() }
}

async fn keep_turning(view: Arc<View>) {
    loop {
        turns(&view);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks the worker of `view` and says how long it took.
async fn ask(running: &Running, view: &Arc<View>, path: &str) -> (Answered, Duration) {
    let router = crate::api::router(running.peers.clone(), None, view.clone()).unwrap();
    let started = Instant::now();
    (get(&router, path).await, started.elapsed())
}

/// Nobody listens there: connections are refused.
async fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Accepts every connection, sends `says`, and then never a byte more.
async fn stalls_after(says: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            stream.writable().await.unwrap();
            assert_eq!(stream.try_write(says).unwrap(), says.len());
            held.push(stream);
        }
    });
    address
}

const FIRST: &[Transaction<'_>] = &[("CUST-001", "EUR", 25_000, "t1", 1), ("b", "EUR", 1, "t2", 2)];
const SECOND: &[Transaction<'_>] = &[("CUST-001", "EUR", 10_000, "t3", 3)];

/// Three workers: the first has partitions 0 and 1, the second 2, the third none.
fn three() -> [Arc<View>; 3] {
    let views = ["w1", "w2", "w3"].map(|id| joined(id, 3));
    own(&views[0], 0, 1, FIRST);
    own(&views[0], 1, 1, &[]);
    own(&views[1], 2, 1, SECOND);
    views
}

fn assert_whole(answer: &Answered) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(answer.text.contains(r#""balance":350.00,"currency":"EUR","transactionCount":2"#), "{}", answer.text);
    assert_eq!(answer.json()["asOf"], json!({"0": 2, "1": 0, "2": 1}));
}

#[tokio::test]
async fn balances_are_the_same_whichever_worker_is_asked() {
    let views = three();
    let running = start(&views, &[]).await;
    let mut lists = Vec::new();
    for view in &views {
        assert_whole(&ask(&running, view, PATH).await.0);
        assert_eq!(ask(&running, view, "/api/Balance/balances/nobody").await.0.status, StatusCode::NOT_FOUND);
        lists.push(ask(&running, view, "/api/Balance/balances").await.0.text);
    }
    assert!(lists[0].contains(r#""count":2"#), "{}", lists[0]);
    assert_eq!((&lists[1], &lists[2]), (&lists[0], &lists[0]));
}

#[tokio::test]
async fn dead_and_hanging_peers_without_partitions_only_cost_a_moment() {
    let views = three();
    let others =
        [dead().await, stalls_after(b"").await, stalls_after(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await];
    let running = start(&views, &others).await;
    for view in &views {
        let (answer, took) = ask(&running, view, PATH).await;
        assert_whole(&answer);
        assert!(took < Duration::from_millis(700), "{took:?}");
    }
}

#[tokio::test]
async fn what_a_peer_sends_besides_partitions_is_no_answer() {
    let views = three();
    let facts = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n{\"a\":1}\n";
    let others = [stalls_after(b"SSH-2.0-OpenSSH\r\n").await, stalls_after(facts).await];
    let running = start(&views, &others).await;
    assert_whole(&ask(&running, &views[2], PATH).await.0);
}

#[tokio::test]
async fn without_the_owner_the_answer_is_a_refusal_in_time() {
    let [first, _, third] = three();
    let others = [dead().await, stalls_after(b"").await];
    let running = start(&[first, third.clone()], &others).await;
    let (answer, took) = ask(&running, &third, PATH).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["missingPartitions"], json!([2]));
    assert!(took > Duration::from_millis(700) && took < Duration::from_millis(1500), "{took:?}");
}

#[tokio::test]
async fn a_partition_that_arrives_meanwhile_completes_the_answer() {
    let [first, second, third] = three();
    second.remove_partition(2);
    let running = start(&[first, second, third.clone()], &[]).await;
    let new_owner = third.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        own(&new_owner, 2, 2, SECOND);
    });
    assert_whole(&ask(&running, &third, PATH).await.0);
}

#[tokio::test]
async fn a_worker_that_may_not_answer_any_more_does_not() {
    let [first, second, third] = three();
    // Nobody keeps the second worker turning: its poll thread is frozen, though its server answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = start(&[first, third.clone()], &[listener.local_addr().unwrap()]).await;
    let router = crate::api::router(vec![], None, second.clone()).unwrap();
    tokio::spawn(server::run(listener, router, CancellationToken::new()));
    turns(&second);
    assert_whole(&ask(&running, &third, PATH).await.0);
    second.lost_membership();
    let (answer, _) = ask(&running, &third, PATH).await;
    assert_eq!(answer.json()["missingPartitions"], json!([2]));
}

#[tokio::test]
async fn a_stale_owner_is_outvoted_by_the_new_one() {
    let views = three();
    let stale = joined("w4", 3);
    own(&stale, 2, 0, &[("CUST-001", "EUR", 1, "x", 1), ("CUST-001", "EUR", 1, "y", 9)]);
    let [first, second, third] = views;
    let all = [stale.clone(), first, second, third.clone()];
    let running = start(&all, &[]).await;
    assert_whole(&ask(&running, &third, PATH).await.0);
    assert_whole(&ask(&running, &stale, PATH).await.0);
}

#[tokio::test]
async fn a_worker_of_other_rules_is_no_part_of_the_sum() {
    let views = three();
    let of_other_signs = view_by(worker_info("w4"), &[(TransactionType::Transfer, Sign::Debit)], &[]);
    // Nothing but the topic is kept by `replay`, so that another table is another ledger.
    let of_another_table = view_by(worker_info("w5"), &[], &[("XYZ", 3)]);
    let foreign = [of_other_signs, of_another_table].map(|view| join(view, 64));
    for view in &foreign {
        (0..64).for_each(|partition| own(view, partition, 9, FIRST));
    }
    let [first, second, third] = views;
    let [one, other] = foreign;
    let running = start(&[one, other, first, second, third.clone()], &[]).await;
    assert_whole(&ask(&running, &third, PATH).await.0);
}

#[tokio::test]
async fn the_workers_own_endpoint_never_asks_on() {
    let views = three();
    let running = start(&views, &[]).await;
    let (answer, _) = ask(&running, &views[0], "/internal/v1/partitions?customer=CUST-001&partitions=0,2").await;
    let lines: Vec<&str> = answer.text.lines().collect();
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    assert!(lines[0].contains(r#""consumerId":"w1""#) && lines[0].contains(r#""topicId":"id-1""#), "{}", lines[0]);
    let row = r#"["CUST-001",[["EUR",2,25000]],1,"t1","1970-01-01T00:00:01Z",0]"#;
    assert_eq!(lines[1..], [format!(r#"{{"partition":0,"generation":1,"nextOffset":2,"rows":[{row}]}}"#)]);
    for filter in ["customer=", "partitions=x", "partitions=", "who=me", "customer=a&customer=b"] {
        let (answer, _) = ask(&running, &views[0], &format!("/internal/v1/partitions?{filter}")).await;
        assert_eq!((answer.status, answer.json()["error"].is_string()), (StatusCode::BAD_REQUEST, true), "{filter}");
    }
}

#[tokio::test]
async fn the_workers_own_endpoint_takes_the_lists_that_are_documented() {
    let views = three();
    let running = start(&views, &[]).await;
    let list = |numbers: usize| vec!["0"; numbers].join(",");
    for (right, list) in [
        (true, "007,999999999".to_owned()),
        (true, list(500)),
        (false, list(501)),
        (false, "-1".into()),
        (false, "%2B1".into()),
        (false, "1,".into()),
        (false, "1,%202".into()),
        (false, "0000000001".into()),
        (false, "%D9%A1".into()), // one, in Arabic digits
    ] {
        let (answer, _) = ask(&running, &views[0], &format!("/internal/v1/partitions?partitions={list}")).await;
        assert_eq!(answer.status, if right { StatusCode::OK } else { StatusCode::BAD_REQUEST }, "{list}");
    }
}

#[tokio::test]
async fn long_lists_of_several_workers_are_added_up() {
    let ids: Vec<String> = (0..30_000).map(|number| format!("CUST-{number:05}")).collect();
    let transactions: Vec<_> = ids.iter().map(|id| (id.as_str(), "EUR", 150, "t", 1)).collect();
    let views = ["w1", "w2", "w3"].map(|id| joined(id, 3));
    for (partition, view) in (0..).zip(&views) {
        own(view, partition, 1, &transactions);
    }
    let running = start(&views, &[]).await;
    let list = ask(&running, &views[0], "/api/Balance/balances").await.0;
    assert!(
        list.text.starts_with(r#"{"count":30000,"asOf":{"0":30000,"1":30000,"2":30000},"#),
        "{}",
        &list.text[..200]
    );
    assert_eq!(list.text.matches(r#""balance":4.50,"currency":"EUR","transactionCount":3"#).count(), 30_000);
}
