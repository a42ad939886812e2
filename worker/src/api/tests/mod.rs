//! Promises of the API, each on a real view and, where peers matter, on real servers.

mod connections;
mod fleet;
mod healthcheck;
mod limits;
mod lists;
mod money;
mod openapi;
mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use crate::config::StoreKind;
use crate::domain::exponents::Exponents;
use crate::domain::ledger::Posting;
use crate::domain::money::Currency;
use crate::domain::rules::{LedgerKind, Rules, Sign, Signs};
use crate::domain::transaction::TransactionType;
use crate::status::Status;
use crate::topic_facts::TopicFacts;
use crate::view::{Phase, SharedPartition, View, WorkerInfo};

/// Customer, currency, minor units, transaction id, second of its timestamp.
type Transaction<'a> = (&'a str, &'a str, i64, &'a str, i64);

fn worker_info(consumer_id: &str) -> WorkerInfo {
    WorkerInfo {
        consumer_id: consumer_id.into(),
        group_id: "balance-service".into(),
        topic: "banking.transactions".into(),
        ledger: LedgerKind::Balances,
        store: StoreKind::Replay,
        started_at: "2026-02-08T21:00:00Z".parse().unwrap(),
    }
}

fn view_of(worker_info: WorkerInfo) -> Arc<View> {
    view_by(worker_info, &[], &[])
}

/// With these signs and decimals.
fn view_by(worker_info: WorkerInfo, signs: &[(TransactionType, Sign)], minor_units: &[(&str, u8)]) -> Arc<View> {
    let exponents = minor_units.iter().map(|(code, exponent)| (Currency::parse(code).unwrap(), *exponent)).collect();
    let rules = Rules {
        ledger: LedgerKind::Balances,
        signs: Signs::with_overrides(&signs.iter().copied().collect()),
        exponents: Exponents::iso_4217(&exponents),
    };
    Arc::new(View::new(worker_info, rules, Duration::from_secs(10)))
}

/// A worker that has joined its group and knows the topic, with no partition yet.
fn joined(consumer_id: &str, partition_count: i32) -> Arc<View> {
    joined_as(worker_info(consumer_id), partition_count)
}

fn joined_as(worker_info: WorkerInfo, partition_count: i32) -> Arc<View> {
    join(view_of(worker_info), partition_count)
}

fn join(view: Arc<View>, partition_count: i32) -> Arc<View> {
    view.set_topic(TopicFacts { topic_id: "id-1".into(), partition_count });
    view.set_status(Status::Consuming);
    view.set_ready();
    turns(&view);
    view
}

/// The poll thread turned just now, and the group still counts the worker in.
fn turns(view: &View) {
    view.mark_alive();
    view.confirm_membership(Instant::now());
}

/// Gives the worker an active partition that holds `transactions`, one per offset.
fn own(view: &View, partition: i32, generation: i32, transactions: &[Transaction<'_>]) {
    let shared = SharedPartition::new(partition, generation);
    {
        let mut state = shared.lock();
        for (offset, (customer, currency, minor_units, transaction_id, second)) in (0..).zip(transactions) {
            let posting = Posting {
                customer: (*customer).into(),
                currency: Currency::parse(currency).unwrap(),
                minor_units: *minor_units,
                transaction_id: (*transaction_id).into(),
                timestamp: jiff::Timestamp::from_second(*second).unwrap(),
            };
            state.ledger.fold(&posting, offset).unwrap();
            state.last_offset = Some(offset);
        }
        state.next_offset = Some(transactions.len() as i64);
        state.as_of = state.next_offset;
        state.phase = Phase::Active;
    }
    view.add_partition(partition, Arc::new(shared));
}

fn alone(view: &Arc<View>) -> Router {
    super::router(vec![], None, view.clone()).unwrap()
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }
}

async fn send(router: &Router, method: &str, path: &str) -> Answered {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let text = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answered { status: head.status, headers: head.headers, text: String::from_utf8_lossy(&text).into_owned() }
}

async fn get(router: &Router, path: &str) -> Answered {
    send(router, "GET", path).await
}
