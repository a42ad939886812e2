//! The proxy between real clients and real brokers: one (`BALANCEFLEET_TEST_KAFKA`), and a cluster of three
//! (`BALANCEFLEET_TEST_KAFKA_CLUSTER`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says no by panicking

mod connections;
mod messages;
mod support;
mod three_brokers;
mod untouched;
