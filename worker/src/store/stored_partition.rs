//! A partition's balances as they are stored, sound or not, for the tools that inspect them.

use crate::{
    domain::{ledger::Ledger, ledger_rules::LedgerRules},
    partition_failure::{PartitionFailure, SettingsChange},
};

/// What a store has of one partition; the default is nothing. The three reasons why no worker would continue it are
/// independent: balances that other settings made may be torn as well.
#[derive(Default)]
pub(crate) struct StoredPartition {
    pub(crate) ledger: Ledger,
    /// The stored progress, if there is one.
    pub(crate) stored_progress: Option<StoredProgress>,
    /// It belongs to another group or topic, or a rebuild of it was not finished.
    pub(crate) not_ours: Option<PartitionFailure>,
    /// The customers are not what was written.
    pub(crate) unsound: Option<PartitionFailure>,
    /// This worker's settings would have made other balances.
    pub(crate) other_settings: Option<SettingsChange>,
}

impl StoredPartition {
    /// Why no worker would continue it.
    pub(crate) fn flaws(&self) -> impl Iterator<Item = PartitionFailure> {
        let other_settings = self.other_settings.clone().map(PartitionFailure::from);
        [self.not_ours.clone(), self.unsound.clone(), other_settings].into_iter().flatten()
    }

    /// Whether the customers are what this group's workers wrote.
    pub(crate) fn is_sound(&self) -> bool {
        self.not_ours.is_none() && self.unsound.is_none()
    }
}

/// The stored progress of a partition.
pub(crate) struct StoredProgress {
    pub(crate) topic_id: String,
    /// First offset that belongs to the ledger.
    pub(crate) start_offset: i64,
    /// Every record below is in the ledger.
    pub(crate) next_offset: i64,
    /// The rules that made the customers, if known.
    pub(crate) rules: Option<LedgerRules>,
    /// Whether the customers should equal what the records give by this worker's rules.
    pub(crate) is_comparable: bool,
}
