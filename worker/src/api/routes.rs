//! All routes, each with its entry in the OpenAPI document: what is not documented is not reachable.

use axum::Router;
use axum::middleware::from_fn_with_state;
use tower::Layer;
use tower::util::MapRequestLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paths::Paths;
use super::refusal::Refusal;
use super::{Api, balances, consumer, guard, internal, monitoring, probes, swagger};

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
        .merge(swagger::routes(&document)?)
        .fallback(|| async { Refusal::NoSuchPath })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .layer(from_fn_with_state(api.clone(), guard::guard))
        .with_state(api);
    // Around the whole router: a layer inside it would see the path only after the route was chosen.
    let respelled = MapRequestLayer::new(move |request| paths.rewrite(request)).layer(answering);
    Ok(Router::new().fallback_service(respelled))
}
