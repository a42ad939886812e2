//! What is going on, one line each on standard error, with the time since the whole script began.

use std::time::{SystemTime, UNIX_EPOCH};

/// The same form as the scripts' own lines.
pub(crate) fn progress(words: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let began = std::env::var("BALANCEFLEET_STARTED").ok().and_then(|began| began.parse().ok()).unwrap_or(now);
    let elapsed = now.saturating_sub(began);
    eprintln!("[{:3}:{:02}] {words}", elapsed / 60, elapsed % 60);
}
