//! The ledger of one partition: what its records together give for each customer.
//!
//! It applies one [`Posting`] after the other to the customers' balances per currency. A customer's whole balance is
//! the sum over all partitions, so it is right however the input is keyed.
//!
//! Readers see the [`Ledger`]. With the `replay` store, records change it at once. Stores that keep balances first
//! collect the effect of records in a [`Buffer`]; its changes go into the ledger once they are committed.

mod buffer;
mod changes;
mod copying;
mod customer;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use buffer::Buffer;
pub(crate) use changes::{Change, Changes, DeadLetter};
#[cfg(test)]
pub(crate) use copying::Overtaken;
pub(crate) use customer::{Customer, Posting};
pub(crate) use table::{Found, Ledger};
