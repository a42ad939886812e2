//! The worker as a process beside a real Kafka: what the labs have a person check, and what may go wrong.
//!
//! Needs `BALANCEFLEET_TEST_KAFKA`; `make integration` sets it.

mod assignors;
mod crashes;
mod failures;
mod handover;
mod harness;
mod input;
mod sharing;
mod start;
