//! `/internal/v1/partitions`: this worker's own partitions, for its peers. It never asks other workers.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;

use super::balances::checked_customer_id;
use super::errors::{ApiError, ErrorBody};
use super::fleet::{self, ASKER, BalanceQuery, Fleet, Line};
use super::limits::MAX_LISTED;
use super::state::Api;
use super::streaming_body;

/// Digits of a partition's number: as many as always fit an `i32`.
const MAX_DIGITS: usize = 9;

/// What a peer asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Rows of this customer only.
    #[param(min_length = 1, max_length = 128)]
    customer: Option<String>,
    /// These partitions only, as `0,3,5`; at most 500.
    #[param(pattern = "^[0-9]{1,9}(,[0-9]{1,9}){0,499}$")]
    partitions: Option<String>,
}

#[utoipa::path(
    get, path = "/internal/v1/partitions", operation_id = "readOwnPartitions", tag = "internal",
    summary = "This worker's own partitions, for its peers",
    params(Filter),
    responses(
        (status = 200, description = "Lines of JSON: facts about the worker, then one line per partition", body = String, content_type = "application/x-ndjson"),
        (status = 400, description = "Not such a filter", body = ErrorBody),
        (status = 413, description = "More customers than one answer may have", body = ErrorBody),
        (status = 503, description = "Not connected yet, or busy", body = ErrorBody)
    )
)]
pub(super) async fn partitions(
    State(api): State<Api>,
    headers: HeaderMap,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(filter) = filter.map_err(|_| ApiError::Filter)?;
    let only = filter.only()?;
    let query = filter.query()?;
    let ledger_info = fleet::ledger_info(&api.view).ok_or(ApiError::TopicUnknown)?;
    let asks_itself = headers.get(ASKER).is_some_and(|asker| asker.as_bytes() == ledger_info.consumer_id.as_bytes());
    let partitions = if asks_itself { Vec::new() } else { fleet::answerable(&api.view, only.as_deref()) };
    let mut text = serde_json::to_vec(&ledger_info).map_err(|_| ApiError::Internal)?;
    text.push(b'\n');
    let body = match query {
        BalanceQuery::Customer(customer) => {
            let write = |held| fleet::write_partition(&mut text, &held).map_err(|_| ApiError::Internal);
            fleet::of_customer(&api.view, partitions, &customer).try_for_each(write)?;
            text.into()
        }
        BalanceQuery::All => {
            // Before the answer is begun: then it can still be said in the way that everybody understands.
            fleet::fits(&api.view, &partitions)?;
            streaming_body::body(stream::once(async { Ok(text.into()) }).chain(lines(api.fleet, partitions)))
        }
    };
    Ok(([(header::CONTENT_TYPE, fleet::CONTENT_TYPE)], body).into_response())
}

/// One partition at a time is copied out of the view, and sent before the next.
fn lines(fleet: Arc<Fleet>, partitions: Vec<i32>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let to_do = (fleet, partitions.into_iter(), None::<Line>);
    stream::try_unfold(to_do, |(fleet, mut partitions, mut line)| async move {
        loop {
            if let Some(piece) = line.as_mut().and_then(Line::next_piece) {
                return Ok(Some((piece, (fleet, partitions, line))));
            }
            // Its memory is given back before the next one is copied.
            drop(line.take());
            let Some(partition) = partitions.next() else { return Ok(None) };
            line = match fleet.line(partition).await {
                Ok(line) => line,
                Err(ApiError::TooLarge) => {
                    let refused = Bytes::from_static(fleet::TOO_LARGE);
                    return Ok(Some((refused, (fleet, Vec::new().into_iter(), None))));
                }
                Err(error) => return Err(io::Error::other(error)),
            };
        }
    })
}

impl Filter {
    fn query(self) -> Result<BalanceQuery, ApiError> {
        self.customer.map_or(Ok(BalanceQuery::All), |id| checked_customer_id(id).map(BalanceQuery::Customer))
    }

    fn only(&self) -> Result<Option<Vec<i32>>, ApiError> {
        self.partitions.as_deref().map(partition_numbers).transpose()
    }
}

/// As the OpenAPI document says: nothing but digits and commas. `i32` alone would read signs too.
fn partition_numbers(list: &str) -> Result<Vec<i32>, ApiError> {
    let number = |text: &str| {
        let is_plain = text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse().ok()).flatten().ok_or(ApiError::Filter)
    };
    let numbers = list.split(',').take(MAX_LISTED + 1).map(number).collect::<Result<Vec<_>, _>>()?;
    if numbers.len() <= MAX_LISTED { Ok(numbers) } else { Err(ApiError::Filter) }
}
