//! Traffic that is the same at every run, and the balances it must lead to.

use std::collections::BTreeMap;

use super::Stream;

/// What the balances are made of, computed the plain way.
#[derive(Default)]
pub(crate) struct Oracle(BTreeMap<String, Account>);

/// One customer, all in one currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) cents: i64,
    pub(crate) count: u64,
    pub(crate) last_transaction_id: String,
}

impl Oracle {
    /// Panics with the customers that differ.
    #[track_caller]
    pub(crate) fn compare(&self, found: impl Iterator<Item = (String, Account)>) {
        let found: BTreeMap<_, _> = found.collect();
        let ids: std::collections::BTreeSet<_> = self.0.keys().chain(found.keys()).collect();
        let wrong: Vec<_> = ids
            .into_iter()
            .filter(|id| self.0.get(*id) != found.get(*id))
            .map(|id| (id, self.0.get(id), found.get(id)))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {} customers differ, e.g. {:?}",
            wrong.len(),
            self.0.len(),
            &wrong[..wrong.len().min(3)]
        );
    }
}

/// A deterministic source of transactions, spread over customers and partitions.
pub(crate) struct Traffic {
    state: u64,
    sent: u64,
    customers: u64,
    pub(crate) oracle: Oracle,
}

/// Type number and whether it is added by default.
const TYPES: [(u8, bool); 7] = [(1, true), (2, true), (3, true), (4, false), (5, false), (6, true), (7, false)];

impl Traffic {
    pub(crate) fn new(seed: u64, customers: u64) -> Self {
        Self { state: seed, sent: 0, customers, oracle: Oracle::default() }
    }

    /// Knuth's linear congruential generator; the high bits are good enough.
    fn random(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// Sends `count` more transactions and books them.
    pub(crate) fn send(&mut self, stream: &Stream, count: u64) {
        for _ in 0..count {
            let partition = i32::try_from(self.random(u64::try_from(stream.partitions).unwrap())).unwrap();
            let value = self.next();
            stream.send(partition, Some(&value));
        }
        stream.flush();
    }

    fn next(&mut self) -> String {
        self.sent += 1;
        let (sent, customer) = (self.sent, self.random(self.customers));
        let cents = 1 + i64::try_from(self.random(500_000)).unwrap();
        let (number, adds) = TYPES[usize::try_from(self.random(7)).unwrap()];
        let (id, customer) = (format!("TX-{sent:08}"), format!("CUST-{customer:05}"));
        let account = self.oracle.0.entry(customer.clone()).or_default();
        account.cents += if adds { cents } else { -cents };
        account.count += 1;
        // Timestamps rise with every transaction, so the last sent one is the last of its customer in any partition.
        account.last_transaction_id.clone_from(&id);
        let (whole, rest) = (cents / 100, cents % 100);
        let (hours, minutes, seconds, millis) =
            (sent / 3_600_000 % 24, sent / 60_000 % 60, sent / 1000 % 60, sent % 1000);
        format!(
            r#"{{"transactionId":"{id}","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":{whole}.{rest:02},"currency":"EUR","type":{number},"description":"Paiement","customerId":"{customer}","timestamp":"2026-02-08T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z","riskScore":3,"status":1}}"#
        )
    }
}
