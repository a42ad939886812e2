//! How far a tool is: a bar with the time left on a terminal, else a line every few seconds.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::tools::grouped;

const TEMPLATE: &str = "{msg} [{bar:30}] {human_pos} of {human_len} records, {per_sec}, {eta} left";
/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    bar: ProgressBar,
    lines: bool,
    told: Instant,
}

impl Progress {
    /// Of `total` records; what it says goes to standard error.
    pub(super) fn new(total: i64) -> Self {
        let bar = ProgressBar::new(u64::try_from(total).unwrap_or_default());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self { bar, lines: !stderr().is_terminal(), told: Instant::now() }
    }

    pub(super) fn begin(&self, what: String) {
        self.bar.set_message(what);
    }

    /// So many more records are done.
    pub(super) fn add(&mut self, records: i64) {
        self.bar.inc(u64::try_from(records).unwrap_or_default());
        if self.lines && self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let left = self.bar.eta().as_secs();
            eprintln!("{}: {} of {} records, about {left} s left", self.bar.message(), grouped(done), grouped(all));
        }
    }

    /// Runs something that prints, with the bar out of its way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// The bar vanishes; what was found stays.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
