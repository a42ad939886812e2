//! How many decimals each currency has.
//!
//! The table is that of ISO 4217; a configuration may add to it or override it.

use std::{collections::BTreeMap, fmt};

use crate::money::Currency;

/// Active codes with a minor unit, by their number of decimals. Funds, metals and test codes have none and are left out.
const ISO_4217: &[(u8, &str)] = &[
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

/// The most decimals a currency may be configured with.
pub const MAX_EXPONENT: u8 = 12;

/// Decimals per known currency: a place for each code there can be, in their order, since each record asks for one.
#[derive(Clone, PartialEq, Eq)]
pub struct Exponents(Box<[Option<u8>]>);

impl Exponents {
    /// The table of ISO 4217 with `overrides` over it.
    pub fn iso_4217(overrides: &BTreeMap<Currency, u8>) -> Self {
        let listed = ISO_4217.iter().flat_map(|(exponent, codes)| {
            codes.split_ascii_whitespace().filter_map(Currency::parse).map(|currency| (currency, *exponent))
        });
        let mut table = vec![None; Currency::COUNT].into_boxed_slice();
        for (currency, exponent) in listed.chain(overrides.iter().map(|(currency, exponent)| (*currency, *exponent))) {
            table[currency.ordinal()] = Some(exponent);
        }
        Self(table)
    }

    /// The decimals of `currency`, `None` when it is unknown.
    pub fn of(&self, currency: Currency) -> Option<u8> {
        self.0[currency.ordinal()]
    }

    /// Every known currency with its decimals, ordered by code.
    pub fn iter(&self) -> impl Iterator<Item = (Currency, u8)> {
        let known = |(ordinal, exponent): (usize, &Option<u8>)| Some((Currency::of_ordinal(ordinal)?, (*exponent)?));
        self.0.iter().enumerate().filter_map(known)
    }
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
    fn no_code_is_listed_twice_or_misspelt() {
        let listed: Vec<_> = ISO_4217.iter().flat_map(|(_, codes)| codes.split_ascii_whitespace()).collect();
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
