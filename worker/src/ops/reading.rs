//! Reads a range of one partition.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use balancefleet_kafka::{At, BatchReader, Isolation, ReadRecord};

use super::{
    progress_bar::ProgressBar,
    tools::{OpsError, TIMEOUT, ToolContext},
};
use crate::{
    domain::{ledger::Ledger, ledger_rules::LedgerRules, transaction::BadRecord},
    kafka_clients::restore_config,
    store::{ChangelogContents, StoredPartition, inspect},
    topic_facts::describe,
};

/// The longest wait for records before progress is checked.
const SLICE: Duration = Duration::from_millis(200);
/// A read without progress for this long has failed.
const GIVE_UP: Duration = Duration::from_secs(60);
/// A long fold does not fail because of one answer.
const TRIES: u32 = 3;

/// The result of folding records of the input.
pub(super) struct Folded {
    pub(super) ledger: Ledger,
    /// The offset of the first bad record.
    pub(super) first_bad: Option<i64>,
    /// The number of records that had a currency unknown at that time.
    pub(super) refused: u64,
}

impl ToolContext<'_> {
    /// The first offset and the end of a partition of `topic`, open transactions included.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<Range<i64>, OpsError> {
        let asked = [(topic.to_owned(), partition)];
        let ask = |at| -> Result<i64, OpsError> {
            let found = self.admin.list_offsets(&asked, at, Isolation::ReadUncommitted, TIMEOUT)?;
            let unknown =
                || OpsError::Impossible(format!("the brokers say nothing of partition {partition} of {topic}"));
            Ok(found.into_iter().next().ok_or_else(unknown)?.offset?)
        };
        Ok(ask(At::Earliest)?..ask(At::Latest)?)
    }

    /// Folds records of the input as a worker would. With the rules of a ledger, records of a currency that was unknown
    /// when they came are refused and counted in the result.
    pub(super) fn fold(
        &self,
        partition: i32,
        records: Range<i64>,
        of_ledger: Option<&LedgerRules>,
        progress: &ProgressBar,
    ) -> Result<Folded, OpsError> {
        let (mut ledger, mut first_bad, mut refused) = (Ledger::default(), None, 0);
        self.read(
            &self.config.topic,
            partition,
            records,
            |record| {
                let applied = self.worker_rules.rules().fold(record.value, |posting| {
                    if of_ledger
                        .is_some_and(|it| record.offset < it.counted_since(posting.currency, &self.worker_rules))
                    {
                        refused += 1;
                        return Err(BadRecord::UnknownCurrency);
                    }
                    Ok(ledger.fold(posting, record.offset)?)
                });
                // A bad record was dead-lettered and changed no balance.
                if applied.is_err() {
                    first_bad.get_or_insert(record.offset);
                }
            },
            |records| progress.add(records),
        )?;
        // Checked after the last record: a client continues silently in a topic that was recreated.
        let (topic, known) = (&self.config.topic, &self.topic.topic_id);
        let mut tries = TRIES;
        let found = loop {
            tries -= 1;
            match describe(self.admin, topic, TIMEOUT) {
                Err(error) if error.is_transient() && tries > 0 => tracing::warn!(%error, "asking again"),
                found => break found?,
            }
        };
        if found.topic_id != *known {
            return Err(OpsError::Impossible(format!("topic {topic} was deleted and recreated meanwhile")));
        }
        Ok(Folded { ledger, first_bad, refused })
    }

    /// What one of the changelog's `partitions` holds now; `each_key` gets every key, and whether it has a value.
    pub(super) fn changelog(
        &self,
        partitions: i32,
        partition: i32,
        mut each_key: impl FnMut(&[u8], bool),
    ) -> Result<StoredPartition, OpsError> {
        if partition >= partitions {
            return Ok(inspect(ChangelogContents::default(), self.config, &self.worker_rules, &self.topic.topic_id));
        }
        let topic = &self.config.changelog_topic;
        let (mut contents, records) = (ChangelogContents::default(), self.bounds(topic, partition)?);
        let take = |record: &ReadRecord<'_>| {
            contents.take(record.key, record.value);
            each_key(record.key.unwrap_or_default(), record.value.is_some());
        };
        self.read(topic, partition, records, take, |_| {})?;
        Ok(inspect(contents, self.config, &self.worker_rules, &self.topic.topic_id))
    }

    /// Passes each committed record of one partition of `topic` to `each`, and the number of offsets read to
    /// `on_advance`.
    pub(super) fn read(
        &self,
        topic: &str,
        partition: i32,
        records: Range<i64>,
        mut each: impl FnMut(&ReadRecord<'_>),
        mut on_advance: impl FnMut(i64),
    ) -> Result<(), OpsError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut reader =
            BatchReader::open(&restore_config(self.config), topic, [(partition, records.start)].into_iter())?;
        let (mut next, mut since) = (records.start, Instant::now());
        while next < records.end {
            reader.read(SLICE, |record| {
                if records.contains(&record.offset) {
                    each(&record);
                }
            })?;
            let position = reader.positions().first().map_or(next, |(_, position)| (*position).min(records.end));
            if position > next {
                on_advance(position - next);
                (next, since) = (position, Instant::now());
            } else if since.elapsed() >= GIVE_UP {
                return Err(OpsError::Impossible(format!(
                    "nothing of partition {partition} of topic {topic} can be read beyond offset {next} of {}: a \
                     transaction has not ended, or no broker leads the partition; look at the brokers and try again",
                    records.end
                )));
            }
        }
        reader.end();
        Ok(())
    }
}
