//! Balances on one worker that owns every partition.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use super::{alone, get, joined, joined_as, own, view_of, worker_info};
use crate::domain::rules::LedgerKind;
use crate::view::{View, WorkerInfo};

fn two_partitions() -> Arc<View> {
    let view = joined("w", 2);
    own(&view, 0, 1, &[("CUST-001", "EUR", 500_000, "BAL-001", 10), ("cust-002", "EUR", 5, "B", 20)]);
    own(&view, 1, 1, &[("CUST-001", "EUR", -120_000, "BAL-002", 11), ("A", "USD", 1, "C", 1), ("A", "JPY", 7, "D", 2)]);
    view
}

#[tokio::test]
async fn a_customer_is_the_exact_sum_over_partitions() {
    let answer = get(&alone(&two_partitions()), "/api/Balance/balances/CUST-001").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(
        answer.text,
        r#"{"customerId":"CUST-001","balance":3800.00,"currency":"EUR","transactionCount":2,"lastUpdated":"1970-01-01T00:00:11Z","lastTransactionId":"BAL-002","asOf":{"0":2,"1":3}}"#
    );
}

#[tokio::test]
async fn the_list_is_ordered_by_customer_and_says_what_it_is_true_for() {
    let answer = get(&alone(&two_partitions()), "/api/Balance/balances").await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    let list = answer.json();
    assert_eq!((&list["count"], &list["asOf"]), (&json!(3), &json!({"0": 2, "1": 3})));
    let customers: Vec<_> = list["balances"].as_array().unwrap().iter().map(|one| one["customerId"].clone()).collect();
    assert_eq!(customers, ["A", "CUST-001", "cust-002"]);
    assert!(answer.text.contains(r#""balances":{"JPY":7,"USD":0.01},"transactionCount":2"#), "{}", answer.text);
    assert!(answer.text.contains(r#""balance":3800.00,"currency":"EUR""#), "{}", answer.text);
}

#[tokio::test]
async fn an_unknown_customer_is_not_found_in_the_words_of_the_dotnet_consumer() {
    let router = alone(&two_partitions());
    for (path, body) in [
        ("/api/Balance/balances/X", r#"{"error":"Customer X not found"}"#),
        ("/API/BALANCE/BALANCES/cust-001", r#"{"error":"Customer cust-001 not found"}"#),
        ("/api/Balance/balances/a%2Fb%20%22c%22", r#"{"error":"Customer a/b \"c\" not found"}"#),
    ] {
        let answer = get(&router, path).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NOT_FOUND, body));
    }
}

#[tokio::test]
async fn the_path_matches_in_any_case_but_the_customer_id_is_kept() {
    let router = alone(&two_partitions());
    for path in ["/api/balance/balances/CUST-001", "/API/BALANCE/BALANCES/CUST-001", "/Api/Balance/Balances/CUST-001/"]
    {
        assert_eq!(get(&router, path).await.json()["customerId"], "CUST-001", "{path}");
    }
    assert_eq!(get(&router, "/API/balance/BALANCES/").await.json()["count"], 3);
}

#[tokio::test]
async fn an_impossible_customer_id_is_refused() {
    let router = alone(&two_partitions());
    // Characters are counted, as in the OpenAPI document, not their bytes.
    let (longest, accented) = ("x".repeat(128), "%C3%A9".repeat(128));
    for id in [&longest, &accented] {
        assert_eq!(get(&router, &format!("/api/Balance/balances/{id}")).await.status, StatusCode::NOT_FOUND);
    }
    for id in [format!("{longest}x"), format!("{accented}x"), "%ff".into()] {
        let answer = get(&router, &format!("/api/Balance/balances/{id}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.json()["error"].is_string());
    }
}

#[tokio::test]
async fn a_partition_without_an_owner_is_a_refusal_that_names_it() {
    let view = joined("w", 4);
    own(&view, 0, 1, &[("CUST-001", "EUR", 1, "t", 1)]);
    own(&view, 2, 1, &[]);
    for path in ["/api/Balance/balances/CUST-001", "/api/Balance/balances/nobody"] {
        super::turns(&view);
        let answer = get(&alone(&view), path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.json()["missingPartitions"], json!([1, 3]));
        assert_eq!(answer.headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn a_worker_that_does_not_know_the_topic_refuses() {
    let answer = get(&alone(&view_of(worker_info("w"))), "/api/Balance/balances").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.json()["error"].as_str().unwrap().contains("Kafka"));
}

#[tokio::test]
async fn the_count_ledger_has_no_balances() {
    let view = joined_as(WorkerInfo { ledger: LedgerKind::Count, ..worker_info("w") }, 6);
    let list = get(&alone(&view), "/api/Balance/balances").await;
    assert_eq!((list.status, list.json()), (StatusCode::OK, json!({"count": 0, "asOf": {}, "balances": []})));
    let one = get(&alone(&view), "/api/Balance/balances/X").await;
    assert_eq!((one.status, one.json()), (StatusCode::NOT_FOUND, json!({"error": "Customer X not found"})));
}

#[tokio::test]
async fn a_long_list_arrives_whole() {
    let view = joined("w", 1);
    let ids: Vec<String> = (0..20_000).map(|number| format!("CUST-{number:05}")).collect();
    let transactions: Vec<_> = ids.iter().map(|id| (id.as_str(), "EUR", 1, "t", 1)).collect();
    own(&view, 0, 1, &transactions);
    let list = get(&alone(&view), "/api/Balance/balances").await.json();
    assert_eq!((list["count"].as_u64(), list["balances"].as_array().map(Vec::len)), (Some(20_000), Some(20_000)));
}
