//! `/api/Balance/balances` and `…/{customerId}`: exact balances over the whole fleet.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::balance_shapes::{Balance, BalanceList};
use super::fleet::{FleetBalances, Read, Wanted};
use super::refusal::{ErrorBody, Refusal};
use super::{Api, chunks, customer_id};
use crate::rules::LedgerKind;

#[utoipa::path(
    get, path = "/api/Balance/balances", operation_id = "listBalances", tag = "balances", summary = "Every customer's balance",
    responses(
        (status = 200, description = "All of them, ordered by customer", body = BalanceList<'_>),
        (status = 503, description = "Not every partition answered; try again", body = ErrorBody),
        (status = 500, description = "The list is too large, or a sum leaves the range of numbers", body = ErrorBody)
    )
)]
pub(super) async fn list(State(api): State<Api>) -> Result<Response, Refusal> {
    if api.view.identity().ledger == LedgerKind::Count {
        return Ok(Json(BalanceList::of(&FleetBalances::default())).into_response());
    }
    let Read { cover, turn } = api.fleet.read(Wanted::All).await?;
    let balances = tokio::task::spawn_blocking(|| cover.sum()).await.map_err(|_| Refusal::Internal)??;
    let body = chunks::body(move |writer| {
        let _held_until_written = turn;
        Ok(serde_json::to_writer(writer, &BalanceList::of(&balances))?)
    });
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
) -> Result<Response, Refusal> {
    let Path(id) = customer_id.map_err(|_| Refusal::CustomerId)?;
    let customer_id = customer_id::checked(id)?;
    if api.view.identity().ledger == LedgerKind::Count {
        return Err(Refusal::CustomerNotFound(customer_id));
    }
    let Read { cover, turn: _turn } = api.fleet.read(Wanted::Customer(customer_id.clone())).await?;
    let balances = cover.sum()?;
    match balances.customers.first() {
        Some(customer) => Ok(Json(Balance::of(customer, Some(&balances.as_of))).into_response()),
        None => Err(Refusal::CustomerNotFound(customer_id)),
    }
}
