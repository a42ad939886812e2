//! Waiting by asking again, with the last thing seen in the error.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use super::ClusterError;

/// Asks again every 200 ms until `attempt` gives a value; its error says what was seen instead.
pub fn wait_until<T, E: Display>(
    what: &str,
    patience: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, ClusterError> {
    let began = Instant::now();
    loop {
        let state = match attempt() {
            Ok(value) => return Ok(value),
            Err(state) => state.to_string(),
        };
        if began.elapsed() >= patience {
            return Err(ClusterError::NotInTime { what: what.to_owned(), patience, state });
        }
        thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_true_is_given_back() {
        let mut asked = 0;
        let value = wait_until("counting", Duration::from_secs(5), || {
            asked += 1;
            if asked < 3 { Err(format!("only {asked}")) } else { Ok(asked) }
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn what_does_not_says_what_was_seen_last() {
        let error = wait_until("two", Duration::ZERO, || Err::<(), _>("one of two")).unwrap_err();
        assert_eq!(error.to_string(), "two: not within 0ns; last seen: one of two");
    }
}
