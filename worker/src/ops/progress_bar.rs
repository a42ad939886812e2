//! The progress of a tool: a bar with the time left on a terminal, otherwise a line every few seconds.

use std::{
    io::{IsTerminal, stderr},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use indicatif::ProgressStyle;

use super::tools::grouped;

const TEMPLATE: &str = "{msg} [{bar:30}] {human_pos} of {human_len} records, {per_sec}, {eta} left";
/// The interval between two lines without a terminal. A shorter task prints none.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct ProgressBar {
    bar: indicatif::ProgressBar,
    /// The thread that prints lines stops when it is dropped.
    _lines: mpsc::Sender<()>,
}

impl ProgressBar {
    /// The progress over `total` records, shown on standard error.
    pub(super) fn new(total: i64) -> Self {
        let bar = indicatif::ProgressBar::new(u64::try_from(total).unwrap_or_default());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        let (lines, is_over) = mpsc::channel();
        if !stderr().is_terminal() {
            let bar = bar.clone();
            // Ticks without progress too, for example during a wait for a transaction.
            std::thread::spawn(move || {
                while is_over.recv_timeout(LINE_EVERY) == Err(RecvTimeoutError::Timeout) {
                    eprintln!("{}", line(&bar));
                }
            });
        }
        Self { bar, _lines: lines }
    }

    pub(super) fn begin(&self, what: String) {
        self.bar.set_message(what);
    }

    /// Adds to the number of finished records.
    pub(super) fn add(&self, records: i64) {
        self.bar.inc(u64::try_from(records).unwrap_or_default());
    }

    /// Runs something that prints, with the bar out of its way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Removes the bar; printed lines stay.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn line(bar: &indicatif::ProgressBar) -> String {
    let (done, all) = (bar.position(), bar.length().unwrap_or_default());
    format!("{}: {} of {} records, about {} s left", bar.message(), grouped(done), grouped(all), bar.eta().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_how_long_it_will_take() {
        let progress = ProgressBar::new(4000);
        progress.begin("partition 3".to_owned());
        std::thread::sleep(Duration::from_millis(200));
        progress.add(1);
        let line = line(&progress.bar);
        let left =
            line.strip_prefix("partition 3: 1 of 4,000 records, about ").unwrap().strip_suffix(" s left").unwrap();
        assert!(left.parse::<u64>().unwrap() > 0, "{line}");
    }
}
