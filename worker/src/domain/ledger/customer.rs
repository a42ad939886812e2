//! One customer's state in one partition, and what one transaction does to it.

use std::{borrow::Cow, ops::Deref};

use jiff::Timestamp;

use crate::domain::{
    id::{Id, IdRef},
    money::{Currency, Overflow},
};

/// One transaction as the ledger sees it: checked, signed, in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posting<'a> {
    pub(crate) customer: Cow<'a, str>,
    pub(crate) currency: Currency,
    /// By how many minor units; negative for a debit.
    pub(crate) minor_units: i64,
    pub(crate) transaction_id: Cow<'a, str>,
    pub(crate) timestamp: Timestamp,
}

/// One customer's state in one partition.
///
/// 64 bytes, without a pointer for a single currency and usual ids: applying a record is mostly waiting for memory, and
/// each pointer adds a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    balances: Balances,
    /// How many transactions were applied.
    pub(crate) count: u64,
    /// The whole seconds of the last transaction's time.
    second: i64,
    pub(crate) last_offset: i64,
    /// Id of the transaction with the highest offset.
    pub(crate) last_transaction_id: Id,
}

/// The balances, and the rest of the last transaction's time, for which there is room beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Balances {
    One {
        currency: Currency,
        nanosecond: i32,
        minor_units: i64,
    },
    /// Never a single balance that fits into [`Self::One`].
    Several {
        nanosecond: i32,
        list: Box<BalanceList>,
    },
}

/// In the order of first use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct BalanceList(Vec<(Currency, i128)>);

/// The balance in minor units per currency, in the order of first use.
pub(crate) enum BalancesRef<'a> {
    One([(Currency, i128); 1]),
    Several(&'a [(Currency, i128)]),
}

impl Deref for BalancesRef<'_> {
    type Target = [(Currency, i128)];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(one) => one,
            Self::Several(several) => several,
        }
    }
}

impl Customer {
    /// A customer in a known state.
    pub(crate) fn new(
        balances: impl IntoIterator<Item = (Currency, i128)>,
        count: u64,
        last_transaction_id: Id,
        last_updated: Timestamp,
        last_offset: i64,
    ) -> Self {
        let list = Box::new(BalanceList(balances.into_iter().collect()));
        let (second, nanosecond) = (last_updated.as_second(), last_updated.subsec_nanosecond());
        let balances = Balances::Several { nanosecond, list };
        let mut customer = Self { balances, count, second, last_offset, last_transaction_id };
        customer.narrow();
        customer
    }

    /// The first transaction of a customer is `posting`.
    pub(super) fn opened_by(posting: &Posting<'_>, offset: i64) -> Self {
        Self {
            balances: Balances::One {
                currency: posting.currency,
                nanosecond: posting.timestamp.subsec_nanosecond(),
                minor_units: posting.minor_units,
            },
            count: 1,
            second: posting.timestamp.as_second(),
            last_offset: offset,
            last_transaction_id: (&*posting.transaction_id).into(),
        }
    }

    /// The balance in minor units per currency, in the order of first use.
    pub(crate) fn balances(&self) -> BalancesRef<'_> {
        match &self.balances {
            Balances::One { currency, minor_units, .. } => BalancesRef::One([(*currency, i128::from(*minor_units))]),
            Balances::Several { list, .. } => BalancesRef::Several(&list.0),
        }
    }

    /// The time of the transaction with the highest offset.
    pub(crate) fn last_updated(&self) -> Timestamp {
        let (Balances::One { nanosecond, .. } | Balances::Several { nanosecond, .. }) = self.balances;
        // Both are of a time, so this is never the fallback.
        Timestamp::new(self.second, nanosecond).unwrap_or_default()
    }

    /// Applies one more record. An error leaves the customer as it was.
    pub(super) fn apply(&mut self, posting: &Posting<'_>, offset: i64) -> Result<(), Overflow> {
        self.add(posting.currency, posting.minor_units)?;
        let (Balances::One { nanosecond, .. } | Balances::Several { nanosecond, .. }) = &mut self.balances;
        *nanosecond = posting.timestamp.subsec_nanosecond();
        self.second = posting.timestamp.as_second();
        self.count += 1;
        self.last_offset = offset;
        self.last_transaction_id.set(IdRef::from(&*posting.transaction_id));
        Ok(())
    }

    fn add(&mut self, currency: Currency, minor_units: i64) -> Result<(), Overflow> {
        if let Balances::One { currency: held, minor_units: balance, .. } = &mut self.balances
            && *held == currency
            && let Some(sum) = balance.checked_add(minor_units)
        {
            *balance = sum;
            return Ok(());
        }
        let list = self.widen();
        match list.iter_mut().find(|(held, _)| *held == currency) {
            Some((_, balance)) => *balance = balance.checked_add(i128::from(minor_units)).ok_or(Overflow)?,
            None => list.push((currency, i128::from(minor_units))),
        }
        self.narrow();
        Ok(())
    }

    /// The balances as a list.
    fn widen(&mut self) -> &mut Vec<(Currency, i128)> {
        if let Balances::One { currency, nanosecond, minor_units } = self.balances {
            let list = Box::new(BalanceList(vec![(currency, i128::from(minor_units))]));
            self.balances = Balances::Several { nanosecond, list };
        }
        match &mut self.balances {
            Balances::Several { list, .. } => &mut list.0,
            Balances::One { .. } => unreachable!("it was widened above"),
        }
    }

    /// A single balance of the usual size needs no list.
    fn narrow(&mut self) {
        if let Balances::Several { nanosecond, list } = &self.balances
            && let [(currency, balance)] = list.0[..]
            && let Ok(minor_units) = i64::try_from(balance)
        {
            self.balances = Balances::One { currency, nanosecond: *nanosecond, minor_units };
        }
    }

    /// Loads both ends of the struct into the processor's cache.
    pub(super) fn touch(&self) {
        std::hint::black_box((self.count, matches!(self.last_transaction_id, Id::Uuid(_))));
    }
}
