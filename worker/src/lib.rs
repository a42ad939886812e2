//! Kafka consumer that folds transactions into exact balances and serves them.
//!
//! In go a configuration and the records of one topic; out come balances behind a REST API, committed offsets
//! with a usage record, log lines and metrics.

mod amount;
mod api;
mod cluster;
mod config;
mod consumer;
mod critical_thread;
mod exponents;
mod input;
mod kafka_clients;
mod leave_group;
mod ledger;
mod ledger_rules;
mod money;
mod not_ready;
mod ops;
mod partition_failure;
mod postgres_error;
mod postgres_target;
mod preflight;
mod rules;
pub mod run;
#[cfg(test)]
mod scenarios;
mod status;
mod stop;
mod store;
mod throttle;
mod topic_facts;
mod transaction;
mod view;
