//! What can go wrong while an object is reconciled: a sentence for users, a bounded category for metrics, and whether a
//! retry may succeed.

use std::time::Duration;

/// Every call to the API server has to answer within this; a half-open socket must not hold a reconcile.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a reconcile, or one of its calls, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered with an error, or not in a way that can be read.
    #[error("{action}: {}", sentence(.source))]
    Api {
        /// What was tried, for example `apply Deployment`.
        action: String,
        /// What came back.
        source: kube::Error,
    },
    /// No answer within [`CALL_TIMEOUT`].
    #[error("{action}: no answer from the API server within {} s", CALL_TIMEOUT.as_secs())]
    Timeout {
        /// What was tried.
        action: String,
    },
    /// A write was dropped before it was sent: another one replaced it, or the object is gone.
    #[error("{action}: dropped before it was sent")]
    NotSent {
        /// What was to be done.
        action: String,
    },
    /// The watches have not delivered their first list yet, so nothing is known about children.
    #[error("the watch caches are not filled yet")]
    CacheNotReady,
    /// A whole reconcile took longer than any sum of its calls should.
    #[error("the reconcile timed out after {} s", .0.as_secs())]
    ReconcileTimeout(Duration),
    /// A reconcile panicked, which is a bug of the operator and concerns this object alone.
    #[error("the reconcile panicked ({detail}): this is a bug of the operator, please report it with the log")]
    Panicked {
        /// What the panic said.
        detail: String,
    },
    /// A value could not be turned into JSON, or JSON into a value.
    #[error("{action}: {source}")]
    Json {
        /// What was tried.
        action: String,
        /// What serde says.
        source: serde_json::Error,
    },
}

/// The result of a call or a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A label for metrics: one of the fifteen words below, whatever the server answers.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::NotSent { .. } => "not_sent",
            Self::CacheNotReady => "cache_not_ready",
            Self::ReconcileTimeout(_) => "reconcile_timeout",
            Self::Panicked { .. } => "panicked",
            Self::Json { .. } => "serialize",
            Self::Api { source, .. } => match status_code(source) {
                Some(401) => "api_unauthorized",
                Some(403) => "api_forbidden",
                Some(404) => "api_not_found",
                Some(409) => "api_conflict",
                Some(400 | 422) => "api_invalid",
                Some(429) => "api_throttled",
                Some(500..) => "api_server_error",
                Some(_) => "api_other",
                None => "api_unreachable",
            },
        }
    }

    /// Whether the same request may succeed later, although nobody changes anything. A refusal (400, 403, 422 …) is
    /// reported in a condition instead, because a user has to act.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::NotSent { .. } | Self::CacheNotReady | Self::ReconcileTimeout(_) => true,
            Self::Json { .. } | Self::Panicked { .. } => false,
            Self::Api { source, .. } => {
                matches!(status_code(source), None | Some(401 | 404 | 408 | 409 | 410 | 429 | 500..))
            }
        }
    }

    /// Wraps an answer of the API server with what was tried.
    pub fn api(action: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { action: action.into(), source }
    }
}

/// The HTTP status of an API error; `None` when no answer was received at all.
pub fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// The server's own sentence. kube's `Display` of an API error repeats it and adds a debug dump.
fn sentence(error: &kube::Error) -> String {
    match error {
        // Server-side apply refuses the whole object for one field that the installed CRD does not have.
        kube::Error::Api(status) if status.message.contains("field not declared in schema") => format!(
            "{}: the installed CRD is older than this operator: upgrade it (chart balancefleet-crds, or config/crd)",
            status.message
        ),
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// Runs one call to the API server under [`CALL_TIMEOUT`].
pub async fn call<T>(
    action: impl Into<String>,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    call_within(CALL_TIMEOUT, action, request).await
}

async fn call_within<T>(
    limit: Duration,
    action: impl Into<String>,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(|source| Error::api(action, source)),
        Err(_) => Err(Error::Timeout { action: action.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn answered(code: u16) -> Error {
        let status = Status { code, message: "admission says no".into(), ..Status::default() };
        Error::api("apply Deployment", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_refusal_needs_a_person_and_an_overload_needs_time() {
        for (code, transient) in [(400, false), (403, false), (422, false), (409, true), (429, true), (503, true)] {
            assert_eq!(answered(code).is_transient(), transient, "{code}");
        }
    }

    #[test]
    fn the_message_is_the_servers_own_sentence() {
        assert_eq!(answered(422).to_string(), "apply Deployment: admission says no");
    }

    #[test]
    fn a_crd_that_lacks_a_field_is_named() {
        let message = "failed to create typed patch object: .status.newer: field not declared in schema".into();
        let status = Status { code: 500, message, ..Status::default() };
        let error = Error::api("write status of a/b", kube::Error::Api(Box::new(status)));
        assert!(error.is_transient() && error.to_string().contains("upgrade it (chart balancefleet-crds"), "{error}");
    }

    #[tokio::test]
    async fn a_call_without_an_answer_ends() {
        let silence = std::future::pending::<Result<(), kube::Error>>();
        let error = call_within(Duration::from_millis(1), "read Secret", silence).await.unwrap_err();
        assert_eq!((error.category(), error.is_transient()), ("timeout", true));
    }
}
