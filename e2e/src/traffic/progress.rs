//! What a run says while it goes on: phases on standard output, figures on standard error.

use std::time::{Duration, Instant};

use super::sender::Sent;
use crate::stream::Phase;

/// Prints a line at each change of phase and one with figures now and then.
#[derive(Debug)]
pub struct Progress {
    every: Duration,
    before: Duration,
    phase: Option<&'static str>,
    printed: Instant,
    sent_before: u64,
}

impl Progress {
    /// Figures come `every` so often. The clock shows how long it is since something began that had lasted for `before`
    /// when the run started.
    pub fn new(every: Duration, before: Duration) -> Self {
        Self { every, before, phase: None, printed: Instant::now(), sent_before: 0 }
    }

    /// To be called often; prints only what is due.
    pub fn update(&mut self, elapsed: Duration, phase: Option<&Phase>, sent: Sent) {
        let clock = clock(self.before + elapsed);
        if let Some(phase) = phase.filter(|phase| self.phase != Some(phase.name)) {
            self.phase = Some(phase.name);
            println!("{clock} {}: {}", phase.name, rate(phase.rate));
        }
        let since = self.printed.elapsed();
        if since >= self.every {
            let per_second = (sent.sent - self.sent_before) as f64 / since.as_secs_f64();
            let Sent { sent, acknowledged, failed, .. } = sent;
            let failed = if failed > 0 { format!(", failed {failed}") } else { String::new() };
            eprintln!("{clock} sent {sent}, acknowledged {acknowledged}{failed}, {per_second:.0}/s");
            self.printed = Instant::now();
            self.sent_before = sent;
        }
    }
}

fn rate(rate: u32) -> String {
    if rate == 0 { "as fast as the broker takes them".into() } else { format!("{rate} transactions/s") }
}

/// The clock of this project's scripts.
fn clock(elapsed: Duration) -> String {
    format!("[{:3}:{:02}]", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
}
