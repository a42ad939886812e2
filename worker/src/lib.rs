//! Kafka consumer that folds transactions into exact balances and serves them.
//!
//! In go a configuration and the records of one topic; out come balances behind a REST API, committed offsets
//! with a usage record, log lines and metrics.

mod api;
mod config;
mod critical_thread;
mod domain;
mod input;
mod kafka_clients;
mod leave_group;
mod not_ready;
mod ops;
mod partition_failure;
mod poll;
mod postgres_error;
mod postgres_target;
mod preflight;
mod restore;
pub mod run;
#[cfg(test)]
mod scenarios;
mod status;
mod stop;
mod store;
mod throttle;
mod topic_facts;
mod view;
