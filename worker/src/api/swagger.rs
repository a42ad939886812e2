//! Swagger UI and the OpenAPI document, both compiled in: they work without any other network.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use super::paths::SWAGGER;
use super::refusal::Refusal;

const DOCUMENT: &str = "/swagger/v1/swagger.json";

/// The routes of the UI and of its document, which is rendered once.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Result<Router<S>, serde_json::Error> {
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
        .route("/swagger/{*file}", get(move |Path(path): Path<String>| async move { file(&path, config) })))
}

fn file(path: &str, config: Arc<Config<'static>>) -> Result<Response, Refusal> {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => Ok(([(header::CONTENT_TYPE, file.content_type)], file.bytes).into_response()),
        Ok(None) => Err(Refusal::NoSuchPath),
        Err(error) => {
            tracing::error!(%error, path, "a file of the Swagger UI cannot be rendered");
            Err(Refusal::Internal)
        }
    }
}
