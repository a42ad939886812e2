//! The worker as a process beside a real Kafka: what the guides of the .NET consumers that it replaces check by hand,
//! and what may go wrong.
//!
//! Needs `BALANCEFLEET_TEST_KAFKA`, `BALANCEFLEET_TEST_POSTGRES` and, for tests with two releases,
//! `BALANCEFLEET_TEST_FORMER_WORKER`; `make integration` sets them.
//!
//! A test has a group and a topic of its own, and with them its own rows in the one database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says no by panicking

mod assignors;
mod changelog;
mod compacted;
mod crashes;
mod currencies;
mod failures;
mod handover;
mod harness;
mod input;
mod offsets;
mod ops;
mod postgres;
mod releases;
mod sharing;
mod sizes;
mod start;
