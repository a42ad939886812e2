//! Claims partitions: the epoch of a row decides which worker may write it.
//!
//! A new owner raises the epoch, and from then on every compare-and-set of the former owner misses. It may do so if its
//! assignment is of the same or a later generation of the group than the row's. The generations of a recreated group
//! start at 1 again. For that case, a row that nobody has written for two session timeouts, by the database's clock, is
//! free.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Row, types::Type};

use super::{
    reconnecting_client::within,
    session::{ANSWER_WITHIN, LedgerKey},
};
use crate::{
    domain::ledger_rules::{LedgerRules, RuleDetails, StoredRules},
    partition_failure::PartitionFailure,
    postgres_error::DatabaseError,
    store::{Assignment, LedgerChecksum, offsets::PartitionOffsets},
};

/// The columns follow.
const ACQUIRE: &str = "\
UPDATE balancefleet.part SET epoch = epoch + 1, generation = $4, owner = $5, touched = clock_timestamp()
 WHERE group_id = $1 AND topic = $2 AND partition = $3
   AND (generation <= $4 OR touched < clock_timestamp() - $6 * interval '1 millisecond')
RETURNING ";

/// The owner of a partition that could not be acquired; without a row, whether there are balances all the same.
const SELECT_OWNER: &str = "\
SELECT p.owner, p.generation, EXISTS (
           SELECT FROM balancefleet.bal WHERE group_id = $1 AND topic = $2 AND partition = $3)
  FROM (SELECT) AS one LEFT JOIN balancefleet.part AS p ON p.group_id = $1 AND p.topic = $2 AND p.partition = $3";

/// The outcome of a claim.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is this worker's now.
    Ours(PartitionRow),
    /// Another worker has a better right.
    Held { owner: String, generation: i32 },
    /// It has no row and no balances.
    Free,
    /// It has no row, but it has balances.
    Orphaned,
}

impl Claim {
    /// The row's epoch, if the partition is this worker's.
    pub(super) const fn epoch(&self) -> Option<i64> {
        match self {
            Self::Ours(part) => Some(part.epoch),
            Self::Held { .. } | Self::Free | Self::Orphaned => None,
        }
    }
}

/// A row of `part`.
#[derive(Clone, Debug)]
pub(super) struct PartitionRow {
    pub(super) topic_id: String,
    pub(super) start_offset: i64,
    pub(super) next_offset: i64,
    pub(super) leader_epoch: Option<i32>,
    pub(super) rules: String,
    pub(super) rule_details: Option<String>,
    pub(super) checksum: LedgerChecksum,
    pub(super) epoch: i64,
    /// Whether the balances are withheld from readers, because a worker has found that they must not be used (column
    /// `torn`).
    pub(super) is_withheld: bool,
}

impl PartitionRow {
    /// The columns that [`PartitionRow::read`] expects. Tools may read tables of the first release, which lack the last
    /// one.
    pub(super) const COLUMNS: &str = "topic_id, base_offset, next_offset, leader_epoch, rules, customers, checksum, epoch, \
                                       torn, to_jsonb(part) ->> 'rule_details'";

    pub(super) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let customers: i64 = row.try_get(5)?;
        // An unreadable checksum fits no ledger, so the partition is reported as torn.
        let checksum = u64::from_str_radix(row.try_get(6)?, 16).unwrap_or_default();
        Ok(Self {
            topic_id: row.try_get(0)?,
            start_offset: row.try_get(1)?,
            next_offset: row.try_get(2)?,
            leader_epoch: row.try_get(3)?,
            rules: row.try_get(4)?,
            checksum: LedgerChecksum { customers: customers.cast_unsigned(), digest_sum: checksum },
            epoch: row.try_get(7)?,
            is_withheld: row.try_get(8)?,
            rule_details: row.try_get(9)?,
        })
    }

    /// The columns `customers` and `checksum`.
    pub(super) fn checksum_columns(checksum: LedgerChecksum) -> (i64, String) {
        (checksum.customers.cast_signed(), format!("{:016x}", checksum.digest_sum))
    }

    /// Checks that the row belongs to this topic.
    pub(super) fn check_topic(&self, topic_id: &str) -> Result<(), PartitionFailure> {
        if self.topic_id == topic_id {
            return Ok(());
        }
        Err(PartitionFailure::TopicRecreated { expected: self.topic_id.clone(), found: topic_id.to_owned() })
    }

    /// Passes what the row says about the ledger's rules to `ask`.
    pub(super) fn stored_rules<T>(&self, ask: impl FnOnce(StoredRules<'_>) -> T) -> Result<T, PartitionFailure> {
        let (start_offset, next_offset) = (self.start_offset, self.next_offset);
        let ledger = LedgerMark { topic_id: self.topic_id.as_str(), start_offset, next_offset };
        let details = RuleColumn::read(self.rule_details.as_deref(), &self.rules, ledger)
            .map_err(|error| PartitionFailure::UnreadableProgress { reason: format!("rule_details: {error}") })?;
        Ok(ask(StoredRules { hash: &self.rules, details: details.as_ref(), start_offset, next_offset }))
    }
}

/// Claims each of `assigned` in its own transaction, and returns the outcomes in that order. An error of one, for
/// example because another session has locked its row, does not affect the others.
///
/// # Errors
/// The connection does not answer any more; partitions claimed until then are claimed again.
pub(super) async fn claim(
    client: &Client,
    ledger_key: &LedgerKey,
    assigned: &[Assignment],
    session_timeout: Duration,
) -> Result<Vec<Result<Claim, DatabaseError>>, DatabaseError> {
    let abandoned_after_millis = i64::try_from((session_timeout * 2).as_millis()).unwrap_or(i64::MAX);
    let mut claims = Vec::with_capacity(assigned.len());
    // One after the other, so that none is still in flight when this worker has given the connection up.
    for assignment in assigned {
        match within(ANSWER_WITHIN, claim_one(client, ledger_key, *assignment, abandoned_after_millis)).await {
            Err(error) if error.ends_session() => return Err(error),
            claim => claims.push(claim),
        }
    }
    Ok(claims)
}

/// The outcome that a claim would have if no other worker held the partition; changes nothing.
pub(super) async fn find(client: &Client, ledger_key: &LedgerKey, partition: i32) -> Result<Claim, DatabaseError> {
    let select = format!(
        "SELECT {} FROM balancefleet.part WHERE group_id = $1 AND topic = $2 AND partition = $3",
        PartitionRow::COLUMNS
    );
    let params =
        [(&ledger_key.group as _, Type::TEXT), (&ledger_key.topic as _, Type::TEXT), (&partition as _, Type::INT4)];
    if let Some(row) = within(ANSWER_WITHIN, client.query_typed_opt(&select, &params)).await? {
        return Ok(Claim::Ours(PartitionRow::read(&row)?));
    }
    let found = within(ANSWER_WITHIN, client.query_typed_one(SELECT_OWNER, &params)).await?;
    Ok(if found.try_get(2)? { Claim::Orphaned } else { Claim::Free })
}

async fn claim_one(
    client: &Client,
    ledger_key: &LedgerKey,
    assignment: Assignment,
    abandoned_after_millis: i64,
) -> Result<Claim, tokio_postgres::Error> {
    let Assignment { partition, generation, .. } = assignment;
    let acquired = client
        .query_typed(
            &format!("{ACQUIRE}{}", PartitionRow::COLUMNS),
            &[
                (&ledger_key.group, Type::TEXT),
                (&ledger_key.topic, Type::TEXT),
                (&partition, Type::INT4),
                (&generation, Type::INT4),
                (&ledger_key.owner, Type::TEXT),
                (&abandoned_after_millis, Type::INT8),
            ],
        )
        .await?;
    if let Some(row) = acquired.first() {
        return Ok(Claim::Ours(PartitionRow::read(row)?));
    }
    let params =
        [(&ledger_key.group as _, Type::TEXT), (&ledger_key.topic as _, Type::TEXT), (&partition as _, Type::INT4)];
    let found = client.query_typed_one(SELECT_OWNER, &params).await?;
    Ok(match (found.try_get::<_, Option<String>>(0)?, found.try_get::<_, Option<i32>>(1)?) {
        (Some(owner), Some(generation)) => Claim::Held { owner, generation },
        _ if found.try_get(2)? => Claim::Orphaned,
        _ => Claim::Free,
    })
}

/// Identifies the ledger of a row. Only a rebuild changes topic or start, or moves the offset back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LedgerMark<T> {
    pub(super) topic_id: T,
    #[serde(rename = "base")]
    pub(super) start_offset: i64,
    pub(super) next_offset: i64,
}

/// The column `rule_details`, as JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct RuleColumn<T, D> {
    /// The value of `rules` when this column was written. A release that does not know this column leaves it unchanged
    /// when it rebuilds a ledger. Then the two no longer match, and this column is ignored.
    rules: String,
    /// The ledger when this column was written. Without it, `rules` alone decides whether the column counts.
    #[serde(default = "Option::default")]
    ledger: Option<LedgerMark<T>>,
    details: D,
}

impl RuleColumn<String, RuleDetails> {
    /// The details, if they belong to a row with these `rules` and this `ledger`.
    pub(super) fn read(
        column: Option<&str>,
        rules: &str,
        ledger: LedgerMark<&str>,
    ) -> Result<Option<RuleDetails>, serde_json::Error> {
        let Some(column) = column else { return Ok(None) };
        let read: Self = serde_json::from_str(column)?;
        // A worker that does not know the column moves the offset on and leaves the column.
        let is_of = |mark: LedgerMark<String>| {
            (mark.topic_id.as_str(), mark.start_offset) == (ledger.topic_id, ledger.start_offset)
                && mark.next_offset <= ledger.next_offset
        };
        Ok((read.rules == rules && read.ledger.is_none_or(is_of)).then_some(read.details))
    }
}

/// The columns `rules` and `rule_details` of a row for `ledger`.
pub(super) fn rule_columns(rules: &LedgerRules, ledger: LedgerMark<&str>) -> (String, String) {
    let hash = rules.hash();
    // Serializing texts and numbers cannot fail.
    let column =
        serde_json::to_string(&RuleColumn { rules: hash.clone(), ledger: Some(ledger), details: rules.details() });
    (hash, column.unwrap_or_default())
}

/// Checks that a partition can continue from its row, and returns the rules of its ledger. The group's offset in Kafka
/// does not matter: it follows the row, so that others see the lag.
pub(super) fn check_resumable(
    part: &PartitionRow,
    ledger_key: &LedgerKey,
    topic_id: &str,
    offsets: &PartitionOffsets,
) -> Result<LedgerRules, PartitionFailure> {
    part.check_topic(topic_id)?;
    // Checked before the rules: readers with other settings must not get balances that the log no longer has, either.
    offsets.check_in_log(part.next_offset)?;
    Ok(part.stored_rules(|stored| LedgerRules::take_over(stored, &ledger_key.worker_rules))??)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{ledger_rules::tests::worker_rules, money::Currency};

    fn decided(change: impl FnOnce(&mut PartitionRow), log: std::ops::Range<i64>) -> Result<(), PartitionFailure> {
        let rules = Arc::new(worker_rules(&[]));
        let ledger_key =
            LedgerKey { group: "g".into(), topic: "t".into(), worker_rules: rules.clone(), owner: "o".into() };
        let mut part = PartitionRow {
            topic_id: "i".into(),
            start_offset: 5,
            next_offset: 60,
            leader_epoch: None,
            rules: rules.hash().to_owned(),
            rule_details: None,
            checksum: LedgerChecksum::default(),
            epoch: 3,
            is_withheld: false,
        };
        change(&mut part);
        // Wherever the group's offset is.
        let offsets = PartitionOffsets { committed: None, log_start: log.start, log_end: log.end };
        check_resumable(&part, &ledger_key, "i", &offsets).map(drop)
    }

    #[test]
    fn a_partition_goes_on_from_its_row_whatever_the_group_has_committed() {
        assert_eq!(decided(|_| {}, 50..90), Ok(()));
    }

    #[test]
    fn the_rows_of_other_rules_or_topics_are_refused() {
        assert!(matches!(
            decided(|part| part.rules = "x".into(), 0..90),
            Err(PartitionFailure::LedgerSettingsChanged(_))
        ));
        assert!(matches!(
            decided(|part| part.topic_id = "x".into(), 0..90),
            Err(PartitionFailure::TopicRecreated { .. })
        ));
    }

    #[test]
    fn details_count_only_beside_the_hash_they_were_written_with() {
        let finer = worker_rules(&[("EUR", 4)]);
        let mut rules = LedgerRules::begin(&finer, 5);
        rules.note_currency(Currency::parse("EUR").unwrap(), &finer);
        let (hash, details) = rule_columns(&rules, LedgerMark { topic_id: "i", start_offset: 5, next_offset: 60 });
        // The first release has rebuilt it since, with its own settings.
        assert_eq!(decided(|part| part.rule_details = Some(details.clone()), 0..90), Ok(()));
        let as_written =
            |part: &mut PartitionRow| (part.rules, part.rule_details) = (hash.clone(), Some(details.clone()));
        let failure = decided(as_written, 0..90).unwrap_err().to_string();
        assert!(failure.contains("EUR with 4 decimals") && failure.contains("counts it with 2"), "{failure}");
        let broken = decided(|part| part.rule_details = Some("{".into()), 0..90);
        assert!(matches!(broken, Err(PartitionFailure::UnreadableProgress { .. })), "{broken:?}");
    }

    #[test]
    fn details_count_only_for_the_ledger_they_were_written_with() {
        let worker_rules = worker_rules(&[]);
        let mut rules = LedgerRules::begin(&worker_rules, 5);
        rules.note_currency(Currency::parse("EUR").unwrap(), &worker_rules);
        let at = |topic_id, start_offset, next_offset| LedgerMark { topic_id, start_offset, next_offset };
        let (hash, column) = rule_columns(&rules, at("i", 5, 60));
        let read = |ledger| RuleColumn::read(Some(&column), &hash, ledger).unwrap();
        for goes_on in [at("i", 5, 60), at("i", 5, 61)] {
            assert_eq!(read(goes_on).as_ref(), Some(rules.details()), "{goes_on:?}");
        }
        for rebuilt in [at("x", 5, 60), at("i", 0, 60), at("i", 7, 90), at("i", 5, 59)] {
            assert_eq!(read(rebuilt), None, "{rebuilt:?}");
        }
        let before = serde_json::to_string(&serde_json::json!({"rules": hash, "details": rules.details()})).unwrap();
        assert_eq!(RuleColumn::read(Some(&before), &hash, at("i", 0, 60)).unwrap().as_ref(), Some(rules.details()));
    }

    #[test]
    fn records_that_are_gone_before_they_were_folded_are_told() {
        assert!(matches!(decided(|_| {}, 61..90), Err(PartitionFailure::OffsetOutOfRange { offset: 60 })));
        for change in [|_: &mut PartitionRow| {}, |part: &mut PartitionRow| part.rules = "x".into()] {
            assert!(matches!(decided(change, 0..59), Err(PartitionFailure::CommittedBeyondEnd { .. })));
        }
    }
}
