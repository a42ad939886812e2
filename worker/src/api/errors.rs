//! Every error of a request, with its status and its text in `{"error": …}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fleet::SumError;
use super::limits::{LIST_BYTES, MAX_LISTED};
use crate::domain::transaction::MAX_ID_BYTES;
use crate::view::BalanceRow;

#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("Customer {0} not found")]
    CustomerNotFound(String),
    #[error("A customer id has 1 to {MAX_ID_BYTES} characters")]
    CustomerId,
    #[error("The filter is customer=<id> and partitions=<at most {MAX_LISTED} numbers, separated by commas>")]
    Filter,
    #[error("No worker answers for these partitions now (they may be moving); try again")]
    Incomplete { missing_partitions: Vec<i32> },
    #[error("This worker has not reached Kafka yet and does not know the topic's partitions; try again")]
    TopicUnknown,
    #[error("The database that holds the balances does not answer now ({kind}); try again")]
    Database { kind: &'static str },
    #[error("Too many balance reads at once; try again")]
    Busy,
    #[error("The request took too long; try again")]
    TooSlow,
    #[error(
        "The whole list of balances is larger than one answer may be ({} MiB in memory, at most {} customers); ask for \
         single customers: /api/Balance/balances/{{customerId}}",
        LIST_BYTES >> 20,
        LIST_BYTES / BalanceRow::LEAST_BYTES
    )]
    TooLarge,
    #[error("Too many requests at once; try again")]
    Overloaded,
    #[error("The balances of the partitions cannot be added: {0}")]
    Sum(#[from] SumError),
    #[error("No such path; /swagger lists them")]
    NoSuchPath,
    #[error("This path answers GET and HEAD only")]
    Method,
    #[error("The request stopped because of a fault in this worker; its log says more")]
    Internal,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::CustomerNotFound(_) | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::CustomerId | Self::Filter => StatusCode::BAD_REQUEST,
            Self::Incomplete { .. }
            | Self::TopicUnknown
            | Self::Database { .. }
            | Self::Busy
            | Self::Overloaded
            | Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Sum(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The body of every refusal.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    /// What went wrong and what to do.
    pub(super) error: String,
    /// With 503 on a balance read: the partitions no worker answered for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing_partitions: Option<Vec<i32>>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let error = self.to_string();
        let missing_partitions = match self {
            Self::Incomplete { missing_partitions } => Some(missing_partitions),
            _ => None,
        };
        let mut response = (status, Json(ErrorBody { error, missing_partitions })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
