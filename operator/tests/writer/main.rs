//! How the operator writes: what it does to an API server that is slow or broken, or has a lot to be told. Time is held
//! and jumps from one thing that is due to the next.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on has failed

mod server;

use std::time::{Duration, Instant};

use axum::http::Method;
use balancefleet_operator::{
    controller::{self, Scope, Shared},
    health::Health,
    metrics::Metrics,
    poller::LagRegistry,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::{Answer, NAMESPACE, Server, Write};

struct Operator {
    health: Health,
    metrics: Metrics,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    fn start(server: &Server) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if let Ok(level) = std::env::var("LOG_LEVEL") {
            let _ = balancefleet_operator::logging::start(&level, balancefleet_operator::args::LogFormat::Text);
        }
        let ((lag, triggers), metrics) = (LagRegistry::new(), Metrics::default());
        let shared = Shared::new(server.client(), lag, metrics.clone(), "balance-worker:test".to_owned(), None);
        let (stop, health) = (CancellationToken::new(), Health::default());
        let scopes = vec![Scope::Namespace(NAMESPACE.to_owned())];
        let task = tokio::spawn(controller::run(shared, scopes, triggers, health.clone(), stop.clone()));
        Self { health, metrics, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn seconds(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

fn plain() -> Value {
    json!({"kafka": {"bootstrapServers": "127.0.0.1:9", "topic": "orders"}})
}

/// Its Secret is missing, so all there is to do is to say so: nothing else is written, and no Kafka is asked.
fn without_secret() -> Value {
    let sasl = json!({"mechanism": "Plain", "credentialsSecretRef": {"name": "missing"}});
    json!({"kafka": {"bootstrapServers": "127.0.0.1:9", "topic": "orders", "sasl": sasl}})
}

/// Touches an object five times a second, as its lag would.
async fn touch_for(server: &Server, name: &str, time: u64) {
    for _ in 0..time * 5 {
        server.touch(name);
        seconds(0.2).await;
    }
}

/// The most that came within one second.
fn most_in_a_second(writes: &[Write]) -> usize {
    let soon = |from: &Write, to: &Write| to.at >= from.at && to.at < from.at + Duration::from_secs(1);
    let within = |from: &Write| writes.iter().filter(|to| soon(from, to)).count();
    writes.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_is_tried_less_and_less_often() {
    let server = Server::new(|_, what| if what.ends_with("/status") { Answer::Code(500) } else { Answer::Well });
    server.put("shop", &without_secret());
    let operator = Operator::start(&server);
    touch_for(&server, "shop", 30).await;
    let tried = server.writes("shop/status").len();
    assert!((4..=6).contains(&tried), "{tried}");
    let counted = operator.metrics.text().unwrap();
    let line = format!(r#"write_outcomes_total{{kind="status",outcome="api_server_error"}} {tried}"#);
    assert!(counted.contains(&line), "{line} is missing in\n{counted}");
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_cannot_be_written_is_tried_less_and_less_often() {
    let server = Server::new(|method, _| if *method == Method::PATCH { Answer::Code(500) } else { Answer::Well });
    server.put("shop", &plain());
    let operator = Operator::start(&server);
    touch_for(&server, "shop", 30).await;
    let tried = server.writes("serviceaccounts/shop").len();
    assert!((4..=6).contains(&tried), "{tried}");
    // An edit may be the cure.
    server.put("shop", &plain());
    seconds(0.1).await;
    assert_eq!(server.writes("serviceaccounts/shop").len(), tried + 1);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_child_is_reported_and_tried_less_and_less_often() {
    let refuses = |what: &str| what.starts_with("serviceaccounts");
    let server = Server::new(move |method, what| match *method {
        Method::PATCH if refuses(what) => Answer::Code(403),
        _ => Answer::Well,
    });
    server.put("shop", &plain());
    let operator = Operator::start(&server);
    touch_for(&server, "shop", 40).await;
    let tried = server.writes("serviceaccounts/shop").len();
    assert!((2..=3).contains(&tried), "{tried}");
    assert_eq!(server.group("shop")["status"]["conditions"][0]["reason"], "ApplyFailed");
    assert_eq!(server.writes("shop/status").len(), 1, "and said once");
    // An edit may be the cure.
    server.put("shop", &plain());
    seconds(0.1).await;
    assert_eq!(server.writes("serviceaccounts/shop").len(), tried + 1);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_never_answers_is_no_reason_to_restart() {
    let server = Server::new(|method, what| match *method {
        Method::PATCH | Method::POST => Answer::Never,
        _ if what.starts_with("secrets/") => Answer::Never,
        _ => Answer::Well,
    });
    let names: Vec<String> = (0..400).map(|number| format!("shop-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        server.put(name, &if number % 2 == 0 { plain() } else { without_secret() });
    }
    let operator = Operator::start(&server);
    for second in 0..300 {
        if second % 5 == 0 {
            names.iter().for_each(|name| server.touch(name));
        }
        seconds(1.0).await;
        assert_eq!(operator.health.live(now()), Ok(()), "after {second} s");
    }
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn statuses_that_change_all_at_once_are_written_ten_a_second() {
    let server = Server::new(|_, _| Answer::Well);
    for number in 0..300 {
        server.put(&format!("shop-{number}"), &without_secret());
    }
    let operator = Operator::start(&server);
    seconds(32.0).await;
    let statuses = server.writes("/status");
    assert_eq!(statuses.len(), 300, "each once");
    assert!(most_in_a_second(&statuses) <= 10, "{}", most_in_a_second(&statuses));
    let events = server.writes("events");
    assert_eq!(events.len(), 300, "each once");
    assert!(most_in_a_second(&events) <= 10, "events follow the statuses: {}", most_in_a_second(&events));
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_replicas_waits_for_no_status() {
    let slow = Answer::After(Duration::from_secs(2));
    let is_slow = |what: &str| what.ends_with("/status") && !what.ends_with("/a-shop/status");
    let server = Server::new(move |_, what| if is_slow(what) { slow } else { Answer::Well });
    // `AAAA` is no certificate: no broker is asked, which would hold the clock.
    server.put_other("secrets/ca", json!({"metadata": {"name": "ca"}, "data": {"ca.crt": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}}));
    let pinned = |replicas| {
        let mut spec = plain();
        spec["replicas"] = json!(replicas);
        spec["kafka"]["tls"] = json!({"caSecretRef": {"name": "ca"}});
        spec
    };
    server.put("a-shop", &pinned(1));
    let operator = Operator::start(&server);
    seconds(3.0).await;
    let deployments = || server.writes("deployments/a-shop");
    assert_eq!(deployments().len(), 1);
    for number in 0..310 {
        server.put(&format!("shop-{number}"), &without_secret());
    }
    seconds(1.5).await;
    for replicas in [3, 2, 5] {
        let (decided, before) = (now(), deployments().len());
        server.put("a-shop", &pinned(replicas));
        while deployments().len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(now() < decided + Duration::from_secs(3), "it comes at all");
        }
        let write = deployments().pop().unwrap();
        let ranked = if replicas == 2 { Duration::from_secs(1) } else { Duration::ZERO };
        assert_eq!(write.body["spec"]["replicas"], replicas);
        assert!(write.at <= decided + ranked + Duration::from_millis(100), "{replicas}: {:?}", write.at - decided);
        assert!(server.writes("/status").len() < 50, "the statuses of 300 objects wait");
    }
    operator.stop().await;
}
