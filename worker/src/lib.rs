//! Kafka consumer that folds transactions into exact balances and serves them.
//!
//! In go a [configuration](config) and the records of one topic; out come balances behind a REST API, committed offsets
//! with a usage record, log lines and metrics.

pub mod amount;
pub mod api;
mod cluster;
pub mod config;
mod consumer;
pub mod exponents;
pub mod failure;
mod hindrance;
pub mod identity;
pub mod input;
pub mod ledger;
mod ledger_rules;
mod logging;
pub mod money;
mod ops;
mod preflight;
pub mod rules;
pub mod run;
pub mod status;
mod stop;
pub mod store;
mod throttle;
pub mod transaction;
mod truncation;
pub mod view;
mod vital_thread;
