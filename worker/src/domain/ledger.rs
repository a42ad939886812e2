//! The ledger of one partition: what its records, taken together, say about each customer.
//!
//! In goes one [`Posting`] after the other; out come the customers' balances per currency. A customer's whole balance
//! is the sum over all partitions, so it is right however the input is keyed.
//!
//! With the `replay` store the applied state is what readers see. Stores that keep balances themselves gather what their
//! records change in [`Changes`] first, and put it into the ledger once it is committed.

mod changes;
mod customers;
#[cfg(test)]
mod tests;

pub(crate) use changes::{Changed, Changes, DeadLetter};
pub(crate) use customers::{Customer, Ledger, Posting};
