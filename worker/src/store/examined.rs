//! A partition's balances as they are stored, sound or not: for tools that look at them from outside.

use crate::{failure::Failure, ledger::Ledger, ledger_rules::LedgerRules};

/// See the module. By default nothing is stored.
#[derive(Default)]
pub(crate) struct Examined {
    pub(crate) ledger: Ledger,
    /// What its progress says, if there is one.
    pub(crate) standing: Option<ToldStanding>,
    /// Why no worker would go on with it.
    pub(crate) flaw: Option<Failure>,
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
