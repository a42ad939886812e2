//! Kafka consumer that folds transactions into exact balances and serves them.
//!
//! Its input is a configuration and the records of one topic. Its output is balances behind a REST API, committed
//! offsets with metadata, log lines and metrics.
//!
//! A record becomes a balance in three steps: `domain/transaction.rs` parses it, `domain/rules.rs` gives it its sign
//! (`Rules::read`), and `domain/ledger/customer.rs` applies it to its customer. The poll thread reads records in
//! `poll/batch.rs` and applies them in `poll/active.rs`: with the store `replay` to the ledger itself, otherwise as
//! changes over it until they are committed (`domain/ledger/buffer.rs`). A restore from
//! the input (`restore/partition.rs`) and the tools (`ops/reading.rs`) fold records by the same rules (`Rules::fold`).
//!
//! The worker replaces two older consumers in .NET, one that keeps balances and one that only counts records. Their
//! REST paths, JSON shapes, messages, environment variables and default signs are kept.

mod api;
mod cleanup_policy;
mod config;
mod critical_thread;
mod domain;
mod kafka_clients;
mod leave_group;
mod not_ready;
mod ops;
mod partition_failure;
mod poll;
mod postgres_error;
mod postgres_target;
mod preflight;
mod processor;
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
