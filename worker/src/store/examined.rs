//! A partition's balances as they are stored, sound or not: for tools that look at them from outside.

use crate::{
    failure::{Failure, SettingsChange},
    ledger::Ledger,
    ledger_rules::LedgerRules,
};

/// By default nothing is stored. Why no worker would go on with it are questions of their own, since none of
/// them answers another: a store that other settings have made may be torn as well.
#[derive(Default)]
pub(crate) struct Examined {
    pub(crate) ledger: Ledger,
    /// What its progress says, if there is one.
    pub(crate) standing: Option<ToldStanding>,
    /// It is another group's or topic's, or a rebuild of it has not ended.
    pub(crate) not_ours: Option<Failure>,
    /// It is not what was written.
    pub(crate) unsound: Option<Failure>,
    /// The settings of `config` would have made other balances.
    pub(crate) other_settings: Option<SettingsChange>,
}

impl Examined {
    /// Why no worker would go on with it.
    pub(crate) fn flaws(&self) -> impl Iterator<Item = Failure> {
        let other_settings = self.other_settings.clone().map(Failure::from);
        [self.not_ours.clone(), self.unsound.clone(), other_settings].into_iter().flatten()
    }

    /// Whether the store counts what it has written itself.
    pub(crate) fn is_sound(&self) -> bool {
        self.not_ours.is_none() && self.unsound.is_none()
    }
}

/// What a progress says.
pub(crate) struct ToldStanding {
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
