//! The ledger of one partition: what its records together give for each customer.
//!
//! It applies one [`Posting`] after the other to the customers' balances per currency. A customer's whole balance is
//! the sum over all partitions, so it is right however the input is keyed.
//!
//! With the `replay` store, readers see the applied state. Stores that keep balances first collect the effect of
//! records in [`Changes`], and put it into the ledger once it is committed.

mod changes;
mod customers;
#[cfg(test)]
mod tests;

pub(crate) use changes::{Changed, Changes, DeadLetter};
pub(crate) use customers::{Customer, Ledger, Posting};
