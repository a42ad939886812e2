//! The rules by which a partition's ledger is made, compared with those of a worker.
//!
//! Kind and signs must be the same. Decimals are compared currency by currency, with those that the ledger holds: a currency
//! more, by configuration or by a newer table, changes no balance. Its earlier records were refused and stay so, hence the
//! offset since which a currency counts is kept with the ledger.
//!
//! The first release compares one hash of everything. A ledger goes on carrying the hash of the settings with which it was
//! begun, and both releases work on it, until it holds a currency that those settings do not know: then the first release
//! must not go on, and the hash gets an ending that it never writes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, OnceLock},
};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        exponents::{Exponents, MinorUnits, later_codes},
        ledger::{Customer, Ledger},
        money::Currency,
        rules::Rules,
    },
    partition_failure::SettingsChange,
};

/// Up to so many overrides are left out in every combination when it is looked for what a hash stands for, else one or all.
const COMBINED: usize = 5;

static FIRST_RELEASE: LazyLock<Exponents> = LazyLock::new(|| Exponents::first_release(&MinorUnits::new()));

/// The rules of this worker, and what the first release would have written for them.
pub(crate) struct WorkerRules {
    rules: Rules,
    identity: String,
    /// Of the first release with the same settings.
    hash: String,
    whole_hash: OnceLock<String>,
    /// Other settings of which a ledger may have been begun that this worker goes on with, by their hash.
    others: OnceLock<HashMap<String, MinorUnits>>,
}

/// How a ledger counts one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CurrencyRule {
    /// Its decimals; `None` while no customer holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exponent: Option<u8>,
    /// Records of it below this offset were refused.
    since: i64,
}

/// What a store keeps of a ledger's rules beside the hash of the first release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleDetails {
    /// [`Rules::identity`].
    identity: String,
    /// What was configured over the first release's table when the ledger was begun: the hash stands for both.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    minor_units: MinorUnits,
    currencies: BTreeMap<Currency, CurrencyRule>,
}

/// What a store says of a ledger's rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredRules<'a> {
    /// The hash of the first release, with an ending where that must not go on.
    pub(crate) hash: &'a str,
    /// Not there when the first release has written last.
    pub(crate) details: Option<&'a RuleDetails>,
    /// First offset that belongs to the ledger.
    pub(crate) base: i64,
    /// Every record below is in the ledger.
    pub(crate) next_offset: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerRules {
    details: RuleDetails,
    /// Of the settings with which it was begun.
    hash: String,
    base: i64,
    /// A currency that was not known from the base on counts from here.
    from: i64,
}

impl WorkerRules {
    pub(crate) fn new(rules: Rules) -> Self {
        let (identity, hash) = (rules.identity(), hash_of(&rules, rules.exponents.overrides()));
        Self { rules, identity, hash, whole_hash: OnceLock::new(), others: OnceLock::new() }
    }

    /// What a record does by them.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// See [`Rules::identity`].
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// What the first release writes for these settings.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// One word for everything, the whole table included.
    pub(crate) fn whole_hash(&self) -> &str {
        self.whole_hash.get_or_init(|| self.rules.hash_with(&self.rules.exponents))
    }

    /// The overrides over the first release's table that a hash of the first release stands for, if kind and signs are ours:
    /// our own, none, or some of both our own and the codes that came later.
    pub(crate) fn overrides_of(&self, hash: &str) -> Option<MinorUnits> {
        let ours = self.rules.exponents.overrides();
        if hash == self.hash {
            return Some(ours.clone());
        }
        let others = self.others.get_or_init(|| {
            let mut later: Vec<MinorUnits> = vec![MinorUnits::new()];
            let codes: Vec<_> = later_codes().collect();
            for (place, one) in codes.iter().enumerate() {
                later.push([*one].into());
                later.extend(codes[place + 1..].iter().map(|other| [*one, *other].into()));
            }
            let all = subsets(ours).into_iter().flat_map(|some| {
                let some = &some;
                later
                    .iter()
                    .map(|later| later.iter().chain(some).map(|(code, it)| (*code, *it)).collect())
                    .collect::<Vec<MinorUnits>>()
            });
            all.map(|overrides| (hash_of(&self.rules, &overrides), overrides)).collect()
        });
        others.get(hash).cloned()
    }

    fn exponent(&self, currency: Currency) -> Option<u8> {
        self.rules.exponents.of(currency)
    }
}

fn hash_of(rules: &Rules, overrides: &MinorUnits) -> String {
    rules.hash_with(&Exponents::first_release(overrides))
}

fn subsets(of: &MinorUnits) -> Vec<MinorUnits> {
    let some = |is_in: &dyn Fn(usize) -> bool| {
        let chosen = of.iter().enumerate().filter(|(place, _)| is_in(*place));
        chosen.map(|(_, (currency, exponent))| (*currency, *exponent)).collect::<MinorUnits>()
    };
    if of.len() <= COMBINED {
        return (0..1_u32 << of.len()).map(|mask| some(&|place| mask >> place & 1 == 1)).collect();
    }
    let without_one = (0..of.len()).map(|left_out| some(&|place| place != left_out));
    without_one.chain([of.clone(), MinorUnits::new()]).collect()
}

impl LedgerRules {
    /// Of a ledger that begins at `base`.
    pub(crate) fn begin(worker_rules: &WorkerRules, base: i64) -> Self {
        let details = RuleDetails {
            identity: worker_rules.identity.clone(),
            minor_units: worker_rules.rules.exponents.overrides().clone(),
            currencies: BTreeMap::new(),
        };
        Self { details, hash: worker_rules.hash.clone(), base, from: base }
    }

    /// Of a ledger that a store has, for a worker that is to go on with it.
    ///
    /// # Errors
    /// It cannot go on: its settings give other balances.
    pub(crate) fn take_over(stored: StoredRules<'_>, worker_rules: &WorkerRules) -> Result<Self, SettingsChange> {
        let taken = Self::read(stored, worker_rules).ok_or(SettingsChange::Unknown)?;
        taken.agrees(worker_rules).map(|()| taken)
    }

    fn agrees(&self, worker_rules: &WorkerRules) -> Result<(), SettingsChange> {
        if self.details.identity != worker_rules.identity {
            let (held, ours) = (self.details.identity.clone(), worker_rules.identity.clone());
            return Err(SettingsChange::Identity { held, ours });
        }
        self.held().try_for_each(|(currency, held)| agree(currency, held, worker_rules))
    }

    /// Of a ledger that is looked at from outside: its rules, as far as they are known, and why this worker could not go on.
    pub(crate) fn examine(
        stored: StoredRules<'_>,
        ledger: &Ledger,
        worker_rules: &WorkerRules,
    ) -> (Option<Self>, Option<SettingsChange>) {
        let Some(mut rules) = Self::read(stored, worker_rules) else { return (None, Some(SettingsChange::Unknown)) };
        let disagreement =
            rules.found(ledger.currencies(), worker_rules).and_then(|()| rules.agrees(worker_rules)).err();
        (Some(rules), disagreement)
    }

    /// `None` if nothing of the rules is known.
    fn read(stored: StoredRules<'_>, worker_rules: &WorkerRules) -> Option<Self> {
        let StoredRules { hash, details, base, next_offset } = stored;
        let hash = hash.split_once('+').map_or(hash, |(begun, _)| begun).to_owned();
        let details = match details {
            Some(details) => details.clone(),
            None => RuleDetails {
                identity: worker_rules.identity.clone(),
                minor_units: worker_rules.overrides_of(&hash)?,
                currencies: BTreeMap::new(),
            },
        };
        let mut read = Self { details, hash, base, from: next_offset };
        // Nothing of these has been counted, so that they count from here on, whoever has refused some of them.
        let changed =
            read.begun_with().filter(|(currency, exponent)| worker_rules.exponent(*currency) != Some(*exponent));
        for (currency, _) in changed.collect::<Vec<_>>() {
            let unheld = CurrencyRule { exponent: None, since: next_offset };
            read.details.currencies.entry(currency).or_insert(unheld);
        }
        for rule in read.details.currencies.values_mut().filter(|rule| rule.exponent.is_none()) {
            rule.since = next_offset;
        }
        Some(read)
    }

    /// Whether this worker counts every currency as the ledger's beginning did, so that it goes on whatever the customers hold.
    pub(crate) fn agrees_in_everything(&self) -> bool {
        self.details.currencies.values().all(|rule| rule.exponent.is_some())
    }

    /// What the ledger turned out to hold, also by a worker of the first release, which does not keep it.
    ///
    /// # Errors
    /// This worker cannot go on with it.
    pub(crate) fn found(
        &mut self,
        currencies: impl IntoIterator<Item = Currency>,
        worker_rules: &WorkerRules,
    ) -> Result<(), SettingsChange> {
        let mut found = Ok(());
        for currency in currencies {
            if !self.holds(currency) {
                let held = self.of_begun(currency);
                let agrees = held.ok_or(SettingsChange::Unknown).and_then(|held| agree(currency, held, worker_rules));
                found = found.and(agrees);
                let exponent = held.or_else(|| worker_rules.exponent(currency));
                self.details.currencies.insert(currency, CurrencyRule { exponent, since: self.base });
            }
        }
        found
    }

    /// Of a ledger that was folded again, and stands at `next_offset`, by the rules of `worker_rules`, with the currencies counting as
    /// here.
    pub(crate) fn rebuilt(&self, worker_rules: &WorkerRules, base: i64, next_offset: i64, ledger: &Ledger) -> Self {
        let mut rebuilt = Self { from: next_offset, ..Self::begin(worker_rules, base) };
        for currency in ledger.currencies() {
            let rule = CurrencyRule {
                exponent: worker_rules.exponent(currency),
                since: self.since(currency, worker_rules).max(base),
            };
            rebuilt.details.currencies.insert(currency, rule);
        }
        for (currency, _) in rebuilt.begun_with().collect::<Vec<_>>() {
            if self.since(currency, worker_rules) > base {
                let unheld = CurrencyRule { exponent: None, since: next_offset };
                rebuilt.details.currencies.entry(currency).or_insert(unheld);
            }
        }
        rebuilt
    }

    /// The rules by which what customers hold was counted; `None` if a newer release has written them.
    pub(crate) fn made_by(&self) -> Option<Rules> {
        Rules::of_identity(&self.details.identity, Exponents::only(&self.held().collect()))
    }

    /// A customer holds this currency now.
    pub(crate) fn hold(&mut self, currency: Currency, worker_rules: &WorkerRules) {
        let rule =
            CurrencyRule { exponent: worker_rules.exponent(currency), since: self.since(currency, worker_rules) };
        self.details.currencies.insert(currency, rule);
    }

    /// The same for all that a changed customer holds; others may look at the rules meanwhile.
    pub(crate) fn hold_all(rules: &mut Arc<Self>, customer: &Customer, worker_rules: &WorkerRules) {
        for (currency, _) in customer.balances() {
            if !rules.holds(*currency) {
                Arc::make_mut(rules).hold(*currency, worker_rules);
            }
        }
    }

    /// Whether a customer holds it.
    pub(crate) fn holds(&self, currency: Currency) -> bool {
        self.details.currencies.get(&currency).is_some_and(|rule| rule.exponent.is_some())
    }

    /// The currencies that customers hold, with their decimals.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Currency, u8)> {
        self.details.currencies.iter().filter_map(|(currency, rule)| Some((*currency, rule.exponent?)))
    }

    /// The decimals of a currency that a customer holds.
    pub(crate) fn exponent_of_held(&self, currency: Currency) -> Option<u8> {
        self.details.currencies.get(&currency)?.exponent
    }

    /// Records of it below this offset were refused.
    pub(crate) fn since(&self, currency: Currency, worker_rules: &WorkerRules) -> i64 {
        match self.details.currencies.get(&currency) {
            Some(rule) => rule.since,
            None if self.of_begun(currency) == worker_rules.exponent(currency) => self.base,
            None => self.from,
        }
    }

    /// What a store keeps of it.
    pub(crate) fn details(&self) -> &RuleDetails {
        &self.details
    }

    /// What a store keeps where the first release looks: its hash, with an ending where it must not go on.
    pub(crate) fn hash(&self) -> String {
        let foreign = self
            .details
            .currencies
            .iter()
            .filter(|(currency, rule)| rule.since != self.base || rule.exponent != self.of_begun(**currency));
        foreign.fold(self.hash.clone(), |hash, (currency, _)| format!("{hash}+{currency}"))
    }

    /// The decimals that a worker of the first release gives it, with the settings of the ledger's beginning.
    fn of_begun(&self, currency: Currency) -> Option<u8> {
        self.details.minor_units.get(&currency).copied().or_else(|| FIRST_RELEASE.of(currency))
    }

    fn begun_with(&self) -> impl Iterator<Item = (Currency, u8)> + use<> {
        let mut all: MinorUnits = FIRST_RELEASE.iter().collect();
        all.extend(&self.details.minor_units);
        all.into_iter()
    }
}

fn agree(currency: Currency, held: u8, worker_rules: &WorkerRules) -> Result<(), SettingsChange> {
    match worker_rules.exponent(currency) {
        Some(ours) if ours == held => Ok(()),
        Some(ours) => Err(SettingsChange::Decimals { currency, held, ours }),
        None => Err(SettingsChange::Forgotten { currency, held }),
    }
}

#[cfg(test)]
pub(crate) mod tests;
