//! The data: a topic of e-banking transactions, and what it adds up to.

use std::thread;

use balancefleet_e2e::oracle::{Decimal, Offsets, Sign, Signs, Topic};
use balancefleet_e2e::stream::{Effect, Settings, Stream};
use balancefleet_e2e::traffic::{Interrupt, Keying, Pace, Sender, create_topic};

use crate::error::BenchError;

pub(crate) const PARTITIONS: u32 = 6;
/// How many customers the transactions are spread over by default; keyed by transaction, each partition meets nearly all
/// of them.
pub(crate) const CUSTOMERS: u32 = 100_000;

/// A loaded topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    pub(crate) topic: String,
    pub(crate) records: u64,
    /// Of all balances together; there is one currency.
    pub(crate) minor_units: i128,
    /// Of all values together.
    pub(crate) bytes: u64,
    pub(crate) ends: Offsets,
}

/// The transactions of the benchmark: 299 bytes each on average, since the optional fields are left out. Their ids are
/// UUIDs, which most banks have: short ones would flatter a ledger that keeps them in memory.
pub(crate) fn stream(customers: u32) -> Stream {
    Stream::new(Settings { uuids: true, customers, optional_fields: false, ..Settings::default() })
}

/// Makes the topic and writes so many transactions into it.
pub(crate) fn load(
    brokers: &str,
    topic: &str,
    stream: &Stream,
    records: u64,
    keying: Keying,
    compression: &str,
) -> Result<Data, BenchError> {
    create_topic(brokers, topic, PARTITIONS)?;
    let sender = Sender::with_settings(brokers, topic, keying, &[("compression.type", compression)])?;
    let (sent, (minor_units, bytes)) = thread::scope(|scope| {
        let sums = scope.spawn(|| sums(stream, records));
        let pace = Pace::steady(0, records);
        let sent = sender.run(stream, 0..records, &pace, &Interrupt::default(), None);
        (sent, sums.join().unwrap_or_default())
    });
    sent?;
    Ok(Data { topic: topic.to_owned(), records, minor_units, bytes, ends: Topic::new(brokers, topic).ends()? })
}

/// What the first `records` of the stream add up to: minor units and bytes.
fn sums(stream: &Stream, records: u64) -> (i128, u64) {
    let signs = Signs::default();
    (0..records).map(|index| stream.record(index)).fold((0, 0), |(minor_units, bytes), record| {
        let effect = record.effect.map_or(0, |effect| signed(effect, &signs));
        (minor_units + effect, bytes + record.value.len() as u64)
    })
}

fn signed(effect: Effect, signs: &Signs) -> i128 {
    let minor_units = i128::from(effect.amount.minor_units);
    match signs.of(effect.kind) {
        Sign::Credit => minor_units,
        Sign::Debit => -minor_units,
        Sign::Ignore => 0,
    }
}

impl Data {
    /// Compares with what somebody made of the topic; who keeps no ledger has no minor units.
    pub(crate) fn must_hold(&self, who: &str, records: u64, minor_units: Option<i128>) -> Result<(), BenchError> {
        let expected = (self.records, minor_units.map(|_| self.minor_units));
        if (records, minor_units) == expected {
            return Ok(());
        }
        let words = |(records, minor_units): (u64, Option<i128>)| match minor_units {
            Some(minor_units) => format!("{records} transactions that add up to {minor_units} minor units"),
            None => format!("{records} records"),
        };
        let (found, expected) = (words((records, minor_units)), words(expected));
        Err(BenchError::Wrong { who: who.to_owned(), found, expected })
    }

    /// The sum of all balances as a decimal.
    pub(crate) fn total(&self) -> Decimal {
        let (sign, cents) = (if self.minor_units < 0 { "-" } else { "" }, self.minor_units.unsigned_abs());
        format!("{sign}{}.{:02}", cents / 100, cents % 100).parse().unwrap_or_default()
    }
}

/// How many records there are to read in a topic.
pub(crate) fn count(brokers: &str, topic: &str) -> Result<u64, BenchError> {
    let topic = Topic::new(brokers, topic);
    let mut records = 0;
    topic.fold(&topic.ends()?, &Signs::default(), |read| records = read)?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_of_the_benchmark_has_299_bytes() {
        let (_, bytes) = sums(&stream(CUSTOMERS), 20_000);
        let mean = bytes as f64 / 20_000.0;
        assert!((298.5..299.5).contains(&mean), "{mean}");
    }

    #[test]
    fn the_sums_are_those_of_the_oracle() {
        let (minor_units, _) = sums(&stream(CUSTOMERS), 2_000);
        let ledger = balancefleet_e2e::oracle::Ledger::of_run(&stream(CUSTOMERS), 0..2_000, &Signs::default());
        let total = ledger.accounts.values().flat_map(|account| account.balances.values());
        let total = total.fold(Decimal::default(), |sum, balance| sum.plus(balance));
        assert_eq!(Data { minor_units, ..Data::default() }.total(), total);
    }

    #[test]
    fn a_ledger_that_lost_a_record_is_refused() {
        let data = Data { records: 10, minor_units: -5, ..Data::default() };
        assert!(data.must_hold("x", 10, Some(-5)).is_ok());
        assert!(data.must_hold("x", 10, None).is_ok());
        assert!(data.must_hold("x", 9, None).is_err());
        assert!(data.must_hold("x", 10, Some(-4)).is_err());
        assert_eq!(data.total().to_string(), "-0.05");
    }
}
