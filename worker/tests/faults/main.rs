//! What may go wrong around a fleet of workers, on three real brokers, and the balances afterwards: every customer and
//! every count as the input says, up to the very offsets that are committed.
//!
//! Each test is one fault, under traffic and with a reader that checks every answer it gets meanwhile. `soak` is many
//! faults, by chance, for as long as one likes. The store is the environment's `BALANCE_STORE` (changelog), which the
//! workers inherit together with every other setting of theirs.
//!
//! Needs `BALANCEFLEET_TEST_KAFKA_CLUSTER` and its folder; `make faults` and `make soak` set them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says no by panicking

mod brokers;
mod clients;
mod crashes;
mod fold;
#[allow(unused, reason = "shared with the integration tests, which use all of it")]
#[path = "../integration/harness/mod.rs"]
mod harness;
mod late;
mod leaving;
mod moves;
mod poison;
mod reader;
mod responses;
mod scene;
mod soak;
mod stops;
mod topics;
mod traffic;
mod truncation;
mod zombies;
