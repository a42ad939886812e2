//! Waiting by asking again, with the last thing seen in the error.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::BenchError;

/// Asks `every` so often until `attempt` gives a value; its error says what was seen instead.
pub(crate) fn wait_until<T, E: Display>(
    what: &str,
    patience: Duration,
    every: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, BenchError> {
    let began = Instant::now();
    loop {
        let state = match attempt() {
            Ok(value) => return Ok(value),
            Err(state) => state,
        };
        if began.elapsed() >= patience {
            return Err(BenchError::NotInTime { what: what.to_owned(), patience, state: state.to_string() });
        }
        thread::sleep(every);
    }
}
