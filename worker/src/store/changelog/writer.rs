//! Writes one transaction: changed customers, progress, dead letters, and the group's offsets last.

use std::{
    collections::HashSet,
    convert::Infallible,
    time::{Duration, Instant},
};

use balancefleet_kafka::{
    AbortReason, CommitMetadata, OffsetToCommit, Record, RecordBuffer, TransactionError, TransactionalProducer,
};

use super::{
    Changelog, DurableState,
    batches::{LargestRecord, RecordKind},
    producer::DeadLetterLimits,
    progress::{ChangelogContext, ProgressRecord},
    records::{Key, PROGRESS, RecordEncoder},
};
use crate::{
    domain::{id::Id, ledger::DeadLetter},
    store::{Batch, BatchPart},
};

/// The bytes of records that are collected before they go to the client together.
const AT_ONCE: usize = 64 << 10;
/// The header of a dead letter that is cut: it has part of the value, none of its own headers, and its key only if
/// small.
const TRUNCATED: (&str, Option<&[u8]>) = ("balancefleet.truncated", Some(b"true"));

/// One partition's part of a transaction.
pub(super) struct PartitionCommit<'a> {
    pub(super) part: &'a BatchPart,
    pub(super) durable_state: DurableState,
}

impl PartitionCommit<'_> {
    /// Gives `send` key and value of each changed customer, then of the progress. Returns the state that is durable
    /// once the transaction is committed.
    pub(super) fn records<E>(
        &self,
        context: &ChangelogContext<'_>,
        mut send: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<DurableState, E> {
        let (part, mut after, mut encoder) = (self.part, self.durable_state.clone(), RecordEncoder::default());
        let mut digests = Vec::with_capacity(part.changes.len());
        for change in part.changes.customers() {
            digests.push(after.change(change, &mut encoder, context.worker_rules));
            send(encoder.key(), encoder.value())?;
        }
        part.changes.set_digests(digests);
        // The keys are replaced once.
        after.store_specific = None;
        let DurableState { start_offset, checksum, rules, .. } = &after;
        let written =
            ProgressRecord::new(context, rules, *start_offset, part.next_offset, part.leader_epoch, *checksum);
        let written = ProgressRecord { partial: part.is_partial, ..written };
        send(PROGRESS, &written.to_json())?;
        Ok(after)
    }

    /// The replaced keys for which the new ledger has no row.
    fn removed(&self) -> impl Iterator<Item = &[u8]> {
        let replaced_keys = self.durable_state.store_specific.iter().flat_map(|keys| keys.iter());
        let ids = replaced_keys.clone().next().map(|_| self.part.changes.customers().iter().map(|it| &it.id).collect());
        let rewritten: HashSet<&Id> = ids.unwrap_or_default();
        let is_rewritten = move |key: &[u8]| match Key::read(Some(key)) {
            Ok(Key::Progress) => true,
            Ok(Key::Customer(id)) => rewritten.contains(&Id::from(id)),
            // Only another program can have written such a key.
            Err(_) => false,
        };
        replaced_keys.map(|key| &**key).filter(move |key| !is_rewritten(key))
    }

    /// The most records that it has if it replaces a whole ledger.
    pub(super) fn records_if_replacing(&self) -> Option<usize> {
        Some(self.durable_state.store_specific.as_ref()?.len() + self.part.changes.len())
    }
}

/// Writes one transaction.
pub(super) struct Writer<'a> {
    pub(super) store: &'a Changelog,
    pub(super) producer: &'a TransactionalProducer,
    pub(super) deadline: Instant,
    pub(super) limits: DeadLetterLimits,
}

impl Writer<'_> {
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Writes everything but the commit. Offsets are sent only after every record is acknowledged.
    pub(super) fn write(
        &self,
        batch: &Batch,
        commits: &[PartitionCommit<'_>],
        written: &mut Vec<DurableState>,
    ) -> Result<(), TransactionError> {
        self.producer.begin()?;
        for commit in commits {
            written.push(self.write_partition(commit)?);
        }
        self.producer.flush(self.deadline)?;
        let topic = &self.store.topic;
        let metadata: Vec<_> = commits.iter().map(|commit| commit.part.metadata.to_string()).collect();
        let offsets = commits.iter().zip(&metadata).map(|(commit, metadata)| OffsetToCommit {
            topic,
            partition: commit.part.assignment.partition,
            offset: commit.part.next_offset,
            leader_epoch: commit.part.leader_epoch,
            metadata,
        });
        let initial_offsets: Vec<_> = commits.iter().flat_map(|commit| &commit.part.initial_offsets).collect();
        let initial_offsets = initial_offsets
            .iter()
            .map(|(partition, offset)| (*partition, *offset, CommitMetadata::beginning_at(*offset).to_string()));
        let initial_offsets: Vec<_> = initial_offsets.collect();
        let begun = initial_offsets.iter().map(|(partition, offset, metadata)| OffsetToCommit {
            topic,
            partition: *partition,
            offset: *offset,
            leader_epoch: None,
            metadata,
        });
        self.producer.send_offsets(&offsets.chain(begun).collect::<Vec<_>>(), &batch.membership, self.time_left())
    }

    fn write_partition(&self, commit: &PartitionCommit<'_>) -> Result<DurableState, TransactionError> {
        let partition = commit.part.assignment.partition;
        let context = self.store.context();
        let topic = self.store.log.name.as_str();
        for key in commit.removed() {
            let removal = Record { topic, partition: Some(partition), key: Some(key), value: None, headers: &[] };
            self.producer.send(&removal, self.deadline)?;
        }
        let mut records = RecordBuffer::default();
        let send = |records: &mut RecordBuffer| self.producer.send_records(topic, partition, records, self.deadline);
        let written = commit.records(&context, |key, value| {
            records.push(key, value);
            if records.size() < AT_ONCE { Ok(()) } else { send(&mut records) }
        })?;
        send(&mut records)?;
        for dead_letter in commit.part.changes.dead_letters() {
            self.write_dead_letter(partition, dead_letter)?;
        }
        Ok(written)
    }

    fn write_dead_letter(&self, partition: i32, dead_letter: &DeadLetter) -> Result<(), TransactionError> {
        let Some(topic) = &self.store.dead_letter_topic else { return Ok(()) };
        let origin = self.store.origin(partition, dead_letter);
        let ours = origin.each_ref().map(|(name, value)| (*name, Some(value.as_bytes())));
        if !(self.limits.are_truncated && dead_letter.size() > self.limits.whole_bytes) {
            let kept = dead_letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let headers: Vec<_> = kept.chain(ours).collect();
            let (key, value) = (dead_letter.key.as_deref(), dead_letter.value.as_deref());
            let whole = Record { topic, partition: None, key, value, headers: &headers };
            match self.producer.send(&whole, self.deadline) {
                Err(TransactionError::Refused { why: AbortReason::TooLarge, .. }) => {}
                outcome => return outcome,
            }
        }
        // One dead letter must never block a partition. A header says that it was cut.
        let headers: Vec<_> = ours.into_iter().chain([TRUNCATED]).collect();
        let (key, value) = cut(dead_letter, self.limits.kept_bytes);
        self.producer.send(&Record { topic, partition: None, key, value, headers: &headers }, self.deadline)
    }
}

/// Key and value of a dead letter that is cut.
fn cut(dead_letter: &DeadLetter, kept_bytes: usize) -> (Option<&[u8]>, Option<&[u8]>) {
    let key = dead_letter.key.as_deref().filter(|key| key.len() <= kept_bytes);
    (key, dead_letter.value.as_deref().map(|value| &value[..value.len().min(kept_bytes)]))
}

impl Changelog {
    /// The headers that say where a dead letter comes from and why it is one.
    fn origin(&self, partition: i32, dead_letter: &DeadLetter) -> [(&'static str, String); 8] {
        [
            ("__connect.errors.topic", self.topic.clone()),
            ("__connect.errors.partition", partition.to_string()),
            ("__connect.errors.offset", dead_letter.offset.to_string()),
            ("__connect.errors.connector.name", self.group.clone()),
            ("__connect.errors.task.id", partition.to_string()),
            ("__connect.errors.stage", "VALUE_CONVERTER".to_owned()),
            ("__connect.errors.exception.class.name", dead_letter.reason.category().to_owned()),
            ("__connect.errors.exception.message", dead_letter.reason.to_string()),
        ]
    }

    /// The largest records that `commits` have for the changelog and for the dead letter topic, with long dead letters
    /// cut; and whether any dead letter is long.
    pub(super) fn largest(
        &self,
        commits: &[PartitionCommit<'_>],
        DeadLetterLimits { whole_bytes, kept_bytes, .. }: DeadLetterLimits,
    ) -> (Vec<LargestRecord>, bool) {
        let context = self.context();
        let mut all = Vec::new();
        let (mut dead_letters, mut has_long_ones) = (Vec::new(), false);
        for commit in commits {
            let partition = commit.part.assignment.partition;
            let mut offsets = commit.part.changes.customers().iter().map(|change| change.now.last_offset);
            // The customers in the order of the records, then the progress.
            let note = |key: &[u8], value: &[u8]| {
                let what = offsets.next().map_or(RecordKind::Progress, RecordKind::Customer);
                all.push(LargestRecord { partition, what, bytes: key.len() + value.len() });
                Ok::<_, Infallible>(())
            };
            let _ = commit.records(&context, note);
            for dead_letter in commit.part.changes.dead_letters() {
                let is_long = dead_letter.size() > whole_bytes;
                has_long_ones |= is_long;
                let (key, value) = cut(dead_letter, kept_bytes);
                let cut = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
                let kept = if is_long { cut } else { dead_letter.size() };
                let origin = self.origin(partition, dead_letter);
                let headers = origin.iter().map(|(name, value)| name.len() + value.len() + 10);
                let bytes = kept + headers.sum::<usize>() + TRUNCATED.0.len() + 10;
                dead_letters.push(LargestRecord { partition, what: RecordKind::DeadLetter(dead_letter.offset), bytes });
            }
        }
        let largest = |all: Vec<LargestRecord>| all.into_iter().max_by_key(|record| record.bytes);
        (largest(all).into_iter().chain(largest(dead_letters)).collect(), has_long_ones)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use super::*;
    use crate::{
        domain::{
            ledger::{Ledger, Posting},
            ledger_rules::{LedgerRules, tests::worker_rules},
            money::Currency,
        },
        store::{Assignment, AssignmentNumber, LedgerChecksum},
    };

    /// What a commit of a ledger with customer A alone removes of a changelog that has these keys.
    fn removed(replaced_keys: Option<&[&[u8]]>) -> BTreeSet<Vec<u8>> {
        let (mut ledger, timestamp) = (Ledger::default(), jiff::Timestamp::UNIX_EPOCH);
        let (currency, transaction_id) = (Currency::parse("EUR").unwrap(), "T".into());
        ledger.fold(&Posting { customer: "A".into(), currency, minor_units: 1, transaction_id, timestamp }, 7).unwrap();
        let assignment = Assignment { partition: 0, number: AssignmentNumber(0), generation: 1 };
        let part = BatchPart::whole(assignment, None, &(0..8), ledger);
        let replaced_keys = replaced_keys.map(|keys| Arc::new(keys.iter().map(|key| (*key).into()).collect()));
        let (checksum, rules) = (LedgerChecksum::default(), Arc::new(LedgerRules::begin(&worker_rules(&[]), 0)));
        let durable_state = DurableState { start_offset: 0, checksum, rules, store_specific: replaced_keys };
        PartitionCommit { part: &part, durable_state }.removed().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn what_a_new_ledger_has_no_record_for_is_removed() {
        let of_others: [&[u8]; 4] = [b"\x01B", b"\x02newer", b"\x01\xff", b""];
        let former = [&of_others[..], &[PROGRESS, b"\x01A"]].concat();
        assert_eq!(removed(Some(&former)), of_others.map(<[u8]>::to_vec).into());
        assert_eq!(removed(None), BTreeSet::new());
    }
}
