//! What this worker itself can say: its own partitions, straight from the view, without the network.

use std::sync::Arc;

use axum::body::Bytes;

use super::memory::{self, Charge, Exceeded, MemoryShare};
use super::merge::{Answer, LedgerIdentity};
use super::peer::{BalanceQuery, PeerRequest};
use super::wire::{self, LedgerInfo, RuleInfo};
use crate::api::errors::ApiError;
use crate::api::limits::LIST_BYTES;
use crate::config::StoreKind;
use crate::domain::rules::LedgerKind;
use crate::view::{BalanceRow, CopyError, PartitionBalances, Snapshot, View};

/// A line for a peer is sent in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;
/// The least bytes of a row in a line: punctuation, a currency, and digits.
const LEAST_ROW_BYTES: usize = 48;
/// The bytes of a row with ids of usual length in a line.
const USUAL_ROW_BYTES: usize = 100;

/// The first line of this worker's answer to a peer: who answers, and for which ledger. `None` until the worker knows
/// the topic.
pub(crate) fn ledger_info(view: &View) -> Option<LedgerInfo> {
    let worker_info = view.worker_info();
    let topic = view.topic()?;
    let (rules_hash, rules) = rule_info(view);
    Some(LedgerInfo {
        consumer_id: worker_info.consumer_id.clone(),
        group_id: worker_info.group_id.clone(),
        topic: worker_info.topic.clone(),
        topic_id: topic.topic_id.clone(),
        rules_hash,
        partition_count: topic.partition_count,
        rules: Some(rules),
    })
}

/// The identity of this worker's ledger, and how many partitions the topic has. A peer's partitions are added only if
/// its ledger has the same identity. `None` until the worker knows the topic.
pub(crate) fn ledger(view: &View) -> Option<(LedgerIdentity, i32)> {
    let (worker_info, topic) = (view.worker_info(), view.topic()?);
    let ledger = LedgerIdentity {
        group_id: worker_info.group_id.clone(),
        topic: worker_info.topic.clone(),
        topic_id: topic.topic_id,
        non_default_rules: view.worker_rules().non_default_rules().to_owned(),
        full_rules_hash: full_rules_hash(view),
    };
    Some((ledger, topic.partition_count))
}

/// The hash of all rules, only with the store replay. That store does not record which currencies were refused, so each
/// restore counts every record by the whole table of decimals: two tables give two ledgers.
fn full_rules_hash(view: &View) -> Option<String> {
    let worker_info = view.worker_info();
    let keeps_none = worker_info.ledger == LedgerKind::Balances && worker_info.store == StoreKind::Replay;
    keeps_none.then(|| view.worker_rules().full_rules_hash().to_owned())
}

/// The hash that peers of the first release compare, and the rules that all others compare.
fn rule_info(view: &View) -> (String, RuleInfo) {
    let worker_rules = view.worker_rules();
    let rules = || RuleInfo {
        non_default_rules: worker_rules.non_default_rules().to_owned(),
        exponents: Default::default(),
        full_rules_hash: None,
    };
    if let Some(full_rules_hash) = full_rules_hash(view) {
        return (full_rules_hash.clone(), RuleInfo { full_rules_hash: Some(full_rules_hash), ..rules() });
    }
    let ledgers = view.ledger_rules();
    let exponents = ledgers.iter().flat_map(|ledger| ledger.counted()).collect();
    let mut hashes: Vec<_> = ledgers.iter().map(|ledger| ledger.hash()).collect();
    hashes.dedup();
    let hash = match hashes.len() {
        0 => worker_rules.hash().to_owned(),
        1 => hashes.remove(0),
        // No hash matches this word: a peer that compares one hash for all partitions must ignore this worker.
        _ => "several".to_owned(),
    };
    (hash, RuleInfo { exponents, ..rules() })
}

/// The requested partitions that this worker may answer for now.
pub(crate) fn answerable(view: &View, only: Option<&[i32]>) -> Vec<i32> {
    let asked = |partition: &i32| only.is_none_or(|only| only.contains(partition));
    view.answerable().into_iter().filter(asked).collect()
}

/// One customer in each of these partitions. The iterator reads a partition when it reaches it.
pub(crate) fn of_customer<'a>(
    view: &'a View,
    partitions: Vec<i32>,
    customer: &'a str,
) -> impl Iterator<Item = PartitionBalances> + 'a {
    partitions.into_iter().filter_map(|partition| view.customer(partition, customer))
}

/// Whether the rows of these partitions fit into one list, estimated before they are copied.
pub(crate) fn fits(view: &View, partitions: &[i32]) -> Result<(), ApiError> {
    let customers: usize = partitions.iter().map(|partition| view.customers(*partition)).sum();
    if customers.saturating_mul(BalanceRow::LEAST_BYTES) > LIST_BYTES { Err(ApiError::TooLarge) } else { Ok(()) }
}

/// This worker's own answer to the request that it sends to its peers; `None` until it knows the topic.
pub(super) fn answer(view: &View, peer_request: &PeerRequest) -> Result<Option<Answer>, ApiError> {
    let Some((identity, partition_count)) = ledger(view) else { return Ok(None) };
    let partitions = answerable(view, peer_request.only.as_deref());
    let partitions = match &peer_request.query {
        BalanceQuery::Customer(id) => of_customer(view, partitions, id).collect(),
        BalanceQuery::All => {
            let copied = partitions.into_iter().map(|partition| rows(view, partition, &peer_request.charge));
            copied.filter_map(Result::transpose).collect::<Result<_, _>>()?
        }
    };
    Ok(Some(Answer::own(identity, partition_count, partitions)))
}

fn rows(view: &View, partition: i32, charge: &Arc<Charge>) -> Result<Option<PartitionBalances>, ApiError> {
    let mut share = charge.share();
    let copied = view.copy(partition, |snapshot| {
        share.take(snapshot.at_most().saturating_mul(BalanceRow::LEAST_BYTES))?;
        // One allocation, as large as the charge.
        let mut rows = memory::room_for(snapshot.at_most());
        for row in snapshot.rows() {
            let row = row?;
            share.take(row.bytes() - BalanceRow::LEAST_BYTES)?;
            rows.push(row);
        }
        let (partition, generation, next_offset) = (partition, snapshot.generation(), snapshot.next_offset());
        Ok::<_, ApiError>(PartitionBalances { partition, generation, next_offset, rows })
    })?;
    share.keep();
    Ok(copied)
}

/// The line of one partition for a peer, with its memory charged; `None` if this worker may not answer for it.
pub(crate) fn line(view: &View, partition: i32, charge: &Arc<Charge>) -> Result<Option<Line>, ApiError> {
    view.copy(partition, |snapshot| Line::of(snapshot, charge.share()))
}

/// A line as it goes over the network.
pub(crate) struct Line {
    rest: Bytes,
    /// Held until all of it is sent.
    _share: MemoryShare,
}

impl Line {
    fn of(snapshot: &Snapshot<'_>, mut share: MemoryShare) -> Result<Self, ApiError> {
        // The least size is charged before anything is allocated.
        let mut charged = snapshot.at_most().saturating_mul(LEAST_ROW_BYTES);
        share.take(charged)?;
        let mut text = memory::room_for(snapshot.at_most().saturating_mul(USUAL_ROW_BYTES));
        let (partition, generation, next_offset) =
            (snapshot.partition(), snapshot.generation(), snapshot.next_offset());
        wire::begin_partition(&mut text, partition, generation, next_offset).map_err(|_| ApiError::Internal)?;
        let mut is_first = true;
        for row in snapshot.rows() {
            wire::write_row(&mut text, &row?, is_first).map_err(|_| ApiError::Internal)?;
            is_first = false;
            share.take(text.len().saturating_sub(charged))?;
            charged = charged.max(text.len());
        }
        wire::end_partition(&mut text).map_err(|_| ApiError::Internal)?;
        Ok(Self { rest: text.into(), _share: share })
    }

    /// The next piece to send.
    pub(crate) fn next_piece(&mut self) -> Option<Bytes> {
        let piece = self.rest.split_to(PIECE_BYTES.min(self.rest.len()));
        (!piece.is_empty()).then_some(piece)
    }
}

impl From<CopyError> for ApiError {
    fn from(error: CopyError) -> Self {
        tracing::debug!(%error, "a partition is not copied now");
        Self::Busy
    }
}

impl From<Exceeded> for ApiError {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Alone => Self::TooLarge,
            Exceeded::Together => Self::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use smallvec::smallvec;

    use super::*;
    use crate::domain::money::{Amount, Currency};

    #[test]
    fn no_row_takes_less_than_the_least() {
        let amount = Amount { currency: Currency::parse("EUR").unwrap(), minor_units: 0, exponent: 2 };
        let least = BalanceRow {
            customer: "A".into(),
            amounts: smallvec![amount],
            count: 1,
            last_transaction_id: "".into(),
            last_updated: Timestamp::UNIX_EPOCH,
            last_offset: 0,
            partition: 0,
        };
        let mut text = Vec::new();
        wire::write_row(&mut text, &least, true).unwrap();
        assert!((LEAST_ROW_BYTES..LEAST_ROW_BYTES + 5).contains(&text.len()), "{}", String::from_utf8_lossy(&text));
    }
}
