//! Replacing what a partition's changelog holds: as many transactions as it takes, the last of which makes it whole.
//!
//! Until then the progress says that it is being rebuilt, and workers refuse it; so an interruption at any point leaves
//! nothing that could be taken for balances.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use balancefleet_kafka::{
    AbortReason, Admin, GroupMetadata, OffsetToCommit, Record, TransactionError, TransactionalProducer, UsageRecord,
};

use super::{
    batches::{Batches, Largest, What},
    producer::TransactionTimeouts,
    progress::{ChangelogIdentity, ProgressRecord},
    rows::{PROGRESS, RowWriter},
};
use crate::{
    config::Config,
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, Rulebook},
    },
    kafka_clients::transaction_config,
    store::LedgerChecksum,
};

/// So many records make one transaction.
const AT_ONCE: usize = 10_000;

/// Where a partition is to stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) partition: i32,
    /// First offset that belongs to the ledger.
    pub(crate) base: i64,
    /// Every record below is in the ledger; also the group's offset.
    pub(crate) next_offset: i64,
    pub(crate) leader_epoch: Option<i32>,
}

pub(crate) struct Rewriter<'a> {
    config: &'a Config,
    topic_id: &'a str,
    book: &'a Rulebook,
    membership: &'a GroupMetadata,
    batches: Batches,
    producer: TransactionalProducer,
}

impl<'a> Rewriter<'a> {
    /// Under a membership in which all partitions are this process's.
    pub(crate) fn start(
        config: &'a Config,
        topic_id: &'a str,
        book: &'a Rulebook,
        membership: &'a GroupMetadata,
        admin: &Admin,
    ) -> Result<Self, TransactionError> {
        let mut batches = Batches::for_topics(admin, [&config.changelog_topic]);
        let producer = producer(config, &mut batches)?;
        Ok(Self { config, topic_id, book, membership, batches, producer })
    }

    /// Says of all partitions at once that they are being rebuilt. The former rules stay beside that: what was refused by
    /// them is to be refused again also by a second try.
    pub(crate) fn mark<'t>(
        &self,
        targets: impl Iterator<Item = (&'t Target, &'t LedgerRules)>,
    ) -> Result<(), TransactionError> {
        let deadline = self.begin()?;
        let mut marked = Vec::new();
        for (target, former) in targets {
            self.send_mark(target, former, deadline)?;
            marked.push(target);
        }
        self.end(&marked, deadline)
    }

    /// Replaces the customers of one partition, of which `keys` are there and which has `former` rules, by those of `ledger`,
    /// made by `rules`.
    pub(crate) fn replace(
        &mut self,
        target: &Target,
        mut keys: HashSet<Box<[u8]>>,
        former: &LedgerRules,
        ledger: &Ledger,
        rules: &LedgerRules,
    ) -> Result<(), TransactionError> {
        loop {
            match self.try_replace(target, &mut keys, former, ledger, rules) {
                // From the beginning: what is there is the mark, and rows that are written again.
                Err(TransactionError::Refused { why: AbortReason::TooLarge, detail }) => {
                    self.cut(target, [former, rules], ledger, &detail)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Goes on with smaller batches.
    fn cut(
        &mut self,
        target: &Target,
        rules: [&LedgerRules; 2],
        ledger: &Ledger,
        detail: &str,
    ) -> Result<(), TransactionError> {
        let mut row = RowWriter::default();
        let rows = ledger.customers().map(|(id, customer)| {
            row.write(id, customer);
            let (what, bytes) = (What::Customer(customer.last_offset), row.key().len() + row.value().len());
            Largest { partition: target.partition, what, bytes }
        });
        let progress = rules.map(|rules| self.progress(target, rules, LedgerChecksum::default(), true).to_json().len());
        let bytes = progress.into_iter().max().unwrap_or_default();
        let progress = Largest { partition: target.partition, what: What::Progress, bytes };
        let largest = rows.chain([progress]).max_by_key(|it| it.bytes).unwrap_or(progress);
        if !self.batches.look() {
            self.batches.refused(&[largest]).map_err(|oversized| TransactionError::Refused {
                why: AbortReason::TooLarge,
                detail: format!("{detail}; {oversized}"),
            })?;
        }
        self.producer = producer(self.config, &mut self.batches)?;
        Ok(())
    }

    fn try_replace(
        &self,
        target: &Target,
        keys: &mut HashSet<Box<[u8]>>,
        former: &LedgerRules,
        ledger: &Ledger,
        rules: &LedgerRules,
    ) -> Result<(), TransactionError> {
        let (mut row, mut checksum) = (RowWriter::default(), LedgerChecksum::default());
        let (mut deadline, mut count) = (self.begin()?, 0);
        // One transaction after the other, each with the mark, until the last one.
        let mut next = |deadline: &mut Instant| -> Result<(), TransactionError> {
            count += 1;
            if count % AT_ONCE == 0 {
                self.send_mark(target, former, *deadline)?;
                self.end(&[target], *deadline)?;
                *deadline = self.begin()?;
            }
            Ok(())
        };
        keys.remove(PROGRESS);
        for (id, customer) in ledger.customers() {
            checksum = checksum.changed(0, row.write(id, customer));
            keys.remove(row.key());
            next(&mut deadline)?;
            self.send(target.partition, row.key(), Some(row.value()), deadline)?;
        }
        for key in keys.iter() {
            next(&mut deadline)?;
            self.send(target.partition, key, None, deadline)?;
        }
        self.send_progress(target, rules, checksum, false, deadline)?;
        self.end(&[target], deadline)
    }

    fn begin(&self) -> Result<Instant, TransactionError> {
        self.producer.begin()?;
        Ok(Instant::now() + self.config.session_timeout / 2)
    }

    fn end(&self, targets: &[&Target], deadline: Instant) -> Result<(), TransactionError> {
        let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        self.producer.flush(deadline)?;
        let metadata: Vec<_> = targets.iter().map(|it| UsageRecord::beginning_at(it.base).to_string()).collect();
        let offsets = targets.iter().zip(&metadata).map(|(target, metadata)| OffsetToCommit {
            topic: &self.config.topic,
            partition: target.partition,
            offset: target.next_offset,
            leader_epoch: target.leader_epoch,
            metadata,
        });
        self.producer.send_offsets(&offsets.collect::<Vec<_>>(), self.membership, left())?;
        self.producer.commit(left())
    }

    /// Says that the partition is being rebuilt.
    fn send_mark(&self, target: &Target, former: &LedgerRules, deadline: Instant) -> Result<(), TransactionError> {
        self.send_progress(target, former, LedgerChecksum::default(), true, deadline)
    }

    fn send_progress(
        &self,
        target: &Target,
        rules: &LedgerRules,
        checksum: LedgerChecksum,
        rebuilding: bool,
        deadline: Instant,
    ) -> Result<(), TransactionError> {
        let progress = self.progress(target, rules, checksum, rebuilding);
        self.send(target.partition, PROGRESS, Some(&progress.to_json()), deadline)
    }

    fn progress(
        &self,
        target: &Target,
        rules: &LedgerRules,
        checksum: LedgerChecksum,
        rebuilding: bool,
    ) -> ProgressRecord {
        let Config { group_id, topic, .. } = self.config;
        let identity = ChangelogIdentity { group: group_id, topic, topic_id: self.topic_id, book: self.book };
        let progress =
            ProgressRecord::new(&identity, rules, target.base, target.next_offset, target.leader_epoch, checksum);
        ProgressRecord { rebuilding, ..progress }
    }

    fn send(
        &self,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<(), TransactionError> {
        let topic = &self.config.changelog_topic;
        self.producer.send(&Record { topic, partition: Some(partition), key: Some(key), value, headers: &[] }, deadline)
    }
}

/// One that is registered: what the one before left open is over.
fn producer(config: &Config, batches: &mut Batches) -> Result<TransactionalProducer, TransactionError> {
    let fatal = |error: balancefleet_kafka::Error| TransactionError::Fatal { detail: error.to_string() };
    let mut client = transaction_config(config);
    batches.apply(&mut client);
    let producer = TransactionTimeouts::new(config.session_timeout).producer(&client).map_err(fatal)?;
    producer.init(config.session_timeout)?;
    Ok(producer)
}
