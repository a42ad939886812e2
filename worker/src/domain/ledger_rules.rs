//! The rules that made a partition's ledger, compared with the rules of a worker that wants to continue it.
//!
//! Kind and signs must be equal. Decimals are compared per currency, and only for currencies that customers hold: one
//! more known currency, by configuration or by a newer table, changes no balance. Its earlier records were refused and
//! stay refused, so the ledger keeps the offset from which each currency counts.
//!
//! The *first release* is commit `de74611`, see `docs/upgrading.md`. It knows no rule details (`ruleDetails` in a
//! changelog, `rule_details` in PostgreSQL): its workers compare a single hash of all rules. A ledger therefore keeps
//! the hash of the settings it began with, and workers of both releases work on it until a customer holds a currency
//! that those settings do not know. From then on the hash ends in `+` and the currency, which the first release never
//! writes, so its workers refuse the ledger.
//!
//! | type | whose rules |
//! |---|---|
//! | [`Rules`] | what the configuration says: kind, signs, decimals |
//! | [`WorkerRules`] | this worker's [`Rules`], with what a comparison needs |
//! | [`LedgerRules`] | one ledger's rules, as this worker continues them |
//! | [`RuleDetails`] | the part of [`LedgerRules`] that is stored as JSON |
//! | [`StoredRules`] | what a store returns for one ledger, not compared yet |

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{Arc, LazyLock, OnceLock},
};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        exponents::{DecimalsByCurrency, Exponents, added_codes},
        ledger::{Customer, Ledger},
        money::Currency,
        rules::Rules,
    },
    partition_failure::SettingsChange,
};

/// The search for the settings behind a hash tries every subset of up to this many overrides. With more overrides it
/// tries to leave out one, or all.
const COMBINED: usize = 5;

static FIRST_RELEASE_TABLE: LazyLock<Exponents> =
    LazyLock::new(|| Exponents::first_release(&DecimalsByCurrency::new()));

/// The configured [`Rules`] of this worker, and the hash that the first release writes for them.
pub(crate) struct WorkerRules {
    rules: Rules,
    non_default_rules: String,
    /// See [`Self::hash`].
    hash: String,
    full_rules_hash: OnceLock<String>,
    /// By hash: the overrides of other settings whose ledgers this worker can continue.
    others: OnceLock<HashMap<String, DecimalsByCurrency>>,
}

/// How a ledger counts one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CurrencyRule {
    /// Its decimals; `None` while no customer holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exponent: Option<u8>,
    /// Records of it below this offset were refused.
    #[serde(rename = "since")]
    counted_since: i64,
}

/// The stored form of a ledger's rules, kept beside the hash for the first release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleDetails {
    /// [`Rules::non_default_rules`].
    #[serde(rename = "identity")]
    non_default_rules: String,
    /// The overrides over the table of the first release when the ledger began. The hash covers both.
    #[serde(rename = "minorUnits", default, skip_serializing_if = "BTreeMap::is_empty")]
    initial_overrides: DecimalsByCurrency,
    currencies: BTreeMap<Currency, CurrencyRule>,
}

/// What a store returns about the rules of one ledger, before a worker has compared them with its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredRules<'a> {
    /// [`LedgerRules::hash`].
    pub(crate) hash: &'a str,
    /// `None` if the first release wrote last.
    pub(crate) details: Option<&'a RuleDetails>,
    /// First offset that belongs to the ledger.
    pub(crate) start_offset: i64,
    /// Every record below is in the ledger.
    pub(crate) next_offset: i64,
}

/// The rules of one ledger: those it began with, and per currency how it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerRules {
    details: RuleDetails,
    /// The hash of the settings that the ledger began with.
    initial_hash: String,
    /// First offset that belongs to the ledger.
    start_offset: i64,
    /// A currency that the ledger did not know at its start counts from this offset.
    new_currencies_since: i64,
}

impl WorkerRules {
    pub(crate) fn new(rules: Rules) -> Self {
        let (non_default_rules, hash) = (rules.non_default_rules(), hash_of(&rules, rules.exponents.overrides()));
        Self { rules, non_default_rules, hash, full_rules_hash: OnceLock::new(), others: OnceLock::new() }
    }

    /// The configured rules, by which records are applied.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// See [`Rules::non_default_rules`].
    pub(crate) fn non_default_rules(&self) -> &str {
        &self.non_default_rules
    }

    /// The hash that the first release writes for these settings.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// A hash of all rules, the whole table of decimals included.
    pub(crate) fn full_rules_hash(&self) -> &str {
        self.full_rules_hash.get_or_init(|| self.rules.hash_with(&self.rules.exponents))
    }

    /// The overrides behind a hash that the first release wrote, if its kind and signs are ours. They can be found
    /// when they are ours, none, or a mix of ours and of codes that the table got later.
    pub(crate) fn overrides_of(&self, hash: &str) -> Option<DecimalsByCurrency> {
        let ours = self.rules.exponents.overrides();
        if hash == self.hash {
            return Some(ours.clone());
        }
        let others = self.others.get_or_init(|| {
            let mut later: Vec<DecimalsByCurrency> = vec![DecimalsByCurrency::new()];
            let codes: Vec<_> = added_codes().collect();
            for (place, one) in codes.iter().enumerate() {
                later.push([*one].into());
                later.extend(codes[place + 1..].iter().map(|other| [*one, *other].into()));
            }
            let all = subsets(ours).into_iter().flat_map(|some| {
                let some = &some;
                later
                    .iter()
                    .map(|later| later.iter().chain(some).map(|(code, it)| (*code, *it)).collect())
                    .collect::<Vec<DecimalsByCurrency>>()
            });
            all.map(|overrides| (hash_of(&self.rules, &overrides), overrides)).collect()
        });
        others.get(hash).cloned()
    }

    fn exponent(&self, currency: Currency) -> Option<u8> {
        self.rules.exponents.of(currency)
    }
}

fn hash_of(rules: &Rules, overrides: &DecimalsByCurrency) -> String {
    rules.hash_with(&Exponents::first_release(overrides))
}

fn subsets(of: &DecimalsByCurrency) -> Vec<DecimalsByCurrency> {
    let some = |is_in: &dyn Fn(usize) -> bool| {
        let chosen = of.iter().enumerate().filter(|(place, _)| is_in(*place));
        chosen.map(|(_, (currency, exponent))| (*currency, *exponent)).collect::<DecimalsByCurrency>()
    };
    if of.len() <= COMBINED {
        return (0..1_u32 << of.len()).map(|mask| some(&|place| mask >> place & 1 == 1)).collect();
    }
    let without_one = (0..of.len()).map(|left_out| some(&|place| place != left_out));
    without_one.chain([of.clone(), DecimalsByCurrency::new()]).collect()
}

impl LedgerRules {
    /// The rules of a new ledger that begins at `start_offset`.
    pub(crate) fn begin(worker_rules: &WorkerRules, start_offset: i64) -> Self {
        let details = RuleDetails {
            non_default_rules: worker_rules.non_default_rules.clone(),
            initial_overrides: worker_rules.rules.exponents.overrides().clone(),
            currencies: BTreeMap::new(),
        };
        Self { details, initial_hash: worker_rules.hash.clone(), start_offset, new_currencies_since: start_offset }
    }

    /// The rules of a stored ledger that this worker wants to continue.
    ///
    /// # Errors
    /// The worker's settings would give other balances.
    pub(crate) fn take_over(stored: StoredRules<'_>, worker_rules: &WorkerRules) -> Result<Self, SettingsChange> {
        let taken = Self::read(stored, worker_rules).ok_or(SettingsChange::Unknown)?;
        taken.agrees(worker_rules).map(|()| taken)
    }

    fn agrees(&self, worker_rules: &WorkerRules) -> Result<(), SettingsChange> {
        if self.details.non_default_rules != worker_rules.non_default_rules {
            let (held, ours) = (self.details.non_default_rules.clone(), worker_rules.non_default_rules.clone());
            return Err(SettingsChange::KindOrSigns { held, ours });
        }
        self.counted().try_for_each(|(currency, held)| agree(currency, held, worker_rules))
    }

    /// The rules of a stored ledger, for a tool that inspects it: the rules if they are known, and why a worker could
    /// not continue.
    pub(crate) fn examine(
        stored: StoredRules<'_>,
        ledger: &Ledger,
        worker_rules: &WorkerRules,
    ) -> (Option<Self>, Option<SettingsChange>) {
        let Some(mut rules) = Self::read(stored, worker_rules) else { return (None, Some(SettingsChange::Unknown)) };
        let disagreement =
            rules.note_found(ledger.currencies(), worker_rules).and_then(|()| rules.agrees(worker_rules)).err();
        (Some(rules), disagreement)
    }

    /// `None` if nothing is known about the rules.
    fn read(stored: StoredRules<'_>, worker_rules: &WorkerRules) -> Option<Self> {
        let StoredRules { hash, details, start_offset, next_offset } = stored;
        let hash = hash.split_once('+').map_or(hash, |(initial, _)| initial).to_owned();
        let details = match details {
            Some(details) => details.clone(),
            None => RuleDetails {
                non_default_rules: worker_rules.non_default_rules.clone(),
                initial_overrides: worker_rules.overrides_of(&hash)?,
                currencies: BTreeMap::new(),
            },
        };
        let mut read = Self { details, initial_hash: hash, start_offset, new_currencies_since: next_offset };
        // No customer holds a currency whose decimals have changed. Some of its records may have been refused, so it
        // counts from here on.
        let changed =
            read.initial_decimals().filter(|(currency, exponent)| worker_rules.exponent(*currency) != Some(*exponent));
        for (currency, _) in changed.collect::<Vec<_>>() {
            let uncounted = CurrencyRule { exponent: None, counted_since: next_offset };
            read.details.currencies.entry(currency).or_insert(uncounted);
        }
        for rule in read.details.currencies.values_mut().filter(|rule| rule.exponent.is_none()) {
            rule.counted_since = next_offset;
        }
        Some(read)
    }

    /// Whether this worker counts every currency as the ledger did at its start. Then it can continue
    /// whatever the customers hold.
    pub(crate) fn agrees_on_every_currency(&self) -> bool {
        self.details.currencies.values().all(|rule| rule.exponent.is_some())
    }

    /// Adds the currencies that the ledger was found to hold. The first release counts without keeping details.
    ///
    /// # Errors
    /// This worker cannot continue the ledger.
    pub(crate) fn note_found(
        &mut self,
        currencies: impl IntoIterator<Item = Currency>,
        worker_rules: &WorkerRules,
    ) -> Result<(), SettingsChange> {
        let mut outcome = Ok(());
        for currency in currencies {
            if !self.is_counted(currency) {
                let held = self.initial_exponent(currency);
                let agrees = held.ok_or(SettingsChange::Unknown).and_then(|held| agree(currency, held, worker_rules));
                outcome = outcome.and(agrees);
                let exponent = held.or_else(|| worker_rules.exponent(currency));
                self.details.currencies.insert(currency, CurrencyRule { exponent, counted_since: self.start_offset });
            }
        }
        outcome
    }

    /// The rules of a ledger that was recomputed from `records` by `worker_rules`. Each currency counts from the
    /// same offset as in this ledger.
    pub(crate) fn rebuilt(&self, worker_rules: &WorkerRules, records: &Range<i64>, ledger: &Ledger) -> Self {
        let (start_offset, next_offset) = (records.start, records.end);
        let mut rebuilt = Self { new_currencies_since: next_offset, ..Self::begin(worker_rules, start_offset) };
        for currency in ledger.currencies() {
            let rule = CurrencyRule {
                exponent: worker_rules.exponent(currency),
                counted_since: self.counted_since(currency, worker_rules).max(start_offset),
            };
            rebuilt.details.currencies.insert(currency, rule);
        }
        for (currency, _) in rebuilt.initial_decimals().collect::<Vec<_>>() {
            if self.counted_since(currency, worker_rules) > start_offset {
                let uncounted = CurrencyRule { exponent: None, counted_since: next_offset };
                rebuilt.details.currencies.entry(currency).or_insert(uncounted);
            }
        }
        rebuilt
    }

    /// The rules that counted what customers hold; `None` if a newer release wrote them.
    pub(crate) fn rules_of_counted(&self) -> Option<Rules> {
        Rules::of_non_default(&self.details.non_default_rules, Exponents::only(&self.counted().collect()))
    }

    /// Notes that a customer holds this currency now.
    pub(crate) fn note_currency(&mut self, currency: Currency, worker_rules: &WorkerRules) {
        let rule = CurrencyRule {
            exponent: worker_rules.exponent(currency),
            counted_since: self.counted_since(currency, worker_rules),
        };
        self.details.currencies.insert(currency, rule);
    }

    /// Notes all currencies that a changed customer holds. Others may read the rules meanwhile, so they are copied on
    /// write.
    pub(crate) fn note_currencies(rules: &mut Arc<Self>, customer: &Customer, worker_rules: &WorkerRules) {
        for (currency, _) in &*customer.balances() {
            if !rules.is_counted(*currency) {
                Arc::make_mut(rules).note_currency(*currency, worker_rules);
            }
        }
    }

    /// Whether a customer holds this currency.
    pub(crate) fn is_counted(&self, currency: Currency) -> bool {
        self.details.currencies.get(&currency).is_some_and(|rule| rule.exponent.is_some())
    }

    /// The currencies that customers hold, with their decimals.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (Currency, u8)> {
        self.details.currencies.iter().filter_map(|(currency, rule)| Some((*currency, rule.exponent?)))
    }

    /// The decimals of a currency that a customer holds.
    pub(crate) fn counted_exponent(&self, currency: Currency) -> Option<u8> {
        self.details.currencies.get(&currency)?.exponent
    }

    /// The offset from which the ledger counts this currency: its records below were refused.
    pub(crate) fn counted_since(&self, currency: Currency, worker_rules: &WorkerRules) -> i64 {
        match self.details.currencies.get(&currency) {
            Some(rule) => rule.counted_since,
            None if self.initial_exponent(currency) == worker_rules.exponent(currency) => self.start_offset,
            None => self.new_currencies_since,
        }
    }

    /// The form that a store keeps.
    pub(crate) fn details(&self) -> &RuleDetails {
        &self.details
    }

    /// The hash that a store keeps for the first release. It ends in `+` and a currency for each one that such a
    /// release would count otherwise, so its workers refuse the ledger.
    pub(crate) fn hash(&self) -> String {
        let foreign = self.details.currencies.iter().filter(|(currency, rule)| {
            rule.counted_since != self.start_offset || rule.exponent != self.initial_exponent(**currency)
        });
        foreign.fold(self.initial_hash.clone(), |hash, (currency, _)| format!("{hash}+{currency}"))
    }

    /// The decimals that the first release gives this currency with the settings that the ledger began with.
    fn initial_exponent(&self, currency: Currency) -> Option<u8> {
        self.details.initial_overrides.get(&currency).copied().or_else(|| FIRST_RELEASE_TABLE.of(currency))
    }

    /// All of [`Self::initial_exponent`].
    fn initial_decimals(&self) -> impl Iterator<Item = (Currency, u8)> + use<> {
        let mut all: DecimalsByCurrency = FIRST_RELEASE_TABLE.iter().collect();
        all.extend(&self.details.initial_overrides);
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
