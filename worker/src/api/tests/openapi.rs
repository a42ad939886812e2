//! The OpenAPI document lists every route, and every route it lists answers.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use super::{alone, get, joined, own, send};

/// The paths of the .NET consumers that this worker replaces, the probes, and the workers' own.
const PATHS: [&str; 12] = [
    "/api/Balance/balances",
    "/api/Balance/balances/{customerId}",
    "/api/Balance/health",
    "/api/Balance/metrics",
    "/api/Balance/rebalancing-history",
    "/api/v1/partitions",
    "/api/v1/stats",
    "/health",
    "/internal/v1/partitions",
    "/livez",
    "/metrics",
    "/readyz",
];

#[tokio::test]
async fn the_document_lists_every_route_and_no_other() {
    let document = get(&alone(&joined("w", 1)), "/swagger/v1/swagger.json").await;
    assert_eq!(document.headers["content-type"], "application/json");
    let document = document.json();
    let listed: BTreeSet<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(listed, BTreeSet::from(PATHS));
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[tokio::test]
async fn every_documented_path_answers_as_documented() {
    let view = joined("w", 1);
    own(&view, 0, 1, &[("CUST-001", "EUR", 1, "t", 1)]);
    let router = alone(&view);
    let document = get(&router, "/swagger/v1/swagger.json").await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let answer = get(&router, &path.replace("{customerId}", "CUST-001").to_uppercase()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let documented = &item["get"]["responses"]["200"]["content"];
        let media_type = answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
        assert!(documented.get(media_type).is_some(), "{path} answers {media_type}, documented is {documented}");
        let operation = item.as_object().unwrap().keys().collect::<Vec<_>>();
        assert_eq!(operation, ["get"], "{path}");
    }
}

#[tokio::test]
async fn every_reference_in_the_document_resolves() {
    let document = get(&alone(&joined("w", 1)), "/swagger/v1/swagger.json").await;
    for reference in document.text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.json().pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn operations_have_names_of_their_own_and_every_answer_says_what_it_is() {
    let document = get(&alone(&joined("w", 1)), "/swagger/v1/swagger.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let names: BTreeSet<_> = paths.values().map(|item| item["get"]["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), paths.len(), "{names:?}");
    for (path, item) in paths {
        for (status, response) in item["get"]["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{path} {status}");
        }
    }
}

#[tokio::test]
async fn swagger_ui_is_served_in_any_letter_case() {
    let router = alone(&joined("w", 1));
    for path in ["/swagger", "/Swagger/"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT, "{path}");
        assert_eq!(answer.headers["location"], "/swagger/index.html");
    }
    let index = get(&router, "/Swagger/Index.html").await;
    assert_eq!((index.status, &index.headers["content-type"]), (StatusCode::OK, &"text/html".parse().unwrap()));
    let script = get(&router, "/swagger/swagger-initializer.js").await;
    assert!(script.text.contains("/swagger/v1/swagger.json"), "{}", script.text);
    assert!(get(&router, "/swagger/swagger-ui-bundle.js").await.text.len() > 1_000_000);
    let missing = get(&router, "/swagger/none.js").await;
    assert_eq!((missing.status, missing.json()["error"].is_string()), (StatusCode::NOT_FOUND, true));
}

#[tokio::test]
async fn unknown_paths_and_other_methods_are_refused_in_json() {
    let router = alone(&joined("w", 1));
    for path in ["/", "/api", "/api/Balance", "/health/x", "/internal/v2/partitions"] {
        let answer = get(&router, path).await;
        assert_eq!((answer.status, answer.json()["error"].is_string()), (StatusCode::NOT_FOUND, true), "{path}");
    }
    let answer = send(&router, "POST", "/api/Balance/balances").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.json()["error"].is_string());
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let router = alone(&joined("w", 1));
    for path in ["/health", "/api/v1/stats", "/api/Balance/metrics", "/metrics", "/swagger/index.html"] {
        let (head, full) = (send(&router, "HEAD", path).await, get(&router, path).await);
        assert_eq!((head.status, head.text.as_str()), (full.status, ""), "{path}");
        assert_eq!(head.headers["content-type"], full.headers["content-type"], "{path}");
    }
}

#[tokio::test]
async fn answers_carry_headers_that_keep_browsers_careful() {
    let router = alone(&joined("w", 1));
    for path in ["/health", "/nowhere", "/swagger/index.html"] {
        let headers = get(&router, path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"), "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
    assert_eq!(get(&router, "/health").await.headers["cache-control"], "no-store");
}
