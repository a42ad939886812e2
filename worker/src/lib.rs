//! Kafka consumer that folds transactions into exact balances and serves them.
//!
//! In go a [configuration](config) and the records of one topic; out come balances behind a REST API, committed offsets
//! with a usage record, log lines and metrics.

pub mod amount;
pub mod api;
pub mod config;
pub mod exponents;
pub mod failure;
pub mod identity;
pub mod ledger;
pub mod money;
pub mod rules;
pub mod status;
pub mod store;
pub mod transaction;
pub mod view;
