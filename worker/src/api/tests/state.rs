//! The consumer's state: the shapes of the .NET consumers that this worker replaces, key by key.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use super::{alone, get, joined, own, view_of, worker_info};
use crate::partition_failure::PartitionFailure;
use crate::status::Status;
use crate::view::{EventType, RebalanceEvent, RestoreProgress, SharedPartition};

fn event(second: i64, event_type: EventType, partitions: Vec<i32>) -> RebalanceEvent {
    RebalanceEvent {
        timestamp: jiff::Timestamp::from_second(second).unwrap(),
        event_type,
        partitions,
        details: "2 partitions".into(),
        generation: 3,
        commit: None,
        records: None,
        restore: Some(Duration::from_millis(250)),
    }
}

#[tokio::test]
async fn health_is_up() {
    let answer = get(&alone(&view_of(worker_info("w"))), "/health").await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, r#"{"status":"UP"}"#));
}

#[tokio::test]
async fn stats_and_partitions_name_partitions_by_their_topic() {
    let view = joined("w", 6);
    let fresh = get(&alone(&view), "/api/v1/stats").await.json();
    let nothing =
        json!({"messagesProcessed": 0, "partitionsAssigned": [], "rebalanceCount": 0, "lastRebalanceTime": "N/A"});
    assert_eq!(fresh, nothing);

    own(&view, 2, 1, &[]);
    own(&view, 0, 1, &[]);
    view.record(event(1_770_588_000, EventType::Assigned, vec![0, 2]));
    let stats = get(&alone(&view), "/api/v1/stats").await.json();
    let names = json!(["banking.transactions-0", "banking.transactions-2"]);
    assert_eq!(stats["partitionsAssigned"], names);
    assert_eq!((&stats["rebalanceCount"], &stats["lastRebalanceTime"]), (&json!(1), &json!("2026-02-08T22:00:00Z")));
    let partitions = get(&alone(&view), "/api/v1/partitions").await.json();
    assert_eq!(partitions, json!({"partitions": names, "count": 2}));
}

#[tokio::test]
async fn metrics_have_the_keys_of_the_dotnet_consumer() {
    let view = joined("balance-worker-host-0a1b2c3d", 6);
    own(&view, 0, 1, &[("a", "EUR", 1, "t1", 1), ("a", "EUR", 1, "t2", 2)]);
    own(&view, 3, 1, &[]);
    view.record(event(5, EventType::Assigned, vec![0, 3]));
    let metrics = get(&alone(&view), "/api/Balance/metrics").await.json();
    let event = json!({
        "timestamp": "1970-01-01T00:00:05Z", "eventType": "Assigned", "partitions": [0, 3], "details": "2 partitions",
        "generation": 3, "commitMillis": null, "restoreMillis": 250, "records": null
    });
    let expected = json!({
        "consumerId": "balance-worker-host-0a1b2c3d", "groupId": "balance-service", "status": "Consuming",
        "assignedPartitions": [0, 3], "messagesConsumed": 0, "balanceUpdates": 0, "processingErrors": 0,
        "partitionOffsets": {"0": 1}, "rebalancingHistory": [event],
        "startedAt": "2026-02-08T21:00:00Z", "lastMessageAt": null
    });
    assert_eq!(metrics, expected);
}

#[tokio::test]
async fn the_history_comes_newest_first() {
    let view = joined("w", 6);
    own(&view, 1, 1, &[]);
    view.record(event(1, EventType::Assigned, vec![0, 1]));
    view.record(event(2, EventType::Revoked, vec![0]));
    view.record(event(3, EventType::Lost, vec![1]));
    let history = get(&alone(&view), "/api/Balance/rebalancing-history").await.json();
    let types: Vec<_> = history["history"].as_array().unwrap().iter().map(|event| event["eventType"].clone()).collect();
    assert_eq!(types, ["Lost", "Revoked", "Assigned"]);
    assert_eq!(history["totalRebalancingEvents"], 3);
    assert_eq!((&history["currentPartitions"], &history["consumerId"]), (&json!([1]), &json!("w")));
}

#[tokio::test]
async fn only_a_consuming_or_running_consumer_is_healthy() {
    let view = joined("w", 6);
    for status in [
        Status::Starting,
        Status::Running,
        Status::Consuming,
        Status::Rebalancing,
        Status::PartitionsLost,
        Status::FatalError,
        Status::Stopped,
    ] {
        view.set_status(status);
        let answer = get(&alone(&view), "/api/Balance/health").await;
        let healthy = matches!(status, Status::Running | Status::Consuming);
        let (code, word) = if healthy { (200, "Healthy") } else { (503, "Degraded") };
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["status"]), (code, &json!(word)));
        assert_eq!(body["consumerStatus"], status.as_str());
        for key in ["consumerId", "assignedPartitions", "messagesConsumed", "lastMessageAt", "uptime"] {
            assert!(body.get(key).is_some(), "{key}");
        }
    }
}

#[tokio::test]
async fn a_worker_is_alive_while_its_poll_thread_turns() {
    let view = joined("w", 6);
    let answer = get(&alone(&view), "/livez").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"alive": true})));
}

#[tokio::test]
async fn readiness_survives_a_restore_and_shows_it() {
    let view = joined("w", 6);
    let shared = SharedPartition::new(4, 1);
    shared.lock().restore =
        Some(RestoreProgress { start: 0, current: 25, target: 100, eta: Some(Duration::from_millis(1500)) });
    shared.lock().blocked_by = Some("OpenTransaction".to_owned());
    view.add_partition(4, shared.into());
    let answer = get(&alone(&view), "/readyz").await;
    assert_eq!(answer.status, StatusCode::OK);
    let restoring = json!([
        {"partition": 4, "startOffset": 0, "currentOffset": 25, "targetOffset": 100, "etaMillis": 1500,
         "heldUpBy": "OpenTransaction"}
    ]);
    assert_eq!(answer.json()["restoring"], restoring);
}

#[tokio::test]
async fn a_failed_partition_makes_the_worker_unready_and_says_why() {
    let view = joined("w", 6);
    let shared = SharedPartition::new(4, 1);
    {
        let mut state = shared.lock();
        state.phase = crate::view::Phase::Failed;
        state.failure = Some(PartitionFailure::OffsetOutOfRange { offset: 7 });
    }
    view.add_partition(4, shared.into());
    let answer = get(&alone(&view), "/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let failed = &answer.json()["failed"][0];
    assert_eq!(failed["partition"], 4);
    assert!(failed["reason"].as_str().unwrap().contains("offset 7"), "{failed}");
}

#[tokio::test]
async fn a_worker_that_has_not_joined_is_not_ready() {
    let answer = get(&alone(&view_of(worker_info("w"))), "/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["consumerStatus"], "Starting");
}

#[tokio::test]
async fn prometheus_reads_the_workers_figures() {
    let view = joined("w", 6);
    own(&view, 3, 8, &[("a", "EUR", 1, "t1", 1)]);
    let router = alone(&view);
    get(&router, "/HEALTH").await;
    get(&router, "/nowhere").await;
    let answer = get(&router, "/metrics").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "balancefleet_worker_info{consumer_id=\"w\",group=\"balance-service\",topic=\"banking.transactions\"",
        "balancefleet_messages_consumed_total 0",
        "balancefleet_processing_seconds_total 0.0",
        "balancefleet_assigned_partitions 1",
        "balancefleet_partition_next_offset{partition=\"3\"} 1",
        "balancefleet_partition_generation{partition=\"3\"} 8",
        "balancefleet_partitions{phase=\"active\"} 1",
        "balancefleet_status{status=\"Consuming\"} 1",
        "balancefleet_http_requests_total{method=\"GET\",path=\"/health\",status=\"200\"} 1",
        "balancefleet_http_requests_total{method=\"GET\",path=\"unknown\",status=\"404\"} 1",
        "balancefleet_http_request_duration_seconds_bucket{le=\"0.001\",path=\"/health\"}",
    ] {
        assert!(answer.text.contains(line), "{line} is missing in\n{}", answer.text);
    }
    assert!(answer.text.ends_with("# EOF\n"));
}
