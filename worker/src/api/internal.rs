//! `/internal/v1/partitions`: this worker's own partitions, for its peers. Local only: it never asks on.

use std::io::{self, Write};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::fleet::{self, ASKER, Facts, Wanted};
use super::refusal::{ErrorBody, Refusal};
use super::{Api, chunks};
use crate::transaction::MAX_ID_BYTES;
use crate::view::View;

/// What a peer asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Rows of this customer only.
    customer: Option<String>,
    /// These partitions only, as `0,3,5`.
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
        match self.customer {
            None => Ok(Wanted::All),
            Some(id) if !id.is_empty() && id.len() <= MAX_ID_BYTES => Ok(Wanted::Customer(id)),
            Some(_) => Err(Refusal::CustomerId),
        }
    }

    fn only(&self) -> Result<Option<Vec<i32>>, Refusal> {
        let numbers =
            |list: &String| list.split(',').map(|number| number.parse().map_err(|_| Refusal::Filter)).collect();
        self.partitions.as_ref().map(numbers).transpose()
    }
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
