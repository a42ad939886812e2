//! `/api/Balance/balances` and `…/{customerId}`: exact balances over the whole fleet.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::balance_shapes::{Balance, BalanceList, list_text};
use super::errors::{ApiError, ErrorBody};
use super::fleet::{BalanceQuery, BalanceRead};
use super::state::Api;
use super::streaming_body;
use crate::domain::rules::LedgerKind;
use crate::domain::transaction::MAX_ID_BYTES;

#[utoipa::path(
    get, path = "/api/Balance/balances", operation_id = "listBalances", tag = "balances", summary = "Every customer's balance",
    responses(
        (status = 200, description = "All of them, ordered by customer", body = BalanceList<'_>),
        (status = 413, description = "More customers than one answer may have; ask for single ones", body = ErrorBody),
        (status = 503, description = "Not every partition answered; try again", body = ErrorBody),
        (status = 500, description = "A sum leaves the range of numbers", body = ErrorBody)
    )
)]
pub(super) async fn list(State(api): State<Api>) -> Result<Response, ApiError> {
    if api.view.worker_info().ledger == LedgerKind::Count {
        return Ok(Json(BalanceList::empty(&BTreeMap::new())).into_response());
    }
    let text = list_text(api.fleet.read(BalanceQuery::All).await?).map_err(|_| ApiError::Internal)?;
    let body = streaming_body::written(text);
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

#[utoipa::path(
    get, path = "/api/Balance/balances/{customerId}", operation_id = "getBalance", tag = "balances", summary = "One customer's balance",
    params(("customerId" = String, Path, description = "Case matters", min_length = 1, max_length = 128, example = "CUST-001")),
    responses(
        (status = 200, description = "The sum over all partitions", body = Balance<'_>),
        (status = 400, description = "Not a customer id", body = ErrorBody),
        (status = 404, description = "No transaction of this customer", body = ErrorBody),
        (status = 503, description = "Not every partition answered; try again", body = ErrorBody),
        (status = 500, description = "The sum leaves the range of numbers", body = ErrorBody)
    )
)]
pub(super) async fn one(
    State(api): State<Api>,
    customer_id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = customer_id.map_err(|_| ApiError::CustomerId)?;
    let customer_id = checked_customer_id(id)?;
    if api.view.worker_info().ledger == LedgerKind::Count {
        return Err(ApiError::CustomerNotFound(customer_id));
    }
    let BalanceRead { balances, charge: _until_answered } =
        api.fleet.read(BalanceQuery::Customer(customer_id.clone())).await?;
    let as_of = balances.as_of.clone();
    match balances.into_customers().next().transpose()? {
        Some(customer) => Ok(Json(Balance::of(&customer, Some(&as_of))).into_response()),
        None => Err(ApiError::CustomerNotFound(customer_id)),
    }
}

/// The id, if it has 1 to 128 characters. The OpenAPI document can limit characters only, not bytes. No record's id has
/// more characters than that, so every customer can be asked for.
pub(super) fn checked_customer_id(id: String) -> Result<String, ApiError> {
    let is_short = id.chars().nth(MAX_ID_BYTES).is_none();
    if !id.is_empty() && is_short { Ok(id) } else { Err(ApiError::CustomerId) }
}
