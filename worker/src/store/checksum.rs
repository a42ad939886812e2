//! The checksum that a partition's customers must add up to, in every store.

use serde::{Deserialize, Serialize};

use super::changelog::RecordEncoder;
use crate::domain::ledger::Ledger;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerChecksum {
    pub(crate) customers: u64,
    /// The sum of their digests, which does not depend on the order; 16 hex digits, because JSON's numbers are not
    /// exact.
    #[serde(rename = "checksum", with = "hex")]
    pub(crate) digest_sum: u64,
}

impl LedgerChecksum {
    /// The checksum of customers with these digests.
    pub(crate) fn of(digests: impl Iterator<Item = u64>) -> Self {
        digests.fold(Self::default(), |checksum, digest| checksum.changed(0, digest))
    }

    /// The checksum of a whole ledger; digests that it has are not computed again.
    pub(crate) fn of_ledger(ledger: &Ledger) -> Self {
        let mut encoder = RecordEncoder::default();
        Self::of(ledger.digests().map(|(id, customer, digest)| match digest {
            0 => encoder.encode_and_digest(id, customer),
            known => known,
        }))
    }

    /// The checksum after one customer's digest has changed; `before` is 0 for a new customer.
    pub(crate) fn changed(self, before: u64, after: u64) -> Self {
        let customers = self.customers + u64::from(before == 0);
        Self { customers, digest_sum: self.digest_sum.wrapping_sub(before).wrapping_add(after) }
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_does_not_depend_on_the_order() {
        let all = LedgerChecksum::of([7, 9, u64::MAX].into_iter());
        assert_eq!(all, LedgerChecksum::of([u64::MAX, 7, 9].into_iter()));
        assert_eq!(all.changed(9, 4), LedgerChecksum::of([7, 4, u64::MAX].into_iter()));
        assert_eq!(all.changed(0, 4).customers, 4);
    }
}
