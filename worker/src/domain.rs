//! What is computed: transactions, the rules by which they are read, money, and the ledgers that hold it.
//!
//! A record becomes a balance in three steps: `transaction.rs` parses it, `rules.rs` gives it its sign,
//! `ledger/customer.rs` applies it. Nothing here calls Kafka or a store, or knows of threads.

pub(crate) mod amount;
pub(crate) mod exponents;
mod hex;
pub(crate) mod id;
pub(crate) mod ledger;
pub(crate) mod ledger_rules;
pub(crate) mod money;
pub(crate) mod rules;
pub(crate) mod transaction;
