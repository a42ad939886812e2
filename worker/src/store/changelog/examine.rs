//! A partition's changelog as it is, sound or not: for tools that look at it from outside.

use super::{
    loaded::{Content, Loaded},
    progress::{Ledger as Identity, ProgressRecord},
    rows::Key,
    settle::{Known, check_identity, settle},
};
use crate::{
    config::Config,
    failure::Failure,
    ledger::Ledger,
    store::{Examined, Position, ToldStanding},
};

pub(crate) fn examine(loaded: Loaded, config: &Config, topic_id: &str) -> Examined {
    let rules = config.rules.hash();
    let identity = Identity { group: &config.group_id, topic: &config.topic, topic_id, rules: &rules };
    let flaw = loaded.check().err();
    let (ledger, progress) = loaded.into_parts();
    let of_another = progress.as_ref().and_then(|progress| check_identity(progress, &identity).err());
    let standing = progress.map(|progress| ToldStanding {
        base: progress.base_offset,
        next_offset: progress.next_offset,
        is_comparable: of_another.is_none() && !progress.partial,
        topic_id: progress.topic_id,
    });
    Examined { ledger, standing, flaw: of_another.or(flaw) }
}

/// The newest progress of a partition's changelog, out of records up to its end; customers are not looked into.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NewestProgress {
    /// `None` inside when it was deleted.
    told: Option<Option<ProgressRecord>>,
    has_customers: bool,
    unreadable: Option<String>,
}

impl NewestProgress {
    /// Takes the next record.
    pub(crate) fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        match Key::read(key) {
            Ok(Key::Progress) => match value.map(ProgressRecord::read).transpose() {
                Ok(progress) => self.told = Some(progress),
                Err(reason) => self.unreadable = Some(reason),
            },
            Ok(Key::Customer(_)) => self.has_customers |= value.is_some(),
            Err(error) => self.unreadable = Some(error.to_string()),
        }
    }

    /// Whether there was any.
    pub(crate) fn is_told(&self) -> bool {
        self.told.is_some() || self.unreadable.is_some()
    }

    /// Whether a worker would go on with it, as far as it can be told without the customers.
    pub(crate) fn check(&self, config: &Config, topic_id: &str, position: &Position) -> Result<(), Failure> {
        if let Some(reason) = &self.unreadable {
            return Err(Failure::UnreadableProgress { reason: reason.clone() });
        }
        let progress = self.told.clone().flatten();
        if progress.is_none() && self.has_customers {
            return Err(Failure::CustomersWithoutProgress);
        }
        let rules = config.rules.hash();
        let identity = Identity { group: &config.group_id, topic: &config.topic, topic_id, rules: &rules };
        let known = Known { identity: &identity, position, start_from: config.start_from, beginning: None };
        settle(Content { ledger: Ledger::default(), progress, records: 0 }, &known).map(drop)
    }
}
