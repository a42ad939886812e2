//! The worker as a process beside a real Kafka: what the labs have a person check, and what may go wrong.
//!
//! Needs `BALANCEFLEET_TEST_KAFKA`; `make integration` sets it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says no by panicking

mod assignors;
mod changelog;
mod crashes;
mod failures;
mod handover;
mod harness;
mod input;
mod ops;
mod sharing;
mod start;
