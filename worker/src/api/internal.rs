//! `/internal/v1/partitions`: this worker's own partitions, for its peers. Local only: it never asks on.

use std::io::{self, Write};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::fleet::{self, ASKER, Facts, MAX_LISTED, Wanted};
use super::refusal::{ErrorBody, Refusal};
use super::{Api, chunks, customer_id};
use crate::view::View;

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
        (status = 503, description = "Not connected yet, or busy", body = ErrorBody)
    )
)]
pub(super) async fn partitions(
    State(api): State<Api>,
    headers: HeaderMap,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(filter) = filter.map_err(|_| Refusal::Filter)?;
    let only = filter.only()?;
    let wanted = filter.wanted()?;
    let facts = fleet::facts(&api.view).ok_or(Refusal::TopicUnknown)?;
    let asks_itself = headers.get(ASKER).is_some_and(|asker| asker.as_bytes() == facts.consumer_id.as_bytes());
    let body = match wanted {
        _ if asks_itself => Body::from(lines(&api.view, &facts, &wanted, Some(&[]))?),
        Wanted::Customer(_) => Body::from(lines(&api.view, &facts, &wanted, only.as_deref())?),
        Wanted::All => {
            let turn = api.fleet.turn_for_peer()?;
            chunks::body(move |writer| {
                let _held_until_written = turn;
                write(writer, &api.view, &facts, &wanted, only.as_deref())
            })
        }
    };
    Ok(([(header::CONTENT_TYPE, fleet::CONTENT_TYPE)], body).into_response())
}

impl Filter {
    fn wanted(self) -> Result<Wanted, Refusal> {
        self.customer.map_or(Ok(Wanted::All), |id| customer_id::checked(id).map(Wanted::Customer))
    }

    fn only(&self) -> Result<Option<Vec<i32>>, Refusal> {
        self.partitions.as_deref().map(partition_numbers).transpose()
    }
}

/// As the OpenAPI document says: nothing but digits and commas. `i32` alone would read signs too.
fn partition_numbers(list: &str) -> Result<Vec<i32>, Refusal> {
    let number = |text: &str| {
        let is_plain = text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse().ok()).flatten().ok_or(Refusal::Filter)
    };
    let numbers = list.split(',').take(MAX_LISTED + 1).map(number).collect::<Result<Vec<_>, _>>()?;
    if numbers.len() <= MAX_LISTED { Ok(numbers) } else { Err(Refusal::Filter) }
}

fn lines(view: &View, facts: &Facts, wanted: &Wanted, only: Option<&[i32]>) -> Result<Vec<u8>, Refusal> {
    let mut lines = Vec::new();
    write(&mut lines, view, facts, wanted, only).map_err(|_| Refusal::Internal)?;
    Ok(lines)
}

/// One partition at a time is copied out of the view and written.
fn write(writer: &mut impl Write, view: &View, facts: &Facts, wanted: &Wanted, only: Option<&[i32]>) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, facts)?;
    writer.write_all(b"\n")?;
    for held in fleet::partitions(view, wanted, only) {
        fleet::write_partition(&mut *writer, &held)?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}
