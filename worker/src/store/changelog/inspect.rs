//! A partition's changelog as it is, sound or not, for the tools that inspect it.

use super::{
    contents::{ChangelogContents, CompleteContents},
    progress::{ChangelogContext, ProgressRecord},
    records::Key,
    restore_plan::{Known, check_context, restore_plan, rules_of},
};
use crate::{
    config::Config,
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, WorkerRules},
    },
    partition_failure::PartitionFailure,
    store::{PartitionOffsets, StoredPartition, StoredProgress},
};

pub(crate) fn inspect(
    contents: ChangelogContents,
    config: &Config,
    worker_rules: &WorkerRules,
    topic_id: &str,
) -> StoredPartition {
    let context = ChangelogContext { group: &config.group_id, topic: &config.topic, topic_id, worker_rules };
    let unsound = contents.check().err();
    let (ledger, progress) = contents.into_parts();
    let examined =
        progress.as_ref().map(|progress| LedgerRules::examine(progress.stored_rules(), &ledger, worker_rules));
    let (rules, other_settings) = examined.unwrap_or_default();
    let not_ours = progress.as_ref().and_then(|progress| check_context(progress, &context).err());
    let stored_progress = progress.map(|progress| StoredProgress {
        rules,
        start_offset: progress.start_offset,
        next_offset: progress.next_offset,
        is_comparable: not_ours.is_none() && other_settings.is_none() && !progress.partial,
        topic_id: progress.topic_id,
    });
    StoredPartition { ledger, stored_progress, not_ours, unsound, other_settings }
}

/// The newest progress in a partition's changelog. Customers are not read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NewestProgress {
    /// The inner `None`: the progress was deleted.
    newest: Option<Option<ProgressRecord>>,
    has_customers: bool,
    unreadable: Option<String>,
}

impl NewestProgress {
    /// Takes the next record.
    pub(crate) fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        match Key::read(key) {
            Ok(Key::Progress) => match value.map(ProgressRecord::read).transpose() {
                Ok(progress) => self.newest = Some(progress),
                Err(reason) => self.unreadable = Some(reason),
            },
            Ok(Key::Customer(_)) => self.has_customers |= value.is_some(),
            Err(error) => self.unreadable = Some(error.to_string()),
        }
    }

    /// Whether there was any.
    pub(crate) fn is_found(&self) -> bool {
        self.newest.is_some() || self.unreadable.is_some()
    }

    /// Whether a worker would continue it, and whether that is certain without reading the customers.
    pub(crate) fn check(
        &self,
        config: &Config,
        worker_rules: &WorkerRules,
        topic_id: &str,
        offsets: &PartitionOffsets,
    ) -> Result<bool, PartitionFailure> {
        if let Some(reason) = &self.unreadable {
            return Err(PartitionFailure::UnreadableProgress { reason: reason.clone() });
        }
        let progress = self.newest.clone().flatten();
        if progress.is_none() && self.has_customers {
            return Err(PartitionFailure::CustomersWithoutProgress);
        }
        let context = ChangelogContext { group: &config.group_id, topic: &config.topic, topic_id, worker_rules };
        let known = Known { context: &context, offsets, start_from: config.start_from, initial_offsets: None };
        let has_details = progress.as_ref().is_none_or(|progress| progress.rule_details.is_some());
        let rules = progress.as_ref().map(|progress| rules_of(progress, &Ledger::default(), worker_rules));
        restore_plan(CompleteContents { ledger: Ledger::default(), progress, records: 0 }, &known)?;
        let rules = rules.transpose()?;
        Ok(has_details || rules.is_none_or(|rules| rules.agrees_on_every_currency()))
    }
}
