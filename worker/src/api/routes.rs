//! All routes, each with its entry in the OpenAPI document: what is not documented is not reachable.
//!
//! Around them a guard gives every request a time limit, headers for browsers, and a count; beside them is Swagger UI.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tower::Layer;
use tower::util::MapRequestLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::errors::ApiError;
use super::paths::{MatchedPath, Paths, SWAGGER};
use super::server::Overload;
use super::state::Api;
use super::{balances, consumer, internal, monitoring, probes};

/// Longer than the longest read of the whole list waits for its turn and its peers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Scripts and styles only from here; the UI's own script sets inline styles and uses images in `data:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the OpenAPI document is.
const DOCUMENT: &str = "/swagger/v1/swagger.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Balancefleet worker",
        description = "Exact balances of a stream of transactions, and the state of the consumer that keeps them. \
                       Balances are the same on every worker. Paths match in any letter case."
    ),
    tags(
        (name = "balances", description = "Balances over the whole fleet"),
        (name = "consumer", description = "This worker's consumer"),
        (name = "monitoring", description = "Health, probes and metrics"),
        (name = "internal", description = "Between workers")
    )
)]
struct Document;

/// The documented routes without what is around them, and their document.
pub(super) fn documented() -> (Router<Api>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(balances::list))
        .routes(routes!(balances::one))
        .routes(routes!(consumer::metrics))
        .routes(routes!(consumer::rebalancing_history))
        .routes(routes!(consumer::health))
        .routes(routes!(monitoring::health))
        .routes(routes!(monitoring::stats))
        .routes(routes!(monitoring::partitions))
        .routes(routes!(probes::livez))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::metrics))
        .routes(routes!(internal::partitions))
        .split_for_parts()
}

/// Everything that answers, ready to be served.
pub(super) fn router(api: Api) -> Result<Router, serde_json::Error> {
    let (documented, document) = documented();
    let paths = Paths::new(document.paths.paths.keys().map(String::as_str));
    let answering = documented
        .merge(swagger(&document)?)
        .fallback(|| async { ApiError::NoSuchPath })
        .method_not_allowed_fallback(|| async { ApiError::Method })
        .layer(from_fn_with_state(api.clone(), guard))
        .with_state(api);
    // Around the whole router: a layer inside it would see the path only after the route was chosen.
    let respelled = MapRequestLayer::new(move |request| paths.rewrite(request)).layer(answering);
    Ok(Router::new().fallback_service(respelled))
}

/// Request bodies need no limit: nothing here reads one, and the server closes a connection that keeps sending.
async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = match request.extensions().get::<MatchedPath>() {
        Some(MatchedPath(path)) => path.clone(),
        None => "unknown".into(),
    };
    let mut response = if request.extensions().get::<Overload>().is_some() {
        // The connection is given up too: others wait for its place.
        let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
        (close, ApiError::Overloaded).into_response()
    } else {
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
        answered.unwrap_or_else(|_| ApiError::TooSlow.into_response())
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    if &*path != SWAGGER {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    api.telemetry.requests.answered(&method, path, response.status(), started.elapsed());
    response
}

/// Swagger UI and the OpenAPI document, rendered once. Both are compiled in: they work without any other network.
fn swagger<S: Clone + Send + Sync + 'static>(
    document: &utoipa::openapi::OpenApi,
) -> Result<Router<S>, serde_json::Error> {
    let document: Arc<str> = document.to_json()?.into();
    // No try-it-out restrictions: every operation here only reads.
    let config = Arc::new(Config::from(DOCUMENT).try_it_out_enabled(true).display_request_duration(true));
    let index = || async { Redirect::permanent("/swagger/index.html") };
    Ok(Router::new()
        .route(SWAGGER, get(index))
        .route("/swagger/", get(index))
        .route(
            DOCUMENT,
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document.to_string()) }),
        )
        .route("/swagger/{*file}", get(move |Path(path): Path<String>| async move { swagger_file(&path, config) })))
}

fn swagger_file(path: &str, config: Arc<Config<'static>>) -> Result<Response, ApiError> {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => Ok(([(header::CONTENT_TYPE, file.content_type)], file.bytes).into_response()),
        Ok(None) => Err(ApiError::NoSuchPath),
        Err(error) => {
            tracing::error!(%error, path, "a file of the Swagger UI cannot be rendered");
            Err(ApiError::Internal)
        }
    }
}
