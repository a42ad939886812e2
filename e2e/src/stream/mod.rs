//! The stream of transactions as a pure function: settings and an index go in, one record comes out.
//!
//! So any run can be told again from its settings and its range of indexes, without the topic.

mod customer;
mod kind;
mod money;
mod pace;
mod poison;
mod popularity;
mod random;
mod record;

use std::time::Duration;

use jiff::Timestamp;

pub use customer::Customer;
pub use kind::{Kind, Mix};
pub use money::{Amount, Currency};
pub use pace::{Day, Pace, Phase};
pub use random::Draws;

use popularity::Popularity;

/// Keeps the draws of customers, of transactions and of their UUIDs apart.
const CUSTOMERS: u64 = 1;
const TRANSACTIONS: u64 = 2;
const CUSTOMER_IDS: u64 = 3;
const TRANSACTION_IDS: u64 = 4;

/// What one stream is made of. Equal settings give equal records.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Origin of all draws.
    pub seed: u64,
    /// Part of every transaction id; it changes no balance.
    pub run: String,
    /// Whether ids are UUIDs, instead of such as a person can read.
    pub uuids: bool,
    /// How many customers there are.
    pub customers: u32,
    /// 0 for customers alike, about 1 for few very busy ones.
    pub skew: f64,
    /// The first is the main one; never empty.
    pub currencies: Vec<Currency>,
    /// Whether each transaction draws its currency, instead of keeping its customer's.
    pub multi_currency: bool,
    /// How often each type occurs.
    pub mix: Mix,
    /// Percent of the records that no worker can apply.
    pub poison: f64,
    /// Whether records carry the contract's optional fields, a description and at times a location.
    pub optional_fields: bool,
    /// The timestamp of the record with index 0.
    pub first_timestamp: Timestamp,
    /// When the others follow; without a pace, every 10 ms.
    pub pace: Option<Pace>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            run: "seed-1".into(),
            uuids: false,
            customers: 1_000,
            skew: 0.0,
            currencies: vec![Currency { code: "EUR", decimals: 2 }],
            multi_currency: false,
            mix: Mix::default(),
            poison: 0.0,
            optional_fields: true,
            first_timestamp: Timestamp::constant(1_767_225_600, 0),
            pace: None,
        }
    }
}

/// One record of the stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// `TX-<run>-<index>`, or a UUID.
    pub transaction_id: String,
    /// The customer's id.
    pub customer_id: String,
    /// The message's value.
    pub value: String,
    /// What it does to a balance; absent for a poison record.
    pub effect: Option<Effect>,
}

/// What a good record does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Effect {
    /// Decides the sign.
    pub kind: Kind,
    /// Always positive.
    pub amount: Amount,
}

/// All records of one stream.
#[derive(Clone, Debug)]
pub struct Stream {
    settings: Settings,
    popularity: Popularity,
}

impl Stream {
    /// A stream of these settings.
    pub fn new(settings: Settings) -> Self {
        let popularity = Popularity::new(settings.customers, settings.skew);
        Self { settings, popularity }
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The record with that index.
    pub fn record(&self, index: u64) -> Record {
        let settings = &self.settings;
        let mut draws = Draws::new(settings.seed, TRANSACTIONS, index);
        let number = self.popularity.draw(&mut draws);
        let mut customer = Customer::of(settings.seed, number, &settings.currencies);
        customer.id = self.customer_id(number);
        let currency = match settings.multi_currency {
            true => customer::draw_currency(&settings.currencies, &mut draws),
            false => customer.currency,
        };
        let kind = settings.mix.draw(&mut draws);
        let effect = Effect { kind, amount: Amount::draw(kind, currency, &mut draws) };
        let is_poison = draws.unit() * 100.0 < settings.poison;
        let transaction_id = match settings.uuids {
            true => uuid(Draws::new(settings.seed, TRANSACTION_IDS, index)),
            false => format!("TX-{}-{index:08}", settings.run),
        };
        let value = record::value(&mut record::Parts {
            transaction_id: &transaction_id,
            customer: &customer,
            effect,
            timestamp: self.timestamp(index),
            optional_fields: settings.optional_fields,
            draws: &mut draws,
        });
        let value = if is_poison { poison::spoil(&value, effect.amount, &mut draws) } else { value };
        Record { transaction_id, customer_id: customer.id, value, effect: (!is_poison).then_some(effect) }
    }

    /// The id of a customer, by its number below [`Settings::customers`].
    pub fn customer_id(&self, number: u64) -> String {
        match self.settings.uuids {
            true => uuid(Draws::new(self.settings.seed, CUSTOMER_IDS, number)),
            false => customer::id(number),
        }
    }

    fn timestamp(&self, index: u64) -> Timestamp {
        let since_first = match &self.settings.pace {
            Some(pace) => pace.due_after(index),
            None => Duration::from_millis(index.saturating_mul(10)),
        };
        self.settings.first_timestamp.checked_add(since_first).unwrap_or(Timestamp::MAX)
    }
}

/// A random UUID (RFC 9562, version 4).
fn uuid(mut draws: Draws) -> String {
    let (high, low) = (draws.bits(), draws.bits());
    let bits = u128::from(high) << 64 | u128::from(low);
    let bits = bits & !(0xf << 76) & !(3 << 62) | 4 << 76 | 2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn stream(change: impl FnOnce(&mut Settings)) -> Stream {
        let mut settings = Settings::default();
        change(&mut settings);
        Stream::new(settings)
    }

    #[test]
    fn equal_settings_give_equal_records_and_another_seed_gives_others() {
        let (one, same, other) = (stream(|_| ()), stream(|_| ()), stream(|settings| settings.seed = 2));
        for index in [0, 1, 99, 100_000] {
            assert_eq!(one.record(index), same.record(index));
            assert_ne!(one.record(index).value, other.record(index).value);
        }
    }

    #[test]
    fn another_run_changes_ids_and_no_effect() {
        let (one, other) = (stream(|_| ()), stream(|settings| settings.run = "again".into()));
        for index in 0..100 {
            let (one, other) = (one.record(index), other.record(index));
            assert_ne!(one.transaction_id, other.transaction_id);
            assert_eq!((one.customer_id, one.effect), (other.customer_id, other.effect));
        }
    }

    #[test]
    fn ids_are_uuids_of_their_own_if_wanted() {
        let stream = stream(|settings| settings.uuids = true);
        let mut ids: BTreeSet<String> = (0..1000).map(|number| stream.customer_id(number)).collect();
        ids.extend((0..1000).map(|index| stream.record(index).transaction_id));
        assert_eq!(ids.len(), 2000);
        for id in &ids {
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!((parts, &id[14..15]), (vec![8, 4, 4, 4, 12], "4"), "{id}");
            assert!("89ab".contains(&id[19..20]) && id.bytes().all(|it| it == b'-' || it.is_ascii_hexdigit()), "{id}");
        }
        let record = stream.record(7);
        assert!(record.value.contains(&record.customer_id) && record.value.contains(&record.transaction_id));
        assert!((0..1000).any(|number| stream.customer_id(number) == record.customer_id));
    }

    #[test]
    fn timestamps_follow_the_pace() {
        let seconds = |stream: &Stream| [0, 100, 700].map(|index| stream.timestamp(index).as_second() - 1_767_225_600);
        assert_eq!(seconds(&stream(|_| ())), [0, 1, 7], "10 ms apart");
        let pace = Day { normal: Duration::from_secs(1), rush_hour: Duration::from_secs(2), ..Day::default() }.pace();
        assert_eq!(seconds(&stream(|settings| settings.pace = Some(pace))), [0, 1, 3]);
    }

    #[test]
    fn a_customer_keeps_one_currency_unless_asked_otherwise() {
        let currencies = |multi_currency| {
            let stream = stream(|settings| {
                settings.customers = 1;
                settings.currencies = ["EUR", "JPY", "KWD"].map(|code| code.parse().unwrap()).to_vec();
                settings.multi_currency = multi_currency;
            });
            let codes = (0..200).filter_map(|index| stream.record(index).effect).map(|it| it.amount.currency.code);
            codes.collect::<BTreeSet<_>>().len()
        };
        assert_eq!((currencies(false), currencies(true)), (1, 3));
    }

    #[test]
    fn the_asked_for_share_of_records_is_poison() {
        let stream = stream(|settings| settings.poison = 2.0);
        let spoiled = (0..10_000).filter(|index| stream.record(*index).effect.is_none()).count();
        assert!((150..250).contains(&spoiled), "{spoiled}");
        assert!((0..1_000).all(|index| Stream::new(Settings::default()).record(index).effect.is_some()));
    }
}
