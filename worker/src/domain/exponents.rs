//! How many decimals each currency has.
//!
//! The table is ISO 4217 as of 2026-01-01, with withdrawn codes; a configuration may add to it or override it. Metals
//! and test codes have no minor unit and are left out.

use std::{collections::BTreeMap, fmt};

use crate::domain::money::Currency;

/// The table of the first release (see [`super::ledger_rules`]): codes by their number of decimals. Never change
/// it: the hash of every stored ledger covers it.
const FIRST_RELEASE_TABLE: &[(u8, &str)] = &[
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE \
         CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
         HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR \
         MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK \
         SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD \
         XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// The codes added since: those that ISO 4217 has withdrawn since 2009, because a topic may still hold records of them.
/// Add the codes of later amendments here. Never remove a code or change its decimals: a ledger may hold the currency.
const ADDED: &[(u8, &str)] = &[(0, "BYR"), (2, "CUC EEK HRK LTL LVL MRO SKK SLL STD TMM USS VEF ZMK ZWL ZWR")];

/// The most decimals a currency may be configured with.
pub(crate) const MAX_EXPONENT: u8 = 12;

/// The configured or stored decimals of some currencies (`minorUnits` in the configuration).
pub(crate) type DecimalsByCurrency = BTreeMap<Currency, u8>;

/// The number of decimals (ISO 4217's exponent) of every known currency. It has a slot for every possible code, because
/// each record looks one up.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Exponents {
    table: Box<[Option<u8>]>,
    overrides: DecimalsByCurrency,
}

impl Exponents {
    /// The table of ISO 4217 with `overrides` over it.
    pub(crate) fn iso_4217(overrides: &DecimalsByCurrency) -> Self {
        Self::of_tables(listed(FIRST_RELEASE_TABLE).chain(listed(ADDED)), overrides)
    }

    /// The table of the first release with `overrides` over it.
    pub(crate) fn first_release(overrides: &DecimalsByCurrency) -> Self {
        Self::of_tables(listed(FIRST_RELEASE_TABLE), overrides)
    }

    /// Only these currencies, without any table.
    pub(crate) fn only(decimals: &DecimalsByCurrency) -> Self {
        Self::of_tables(std::iter::empty(), decimals)
    }

    fn of_tables(listed: impl Iterator<Item = (Currency, u8)>, overrides: &DecimalsByCurrency) -> Self {
        let mut table = vec![None; Currency::COUNT].into_boxed_slice();
        for (currency, exponent) in listed.chain(overrides.iter().map(|(currency, exponent)| (*currency, *exponent))) {
            table[currency.ordinal()] = Some(exponent);
        }
        Self { table, overrides: overrides.clone() }
    }

    /// The configured decimals over the table.
    pub(crate) fn overrides(&self) -> &DecimalsByCurrency {
        &self.overrides
    }

    /// The decimals of `currency`, `None` when it is unknown.
    pub(crate) fn of(&self, currency: Currency) -> Option<u8> {
        self.table[currency.ordinal()]
    }

    /// Every known currency with its decimals, ordered by code.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Currency, u8)> {
        let known = |(ordinal, exponent): (usize, &Option<u8>)| Some((Currency::of_ordinal(ordinal)?, (*exponent)?));
        self.table.iter().enumerate().filter_map(known)
    }
}

/// The codes added since the first release.
pub(crate) fn added_codes() -> impl Iterator<Item = (Currency, u8)> {
    listed(ADDED)
}

fn listed(table: &'static [(u8, &'static str)]) -> impl Iterator<Item = (Currency, u8)> {
    table.iter().flat_map(|(exponent, codes)| {
        codes.split_ascii_whitespace().filter_map(Currency::parse).map(|currency| (currency, *exponent))
    })
}

impl fmt::Debug for Exponents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn the_table_knows_currencies_of_every_exponent() {
        let table = Exponents::iso_4217(&BTreeMap::new());
        for (code, exponent) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(table.of(currency(code)), Some(exponent), "{code}");
        }
        assert_eq!(table.of(currency("XXX")), None);
    }

    #[test]
    fn withdrawn_codes_stay_valid() {
        let table = Exponents::iso_4217(&BTreeMap::new());
        for (code, exponent) in [("HRK", 2), ("SLL", 2), ("ZWL", 2), ("CUC", 2), ("BGN", 2), ("ANG", 2), ("BYR", 0)] {
            assert_eq!(table.of(currency(code)), Some(exponent), "{code}");
        }
    }

    #[test]
    fn no_code_is_listed_twice_or_misspelt() {
        let tables = FIRST_RELEASE_TABLE.iter().chain(ADDED);
        let listed: Vec<_> = tables.flat_map(|(_, codes)| codes.split_ascii_whitespace()).collect();
        assert!(listed.iter().all(|code| Currency::parse(code).is_some()));
        assert_eq!(Exponents::iso_4217(&BTreeMap::new()).iter().count(), listed.len());
    }

    #[test]
    fn an_override_wins_over_the_table() {
        let table = Exponents::iso_4217(&BTreeMap::from([(currency("EUR"), 4), (currency("XTS"), 3)]));
        assert_eq!(table.of(currency("EUR")), Some(4));
        assert_eq!(table.of(currency("XTS")), Some(3));
    }
}
