//! What workers tell each other on `/internal/v1/partitions`: lines of JSON, first the facts about the worker, then
//! one line per partition it answers for.
//!
//! Rows are arrays, since a whole list repeats their shape for every customer. Amounts travel as whole minor units. A
//! line may hold a whole partition: it is written and read row by row, and every row is charged before it is kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, Read, Write};
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::memory::{self, Charge, Exceeded, MemoryShare};
use super::merge::{Answer, LedgerIdentity};
use crate::domain::id::Id;
use crate::domain::ledger_rules::WorkerRules;
use crate::domain::money::{Amount, Currency};
use crate::view::{BalanceRow, PartitionBalances};

/// Where a worker answers for its own partitions.
pub(crate) const INTERNAL_PATH: &str = "/internal/v1/partitions";
/// Header with the asking worker's consumer id: the peers' DNS name lists the asker too.
pub(crate) const ASKER: &str = "x-balancefleet-asker";
/// Media type of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/x-ndjson";
/// The last line of an answer that stops early because a partition is larger than one answer may be.
pub(crate) const TOO_LARGE: &[u8] = b"{\"refused\":\"TooLarge\"}\n";
/// No row and no head of a line is longer.
const MOST_BYTES_OF_ONE: usize = 256 * 1024;

/// First line: who answers, and for which ledger.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerInfo {
    pub(crate) consumer_id: String,
    pub(crate) group_id: String,
    pub(crate) topic: String,
    pub(crate) topic_id: String,
    /// All that workers of the first release compare. A worker that they may add to sends the hash that they would
    /// write themselves (see [`crate::domain::ledger_rules`]).
    pub(crate) rules_hash: String,
    pub(crate) partition_count: i32,
    /// What later releases compare. Workers of the first release do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<RuleInfo>,
}

/// The rules that made a worker's balances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleInfo {
    /// [`Rules::non_default_rules`](crate::domain::rules::Rules::non_default_rules): kind and signs.
    #[serde(rename = "identity")]
    pub(crate) non_default_rules: String,
    /// Decimals of the currencies that its partitions hold.
    pub(crate) exponents: BTreeMap<Currency, u8>,
    /// Only with a store that keeps no ledger: [`WorkerRules::full_rules_hash`].
    #[serde(rename = "table", default, skip_serializing_if = "Option::is_none")]
    pub(crate) full_rules_hash: Option<String>,
}

/// Customer, amounts, count, last transaction's id, time and offset.
#[derive(Debug, Serialize, Deserialize)]
struct Row<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Vec<WireAmount<'a>>,
    u64,
    #[serde(borrow)] Cow<'a, str>,
    Timestamp,
    i64,
);

/// Currency, decimals, minor units.
#[derive(Debug, Serialize, Deserialize)]
struct WireAmount<'a>(#[serde(borrow)] Cow<'a, str>, u8, i128);

#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("a line is not what this version of the worker understands: {0}")]
    Json(serde_json::Error),
    #[error("sent nothing")]
    Empty,
    #[error("the answer broke off: {0}")]
    BrokenOff(#[from] std::io::Error),
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    #[error("a partition there is larger than one answer may be")]
    TooLarge,
}

impl LedgerInfo {
    /// What the asking worker's ledger must equal before the partitions may be added.
    pub(crate) fn identity(&self, worker_rules: &WorkerRules) -> LedgerIdentity {
        let (non_default_rules, full_rules_hash) = match &self.rules {
            Some(rules) => (rules.non_default_rules.clone(), rules.full_rules_hash.clone()),
            // The first release: the hash stands for our kind and signs. The decimals are in the rows.
            None if worker_rules.overrides_of(&self.rules_hash).is_some() => {
                (worker_rules.non_default_rules().to_owned(), None)
            }
            None => (self.rules_hash.clone(), None),
        };
        LedgerIdentity {
            group_id: self.group_id.clone(),
            topic: self.topic.clone(),
            topic_id: self.topic_id.clone(),
            non_default_rules,
            full_rules_hash,
        }
    }

    /// The answer of this worker, whose ledger is `identity`.
    pub(crate) fn answer(self, identity: LedgerIdentity, partitions: Vec<PartitionBalances>) -> Answer {
        let exponents = match self.rules {
            Some(rules) => rules.exponents,
            None => {
                let rows = partitions.iter().flat_map(|held| &held.rows);
                rows.flat_map(|row| &row.amounts).map(|amount| (amount.currency, amount.exponent)).collect()
            }
        };
        Answer { identity, exponents, partition_count: self.partition_count, partitions }
    }
}

pub(crate) fn begin_partition(
    mut line: impl Write,
    partition: i32,
    generation: i32,
    next_offset: i64,
) -> std::io::Result<()> {
    write!(line, r#"{{"partition":{partition},"generation":{generation},"nextOffset":{next_offset},"rows":["#)
}

/// Writes one row; `is_first` of its line.
pub(crate) fn write_row(mut line: impl Write, row: &BalanceRow, is_first: bool) -> std::io::Result<()> {
    if !is_first {
        line.write_all(b",")?;
    }
    Ok(serde_json::to_writer(line, &Row::of(row))?)
}

pub(crate) fn end_partition(mut line: impl Write) -> std::io::Result<()> {
    line.write_all(b"]}\n")
}

pub(crate) fn write_partition(mut line: impl Write, held: &PartitionBalances) -> std::io::Result<()> {
    begin_partition(&mut line, held.partition, held.generation, held.next_offset)?;
    for (number, row) in held.rows.iter().enumerate() {
        write_row(&mut line, row, number == 0)?;
    }
    end_partition(line)
}

/// Reads a whole answer and charges its rows. If the answer is for another ledger than `asker`'s, only its first line
/// is read.
pub(crate) fn read_answer(
    answer: impl BufRead,
    asker: &LedgerIdentity,
    worker_rules: &WorkerRules,
    charge: &Arc<Charge>,
) -> Result<Answer, WireError> {
    let since_last = Cell::new(0);
    let mut lines = Bounded { inner: answer, since_last: &since_last };
    if !lines.has_more()? {
        return Err(WireError::Empty);
    }
    let ledger_info =
        LedgerInfo::deserialize(&mut serde_json::Deserializer::from_reader(&mut lines)).map_err(of_json)?;
    let (identity, mut partitions) = (ledger_info.identity(worker_rules), Vec::new());
    while identity == *asker && lines.has_more()? {
        since_last.set(0);
        partitions.push(read_line(&mut serde_json::Deserializer::from_reader(&mut lines), &since_last, charge)?);
    }
    Ok(ledger_info.answer(identity, partitions))
}

/// [`read_answer`] for a bounded answer that is already in memory: a slice is parsed without a call for each byte.
pub(crate) fn read_short_answer(
    answer: &[u8],
    asker: &LedgerIdentity,
    worker_rules: &WorkerRules,
    charge: &Arc<Charge>,
) -> Result<Answer, WireError> {
    let mut lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let ledger_info: LedgerInfo = serde_json::from_slice(lines.next().ok_or(WireError::Empty)?).map_err(of_json)?;
    let (identity, mut partitions) = (ledger_info.identity(worker_rules), Vec::new());
    for line in lines.filter(|_| identity == *asker) {
        let mut line = serde_json::Deserializer::from_slice(line);
        partitions.push(read_line(&mut line, &Cell::new(0), charge)?);
        line.end().map_err(of_json)?;
    }
    Ok(ledger_info.answer(identity, partitions))
}

/// Reads the line of one partition and charges its rows.
fn read_line<'de>(
    line: &mut serde_json::Deserializer<impl serde_json::de::Read<'de>>,
    since_last: &Cell<usize>,
    charge: &Arc<Charge>,
) -> Result<PartitionBalances, WireError> {
    let (mut share, mut exceeded) = (charge.share(), None);
    let read = LineSeed { share: &mut share, since_last, exceeded: &mut exceeded }.deserialize(line);
    let held = match (exceeded, read) {
        (Some(exceeded), _) => return Err(exceeded.into()),
        (None, Err(error)) => return Err(of_json(error)),
        (None, Ok(Line::Refused)) => return Err(WireError::TooLarge),
        (None, Ok(Line::Partition(held))) => held,
    };
    share.keep();
    Ok(held)
}

fn of_json(error: serde_json::Error) -> WireError {
    if error.is_io() { WireError::BrokenOff(error.into()) } else { WireError::Json(error) }
}

/// Bounds what is read between two rows: a text that does not end must not fill the memory.
struct Bounded<'a, R> {
    inner: R,
    since_last: &'a Cell<usize>,
}

impl<R: BufRead> Bounded<'_, R> {
    /// Passes over what is between lines.
    fn has_more(&mut self) -> std::io::Result<bool> {
        loop {
            let ahead = self.inner.fill_buf()?;
            let blank = ahead.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            match (ahead.is_empty(), blank < ahead.len()) {
                (true, _) => return Ok(false),
                (false, true) => {
                    self.inner.consume(blank);
                    return Ok(true);
                }
                (false, false) => self.inner.consume(blank),
            }
        }
    }
}

impl<R: BufRead> Read for Bounded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        let since_last = self.since_last.get() + read;
        self.since_last.set(since_last);
        if since_last > MOST_BYTES_OF_ONE {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a row is longer than any can be"));
        }
        Ok(read)
    }
}

/// A line after the first.
enum Line {
    Partition(PartitionBalances),
    Refused,
}

struct LineSeed<'a> {
    share: &'a mut MemoryShare,
    since_last: &'a Cell<usize>,
    exceeded: &'a mut Option<Exceeded>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Partition,
    Generation,
    NextOffset,
    Rows,
    Refused,
    /// Of a later release.
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = Line;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Line, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_> {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a partition, or why there is none")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
        let Self { share, since_last, exceeded } = self;
        let (mut partition, mut generation, mut next_offset, mut rows, mut is_refused) =
            (None, None, None, None, false);
        while let Some(field) = map.next_key()? {
            match field {
                Field::Partition => partition = Some(map.next_value()?),
                Field::Generation => generation = Some(map.next_value()?),
                Field::NextOffset => next_offset = Some(map.next_value()?),
                Field::Rows => {
                    let (share, exceeded) = (&mut *share, &mut *exceeded);
                    rows = Some(map.next_value_seed(RowsSeed(LineSeed { share, since_last, exceeded }))?);
                }
                Field::Refused => is_refused = map.next_value::<IgnoredAny>().map(|_| true)?,
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if is_refused {
            return Ok(Line::Refused);
        }
        let missing = A::Error::missing_field;
        let partition = partition.ok_or_else(|| missing("partition"))?;
        let mut rows: Vec<BalanceRow> = rows.ok_or_else(|| missing("rows"))?;
        rows.iter_mut().for_each(|row| row.partition = partition);
        Ok(Line::Partition(PartitionBalances {
            partition,
            generation: generation.ok_or_else(|| missing("generation"))?,
            next_offset: next_offset.ok_or_else(|| missing("nextOffset"))?,
            rows,
        }))
    }
}

struct RowsSeed<'a>(LineSeed<'a>);

impl<'de> DeserializeSeed<'de> for RowsSeed<'_> {
    type Value = Vec<BalanceRow>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed<'_> {
    type Value = Vec<BalanceRow>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Self(LineSeed { share, since_last, exceeded }) = self;
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element::<Row<'de>>()? {
            since_last.set(0);
            let row = row.read().map_err(A::Error::custom)?;
            if let Err(error) = share.take(row.bytes()) {
                *exceeded = Some(error);
                return Err(A::Error::custom(error));
            }
            memory::push(&mut rows, row);
        }
        Ok(rows)
    }
}

impl<'a> Row<'a> {
    fn of(row: &'a BalanceRow) -> Self {
        let amounts = row
            .amounts
            .iter()
            .map(|amount| WireAmount(Cow::Borrowed(amount.currency.as_str()), amount.exponent, amount.minor_units));
        Self(
            row.customer.cow(),
            amounts.collect(),
            row.count,
            row.last_transaction_id.cow(),
            row.last_updated,
            row.last_offset,
        )
    }

    /// The line knows the partition.
    fn read(self) -> Result<BalanceRow, String> {
        let Self(customer, amounts, count, last_transaction_id, last_updated, last_offset) = self;
        Ok(BalanceRow {
            customer: Id::from(&*customer),
            amounts: amounts.into_iter().map(WireAmount::read).collect::<Result<_, _>>()?,
            count,
            last_transaction_id: Id::from(&*last_transaction_id),
            last_updated,
            last_offset,
            partition: -1,
        })
    }
}

impl WireAmount<'_> {
    fn read(self) -> Result<Amount, String> {
        let Self(code, exponent, minor_units) = self;
        let currency = Currency::parse(&code).ok_or_else(|| format!("{code:?} is not a currency"))?;
        Ok(Amount { currency, minor_units, exponent })
    }
}
