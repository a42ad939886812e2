//! The records of the changelog: one key and value per customer, and one per partition for its progress.
//!
//! The first byte of a key gives its type: 0 for the progress, 1 for a customer, whose id follows. The first byte of a
//! customer's value is the version of its form. Values are whole states, never differences, so compaction changes
//! nothing.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use twox_hash::XxHash3_64;

use crate::domain::{id::Id, ledger::Customer, money::Currency};

/// The key of the progress.
pub(super) const PROGRESS: &[u8] = &[0];

const CUSTOMER: u8 = 1;
const VERSION: u8 = 1;

/// What a key names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Progress,
    Customer(&'a str),
}

/// A record that this release did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(&'static str);

impl<'a> Key<'a> {
    pub(super) fn read(key: Option<&'a [u8]>) -> Result<Self, Unreadable> {
        match key {
            Some(PROGRESS) => Ok(Self::Progress),
            Some([CUSTOMER, id @ ..]) => {
                std::str::from_utf8(id).map(Self::Customer).map_err(|_| Unreadable("a customer id is not UTF-8"))
            }
            _ => Err(Unreadable("a key has an unknown form")),
        }
    }
}

#[derive(Serialize)]
struct EncodedCustomer<'a> {
    count: u64,
    last_offset: i64,
    second: i64,
    nanosecond: i32,
    last_transaction_id: &'a str,
    balances: &'a [(Currency, i128)],
}

#[derive(Deserialize)]
struct DecodedCustomer<'a> {
    count: u64,
    last_offset: i64,
    second: i64,
    nanosecond: i32,
    last_transaction_id: &'a str,
    balances: Vec<(Code, i128)>,
}

struct Code(Currency);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = <&str>::deserialize(deserializer)?;
        Currency::parse(code).map(Self).ok_or_else(|| serde::de::Error::custom("not a currency"))
    }
}

/// Encodes customers as records, one by one in the same buffer.
#[derive(Default)]
pub(crate) struct RecordEncoder {
    buffer: Vec<u8>,
    key_len: usize,
}

impl RecordEncoder {
    /// Encodes key and value of one customer and returns their digest: the hash that
    /// [`LedgerChecksum`](crate::store::LedgerChecksum) sums up, never 0.
    pub(crate) fn encode_and_digest(&mut self, id: &Id, customer: &Customer) -> u64 {
        self.buffer.clear();
        self.buffer.push(CUSTOMER);
        self.buffer.extend_from_slice(id.text().as_bytes());
        self.key_len = self.buffer.len();
        self.buffer.push(VERSION);
        let last_updated = customer.last_updated();
        let encoded = EncodedCustomer {
            count: customer.count,
            last_offset: customer.last_offset,
            second: last_updated.as_second(),
            nanosecond: last_updated.subsec_nanosecond(),
            last_transaction_id: &customer.last_transaction_id.text(),
            balances: &customer.balances(),
        };
        // Writing to memory cannot fail, and every type above can be serialized.
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(&encoded, buffer).unwrap_or_default();
        digest(&self.buffer)
    }

    /// The digest of a record that was read.
    pub(super) fn digest_of(&mut self, key: &[u8], value: &[u8]) -> u64 {
        self.buffer.clear();
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(value);
        self.key_len = key.len();
        digest(&self.buffer)
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.buffer[..self.key_len]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.buffer[self.key_len..]
    }
}

/// Of key and value together; never 0.
fn digest(record: &[u8]) -> u64 {
    XxHash3_64::oneshot(record).max(1)
}

/// Reads the value of a customer.
pub(super) fn read(value: &[u8]) -> Result<Customer, Unreadable> {
    let Some((&VERSION, encoded)) = value.split_first() else {
        return Err(Unreadable("a customer has an unknown version"));
    };
    let decoded: DecodedCustomer<'_> =
        postcard::from_bytes(encoded).map_err(|_| Unreadable("a customer cannot be read"))?;
    let last_updated =
        Timestamp::new(decoded.second, decoded.nanosecond).map_err(|_| Unreadable("a time is out of range"))?;
    let balances = decoded.balances.into_iter().map(|(Code(currency), minor_units)| (currency, minor_units));
    let DecodedCustomer { count, last_offset, last_transaction_id, .. } = decoded;
    Ok(Customer::new(balances, count, last_transaction_id.into(), last_updated, last_offset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn customer() -> impl Strategy<Value = Customer> {
        let sum = prop_oneof![any::<i64>().prop_map(i128::from), any::<i128>()];
        let balances = prop::collection::vec(("[A-Z]{3}", sum), 0..4);
        let seconds = -377_705_023_201_i64..=253_402_207_200;
        (balances, any::<u64>(), transaction_id(), seconds, 0..1_000_000_000, any::<i64>()).prop_map(
            |(balances, count, last_transaction_id, second, nanosecond, last_offset)| {
                let balances = balances.iter().map(|(code, sum)| (Currency::parse(code).unwrap(), *sum));
                let last_updated = Timestamp::new(second, nanosecond).unwrap();
                Customer::new(balances, count, last_transaction_id.as_str().into(), last_updated, last_offset)
            },
        )
    }

    fn transaction_id() -> impl Strategy<Value = String> {
        prop_oneof![".{0,20}", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"]
    }

    proptest! {
        #[test]
        fn a_customer_comes_back_as_it_was_written(id in ".{1,20}", customer in customer()) {
            let mut encoder = RecordEncoder::default();
            let digest = encoder.encode_and_digest(&Id::from(id.as_str()), &customer);
            prop_assert_eq!(Key::read(Some(encoder.key())), Ok(Key::Customer(&id)));
            let back = read(encoder.value()).unwrap();
            prop_assert_eq!(&back, &customer);
            prop_assert_eq!(RecordEncoder::default().encode_and_digest(&Id::from(id.as_str()), &back), digest);
            prop_assert_eq!(RecordEncoder::default().digest_of(encoder.key(), encoder.value()), digest);
        }

        #[test]
        fn whatever_else_is_there_is_refused_and_never_a_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut encoder = RecordEncoder::default();
            if let Ok(customer) = read(&value) {
                // Numbers may be written longer than needed; the state is the same.
                encoder.encode_and_digest(&"A".into(), &customer);
                prop_assert_eq!(read(encoder.value()).unwrap(), customer);
            }
        }
    }

    #[test]
    fn keys_of_other_programs_are_refused() {
        for key in [None, Some(&b""[..]), Some(b"\x02A"), Some(b"A"), Some(b"\x00\x00"), Some(b"\x01\xff")] {
            assert!(Key::read(key).is_err(), "{key:?}");
        }
        assert_eq!(Key::read(Some(b"\x00")), Ok(Key::Progress));
    }
}
