//! The contents of a partition's changelog, collected record by record.

use super::{
    progress::ProgressRecord,
    records::{self, Key, RecordEncoder, Unreadable},
};
use crate::{domain::ledger::Ledger, partition_failure::PartitionFailure, store::LedgerChecksum};

/// The contents of a changelog as read so far: the newest record of each key counts.
#[derive(Default)]
pub(crate) struct ChangelogContents {
    ledger: Ledger,
    encoder: RecordEncoder,
    progress: Option<ProgressRecord>,
    unreadable: Option<String>,
    records: u64,
}

/// The contents of a changelog that was read to its end, and is sound.
pub(super) struct CompleteContents {
    pub(super) ledger: Ledger,
    pub(super) progress: Option<ProgressRecord>,
    /// The number of records read.
    pub(super) records: u64,
}

impl ChangelogContents {
    /// Takes the next record. An unreadable record fails the partition, even if a later one has the same key: its
    /// writer may have changed more than that.
    pub(crate) fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.records += 1;
        if let Err(reason) = self.try_take(key, value) {
            self.unreadable.get_or_insert(reason);
        }
    }

    fn try_take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), String> {
        let words = |error: Unreadable| error.to_string();
        match (Key::read(key).map_err(words)?, value) {
            (Key::Progress, Some(value)) => self.progress = Some(ProgressRecord::read(value)?),
            (Key::Progress, None) => self.progress = None,
            (Key::Customer(id), Some(value)) => {
                let digest = self.encoder.digest_of(key.unwrap_or_default(), value);
                self.ledger.insert(id, records::read(value).map_err(words)?, digest);
            }
            (Key::Customer(id), None) => self.ledger.remove(id),
        }
        Ok(())
    }

    /// The contents, if they are sound.
    pub(super) fn finish(self) -> Result<CompleteContents, PartitionFailure> {
        self.check()?;
        let records = self.records;
        let (ledger, progress) = self.into_parts();
        Ok(CompleteContents { ledger, progress, records })
    }

    /// Whether the changelog is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.progress.is_none() && self.ledger.is_empty() && self.unreadable.is_none()
    }

    /// The contents, sound or not.
    pub(super) fn into_parts(self) -> (Ledger, Option<ProgressRecord>) {
        (self.ledger, self.progress)
    }

    /// Whether every record could be read and the contents are what their progress says.
    pub(super) fn check(&self) -> Result<(), PartitionFailure> {
        let Self { ledger, progress, unreadable, .. } = self;
        if let Some(reason) = unreadable {
            return Err(PartitionFailure::UnreadableProgress { reason: reason.clone() });
        }
        let Some(progress) = progress else {
            // A commit writes both or neither, so another program wrote this.
            return if ledger.is_empty() { Ok(()) } else { Err(PartitionFailure::CustomersWithoutProgress) };
        };
        let found = LedgerChecksum::of_ledger(ledger);
        // The checksum of an incomplete ledger may not fit: a commit with an unknown outcome may have written more.
        if found != progress.checksum && !progress.partial && !progress.rebuilding {
            let LedgerChecksum { customers, .. } = progress.checksum;
            return Err(PartitionFailure::Torn { expected: customers, found: found.customers });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        domain::{
            ledger::{Buffer, Posting},
            ledger_rules::{LedgerRules, tests::worker_rules},
            money::Currency,
        },
        store::changelog::progress::ChangelogContext,
    };

    /// What a commit of `postings` writes, its progress last.
    fn commit(postings: &[(&str, i64)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut ledger, mut buffer) = (Ledger::default(), Buffer::default());
        for (offset, (customer, minor_units)) in (0..).zip(postings) {
            let currency = Currency::parse("EUR").unwrap();
            let timestamp = Timestamp::UNIX_EPOCH;
            let posting = Posting {
                customer: (*customer).into(),
                currency,
                minor_units: *minor_units,
                transaction_id: "T".into(),
                timestamp,
            };
            let found = ledger.find(customer);
            buffer.apply(&mut ledger, found, &posting, offset).unwrap();
        }
        let (mut encoder, mut checksum, mut records) =
            (RecordEncoder::default(), LedgerChecksum::default(), Vec::new());
        for change in buffer.take_for_commit(&ledger, usize::MAX, |_, _| 0).customers() {
            checksum = checksum.changed(change.digest_before, encoder.encode_and_digest(&change.id, &change.now));
            records.push((encoder.key().to_vec(), encoder.value().to_vec()));
        }
        let worker_rules = worker_rules(&[]);
        let context = ChangelogContext { group: "g", topic: "t", topic_id: "i", worker_rules: &worker_rules };
        let rules = LedgerRules::begin(&worker_rules, 0);
        let progress = ProgressRecord::new(&context, &rules, 0, postings.len() as i64, None, checksum);
        records.push((records::PROGRESS.to_vec(), progress.to_json()));
        records
    }

    fn load<'a>(
        records: impl IntoIterator<Item = &'a (Vec<u8>, Vec<u8>)>,
    ) -> Result<CompleteContents, PartitionFailure> {
        let mut contents = ChangelogContents::default();
        records.into_iter().for_each(|(key, value)| contents.take(Some(key), Some(value)));
        contents.finish()
    }

    #[test]
    fn what_a_commit_wrote_is_read_back_whole() {
        let contents = load(&commit(&[("A", 500), ("B", -3), ("A", 7)])).unwrap();
        assert_eq!(contents.ledger.customer("A").unwrap().balances()[0].1, 507);
        assert_eq!(contents.progress.unwrap().next_offset, 3);
    }

    #[test]
    fn a_commit_of_which_a_record_is_missing_or_doubled_is_torn() {
        let records = commit(&[("A", 500), ("B", -3)]);
        assert!(matches!(load(&records[1..]), Err(PartitionFailure::Torn { expected: 2, found: 1 })));
        let newer = commit(&[("A", 501)]);
        assert!(matches!(load(records.iter().chain(&newer[..1])), Err(PartitionFailure::Torn { .. })));
        assert!(matches!(load(&records[..1]), Err(PartitionFailure::CustomersWithoutProgress)));
    }

    #[test]
    fn what_cannot_be_read_is_never_passed_over() {
        let mut contents = ChangelogContents::default();
        contents.take(Some(b"\x02"), Some(b""));
        assert!(matches!(contents.finish(), Err(PartitionFailure::UnreadableProgress { .. })));
    }

    #[test]
    fn an_empty_changelog_is_a_new_one() {
        let contents = ChangelogContents::default().finish().unwrap();
        assert!(contents.ledger.is_empty() && contents.progress.is_none());
    }
}
