//! A Kafka, a PostgreSQL, workers as processes, and an oracle that knows what the balances must be.

mod database;
mod fleet;
mod kafka;
mod oracle;
mod tool;
mod wire;
mod worker;

use std::time::{Duration, Instant};

pub(crate) use database::{Database, url as database_url};
pub(crate) use fleet::{Fleet, fleet, folded};
pub(crate) use kafka::{Stream, stream, stream_of};
pub(crate) use oracle::{Oracle, Traffic};
pub(crate) use tool::{program, run};
pub(crate) use wire::{Mode, Wire};
pub(crate) use worker::{Worker, former_worker, free_port, worker};

/// Asks until `check` gives a value; panics with its last complaint at the deadline.
#[track_caller]
pub(crate) fn eventually<T>(within: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match check() {
            Ok(value) => return value,
            Err(complaint) if Instant::now() >= deadline => panic!("not within {within:?}: {complaint}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Makes a test of each function for each store: what they promise, they promise alike.
macro_rules! with_each_store {
    ($($test:ident),+ $(,)?) => {
        mod with_replay { $(#[test] fn $test() { super::$test("replay"); })+ }
        mod with_changelog { $(#[test] fn $test() { super::$test("changelog"); })+ }
        mod with_postgres { $(#[test] fn $test() { super::$test("postgres"); })+ }
    };
}
pub(crate) use with_each_store;

/// The same for the stores that keep balances.
macro_rules! with_each_keeping_store {
    ($($test:ident),+ $(,)?) => {
        mod with_changelog { $(#[test] fn $test() { super::$test("changelog"); })+ }
        mod with_postgres { $(#[test] fn $test() { super::$test("postgres"); })+ }
    };
}
pub(crate) use with_each_keeping_store;

/// A time nothing that works should need, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(45);
