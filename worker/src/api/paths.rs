//! Paths match in any letter case, as ASP.NET's do: a request path goes in, the documented spelling comes out.
//!
//! The documented paths are the only ones known here, so a route that is missing in the OpenAPI document cannot be
//! reached. Path parameters (customer ids) keep their case.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Everything below this belongs to the Swagger UI, whose files are all lower-case.
pub(super) const SWAGGER: &str = "/swagger";

/// The documented path a request matched; an extension of the request, so that metrics have a bounded label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MatchedPath(pub(super) Arc<str>);

/// The documented paths, each split at its slashes.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    templates: Arc<[Arc<str>]>,
}

impl Paths {
    /// `templates`: the keys of the OpenAPI document's `paths`, such as `/api/Balance/balances/{customerId}`.
    pub(super) fn new<'a>(templates: impl IntoIterator<Item = &'a str>) -> Self {
        Self { templates: templates.into_iter().map(Arc::from).collect() }
    }

    /// Rewrites the request's path to its documented spelling; an unknown path is left as it is, for the fallback.
    pub(super) fn rewrite(&self, mut request: Request) -> Request {
        if let Some((template, path)) = self.spelling(request.uri().path()) {
            if path != request.uri().path()
                && let Some(uri) = with_path(request.uri(), &path)
            {
                *request.uri_mut() = uri;
            }
            request.extensions_mut().insert(MatchedPath(template));
        }
        request
    }

    fn spelling(&self, path: &str) -> Option<(Arc<str>, String)> {
        let of_swagger = path.get(..SWAGGER.len()).is_some_and(|start| start.eq_ignore_ascii_case(SWAGGER))
            && matches!(path.as_bytes().get(SWAGGER.len()), None | Some(b'/'));
        if of_swagger {
            return Some((Arc::from(SWAGGER), path.to_ascii_lowercase()));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        self.templates.iter().find_map(|template| Some((template.clone(), respell(template, path)?)))
    }
}

/// `path` in the spelling of `template`, or `None` if it is another path.
fn respell(template: &str, path: &str) -> Option<String> {
    let mut given = path.split('/');
    let mut segments = Vec::new();
    for documented in template.split('/') {
        let segment = given.next()?;
        let is_parameter = documented.starts_with('{') && !segment.is_empty();
        match (is_parameter, documented.eq_ignore_ascii_case(segment)) {
            (true, _) => segments.push(segment),
            (false, true) => segments.push(documented),
            (false, false) => return None,
        }
    }
    given.next().is_none().then(|| segments.join("/"))
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelling(path: &str) -> Option<String> {
        let paths = Paths::new(["/health", "/api/Balance/balances", "/api/Balance/balances/{customerId}"]);
        paths.spelling(path).map(|(_, spelling)| spelling)
    }

    #[test]
    fn any_letter_case_reaches_the_documented_path() {
        assert_eq!(spelling("/HEALTH").as_deref(), Some("/health"));
        assert_eq!(spelling("/API/balance/BALANCES").as_deref(), Some("/api/Balance/balances"));
        assert_eq!(spelling("/api/balance/balances/").as_deref(), Some("/api/Balance/balances"));
        assert_eq!(spelling("/Swagger/V1/Swagger.json").as_deref(), Some("/swagger/v1/swagger.json"));
    }

    #[test]
    fn a_customer_id_keeps_its_case_and_its_escapes() {
        assert_eq!(spelling("/api/balance/balances/Cust-%2f1").as_deref(), Some("/api/Balance/balances/Cust-%2f1"));
    }

    #[test]
    fn other_paths_are_not_known() {
        for path in ["/", "//", "/healthz", "/health/x", "/api/Balance/balances/a/b", "/swaggerx", "/api/Balance//x"] {
            assert_eq!(spelling(path), None, "{path}");
        }
    }

    #[test]
    fn the_query_survives_a_new_spelling() {
        let uri = Uri::from_static("/HEALTH?Customer=A%20b");
        assert_eq!(with_path(&uri, "/health"), Some(Uri::from_static("/health?Customer=A%20b")));
    }
}
