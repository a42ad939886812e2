//! A partition's balances as they are stored, sound or not: for tools that look at them from outside.

use crate::{
    domain::{ledger::Ledger, ledger_rules::LedgerRules},
    partition_failure::{PartitionFailure, SettingsChange},
};

/// By default nothing is stored. Why no worker would go on with it are questions of their own, since none of
/// them answers another: a store that other settings have made may be torn as well.
#[derive(Default)]
pub(crate) struct StoredPartition {
    pub(crate) ledger: Ledger,
    /// What its progress says, if there is one.
    pub(crate) stored_progress: Option<StoredProgress>,
    /// It is another group's or topic's, or a rebuild of it has not ended.
    pub(crate) not_ours: Option<PartitionFailure>,
    /// It is not what was written.
    pub(crate) unsound: Option<PartitionFailure>,
    /// The settings of `config` would have made other balances.
    pub(crate) other_settings: Option<SettingsChange>,
}

impl StoredPartition {
    /// Why no worker would go on with it.
    pub(crate) fn flaws(&self) -> impl Iterator<Item = PartitionFailure> {
        let other_settings = self.other_settings.clone().map(PartitionFailure::from);
        [self.not_ours.clone(), self.unsound.clone(), other_settings].into_iter().flatten()
    }

    /// Whether the store counts what it has written itself.
    pub(crate) fn is_sound(&self) -> bool {
        self.not_ours.is_none() && self.unsound.is_none()
    }
}

/// What a progress says.
pub(crate) struct StoredProgress {
    pub(crate) topic_id: String,
    /// First offset that belongs to the ledger.
    pub(crate) base: i64,
    /// Every record below is in the ledger.
    pub(crate) next_offset: i64,
    /// By which rules the customers were made, if they can be told.
    pub(crate) rules: Option<LedgerRules>,
    /// Whether the customers claim to be what the records give by the rules of `config`.
    pub(crate) is_comparable: bool,
}
