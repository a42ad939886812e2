//! What a transaction writes: changed customers, progress, dead letters, and the group's offsets last.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::{OffsetToCommit, Record, Refusal, Rows, TransactionError, TransactionalProducer, UsageRecord};

use super::{
    Changelog, Standing,
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
/// Of a record that is too large for the dead letter topic, so much is kept.
const KEPT_BYTES: usize = 16 << 10;
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
    pub(super) cuts_letters: bool,
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
        let (partition, offset) = (partition.to_string(), letter.offset.to_string());
        let (category, message) = (letter.reason.category(), letter.reason.to_string());
        let ours: [(&str, &str); 8] = [
            ("__connect.errors.topic", &self.store.topic),
            ("__connect.errors.partition", &partition),
            ("__connect.errors.offset", &offset),
            ("__connect.errors.connector.name", &self.store.group),
            ("__connect.errors.task.id", &partition),
            ("__connect.errors.stage", "VALUE_CONVERTER"),
            ("__connect.errors.exception.class.name", category),
            ("__connect.errors.exception.message", &message),
        ];
        let ours = ours.map(|(name, value)| (name, Some(value.as_bytes())));
        if !(self.cuts_letters && letter.size() > KEPT_BYTES) {
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
        let key = letter.key.as_deref().filter(|key| key.len() <= KEPT_BYTES);
        let value = letter.value.as_deref().map(|value| &value[..value.len().min(KEPT_BYTES)]);
        self.producer.send(&Record { topic, partition: None, key, value, headers: &headers }, self.deadline)
    }
}
