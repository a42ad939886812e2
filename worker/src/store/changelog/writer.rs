//! What a transaction writes: changed customers, progress, dead letters, and the group's offsets last.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::{OffsetToCommit, Record, Refusal, Rows, TransactionError, TransactionalProducer, UsageRecord};

use super::{
    Changelog, Standing,
    batches::{Largest, What},
    producer::Letters,
    progress::{Ledger as Identity, ProgressRecord},
    rows::{PROGRESS, RowWriter},
};
use crate::{
    ledger::DeadLetter,
    ledger_rules::LedgerRules,
    store::{Batch, Progress, Seal},
};

/// So many bytes of rows are gathered before they go to the client together.
const AT_ONCE: usize = 64 << 10;
/// Says that a dead letter is not whole: part of the value, no headers of its own, and a key only if that is small.
const TRUNCATED: (&str, Option<&[u8]>) = ("balancefleet.truncated", Some(b"true"));

/// One partition's share of a transaction.
pub(super) struct Share<'a> {
    pub(super) progress: &'a Progress,
    pub(super) standing: Standing,
}

/// The whole ledger of a share as its transaction leaves it.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) seal: Seal,
    pub(super) rules: Arc<LedgerRules>,
}

impl Share<'_> {
    /// Gives `send` key and value of each changed customer, then of the progress.
    pub(super) fn rows<E>(
        &self,
        identity: &Identity<'_>,
        mut send: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Written, E> {
        let Share { progress, standing } = self;
        let (mut row, mut seal, mut rules) = (RowWriter::default(), standing.seal, standing.rules.clone());
        for (id, changed) in progress.changes.customers() {
            seal = seal.changed(changed.before, row.write(id, &changed.now));
            LedgerRules::hold_all(&mut rules, &changed.now, identity.book);
            send(row.key(), row.value())?;
        }
        let Standing { base, .. } = standing;
        let written = ProgressRecord::new(identity, &rules, *base, progress.next_offset, progress.leader_epoch, seal);
        let written = ProgressRecord { partial: progress.is_partial, ..written };
        send(PROGRESS, &written.to_json())?;
        Ok(Written { seal, rules })
    }
}

/// Writes one transaction.
pub(super) struct Writer<'a> {
    pub(super) store: &'a Changelog,
    pub(super) producer: &'a TransactionalProducer,
    pub(super) deadline: Instant,
    pub(super) letters: Letters,
}

impl Writer<'_> {
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Everything but its end; offsets only after every record is acknowledged.
    pub(super) fn write(
        &self,
        batch: &Batch,
        shares: &[Share<'_>],
        written: &mut Vec<Written>,
    ) -> Result<(), TransactionError> {
        self.producer.begin()?;
        for share in shares {
            written.push(self.write_share(share)?);
        }
        self.producer.settle(self.deadline)?;
        let topic = &self.store.topic;
        let metadata: Vec<_> = shares.iter().map(|share| share.progress.usage.to_string()).collect();
        let offsets = shares.iter().zip(&metadata).map(|(share, metadata)| OffsetToCommit {
            topic,
            partition: share.progress.assignment.partition,
            offset: share.progress.next_offset,
            leader_epoch: share.progress.leader_epoch,
            metadata,
        });
        let others: Vec<_> = shares.iter().flat_map(|share| &share.progress.others).collect();
        let others = others
            .iter()
            .map(|(partition, offset)| (*partition, *offset, UsageRecord::beginning_at(*offset).to_string()));
        let others: Vec<_> = others.collect();
        let begun = others.iter().map(|(partition, offset, metadata)| OffsetToCommit {
            topic,
            partition: *partition,
            offset: *offset,
            leader_epoch: None,
            metadata,
        });
        self.producer.send_offsets(&offsets.chain(begun).collect::<Vec<_>>(), &batch.membership, self.left())
    }

    fn write_share(&self, share: &Share<'_>) -> Result<Written, TransactionError> {
        let partition = share.progress.assignment.partition;
        let identity = self.store.identity();
        let mut rows = Rows::default();
        let send = |rows: &mut Rows| self.producer.send_rows(&self.store.log.name, partition, rows, self.deadline);
        let written = share.rows(&identity, |key, value| {
            rows.push(key, value);
            if rows.size() < AT_ONCE { Ok(()) } else { send(&mut rows) }
        })?;
        send(&mut rows)?;
        for letter in share.progress.changes.dead_letters() {
            self.write_dead_letter(partition, letter)?;
        }
        Ok(written)
    }

    fn write_dead_letter(&self, partition: i32, letter: &DeadLetter) -> Result<(), TransactionError> {
        let Some(topic) = &self.store.dead_letter_topic else { return Ok(()) };
        let origin = self.store.origin(partition, letter);
        let ours = origin.each_ref().map(|(name, value)| (*name, Some(value.as_bytes())));
        if !(self.letters.are_cut && letter.size() > self.letters.whole_bytes) {
            let kept = letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let headers: Vec<_> = kept.chain(ours).collect();
            let (key, value) = (letter.key.as_deref(), letter.value.as_deref());
            let whole = Record { topic, partition: None, key, value, headers: &headers };
            match self.producer.send(&whole, self.deadline) {
                Err(TransactionError::Refused { why: Refusal::TooLarge, .. }) => {}
                outcome => return outcome,
            }
        }
        // One letter must never hold up a partition: what is left of it says so.
        let headers: Vec<_> = ours.into_iter().chain([TRUNCATED]).collect();
        let (key, value) = cut(letter, self.letters.kept_bytes);
        self.producer.send(&Record { topic, partition: None, key, value, headers: &headers }, self.deadline)
    }
}

/// Key and value of a dead letter that is cut.
fn cut(letter: &DeadLetter, kept_bytes: usize) -> (Option<&[u8]>, Option<&[u8]>) {
    let key = letter.key.as_deref().filter(|key| key.len() <= kept_bytes);
    (key, letter.value.as_deref().map(|value| &value[..value.len().min(kept_bytes)]))
}

impl Changelog {
    /// Where a dead letter comes from and why it is one: names and values of headers.
    fn origin(&self, partition: i32, letter: &DeadLetter) -> [(&'static str, String); 8] {
        [
            ("__connect.errors.topic", self.topic.clone()),
            ("__connect.errors.partition", partition.to_string()),
            ("__connect.errors.offset", letter.offset.to_string()),
            ("__connect.errors.connector.name", self.group.clone()),
            ("__connect.errors.task.id", partition.to_string()),
            ("__connect.errors.stage", "VALUE_CONVERTER".to_owned()),
            ("__connect.errors.exception.class.name", letter.reason.category().to_owned()),
            ("__connect.errors.exception.message", letter.reason.to_string()),
        ]
    }

    /// The largest records that `shares` have for the changelog and for the dead letters, with long ones cut; and whether
    /// any of those is long.
    pub(super) fn largest(
        &self,
        shares: &[Share<'_>],
        Letters { whole_bytes, kept_bytes, .. }: Letters,
    ) -> (Vec<Largest>, bool) {
        let identity = self.identity();
        let mut all = Vec::new();
        let (mut letters, mut has_long_ones) = (Vec::new(), false);
        for share in shares {
            let partition = share.progress.assignment.partition;
            let mut offsets = share.progress.changes.customers().map(|(_, changed)| changed.now.last_offset);
            // In the order of the rows; the progress comes last.
            let note = |key: &[u8], value: &[u8]| {
                let what = offsets.next().map_or(What::Progress, What::Customer);
                all.push(Largest { partition, what, bytes: key.len() + value.len() });
                Ok::<_, Infallible>(())
            };
            let _ = share.rows(&identity, note);
            for letter in share.progress.changes.dead_letters() {
                let is_long = letter.size() > whole_bytes;
                has_long_ones |= is_long;
                let (key, value) = cut(letter, kept_bytes);
                let cut = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
                let kept = if is_long { cut } else { letter.size() };
                let origin = self.origin(partition, letter);
                let headers = origin.iter().map(|(name, value)| name.len() + value.len() + 10);
                let bytes = kept + headers.sum::<usize>() + TRUNCATED.0.len() + 10;
                letters.push(Largest { partition, what: What::DeadLetter(letter.offset), bytes });
            }
        }
        let largest = |all: Vec<Largest>| all.into_iter().max_by_key(|record| record.bytes);
        (largest(all).into_iter().chain(largest(letters)).collect(), has_long_ones)
    }
}
