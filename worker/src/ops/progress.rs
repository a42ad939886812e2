//! How far a tool is: a bar with the time left on a terminal, else a line every few seconds.

use std::{
    io::{IsTerminal, stderr},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::tools::grouped;

const TEMPLATE: &str = "{msg} [{bar:30}] {human_pos} of {human_len} records, {per_sec}, {eta} left";
/// Between two lines where there is no terminal; what takes less says nothing.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    bar: ProgressBar,
    /// Whoever writes lines stops when it is gone.
    _lines: mpsc::Sender<()>,
}

impl Progress {
    /// Of `total` records; what it says goes to standard error.
    pub(super) fn new(total: i64) -> Self {
        let bar = ProgressBar::new(u64::try_from(total).unwrap_or_default());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        let (lines, is_over) = mpsc::channel();
        if !stderr().is_terminal() {
            let bar = bar.clone();
            // Also while nothing comes on, for example because a transaction is waited for.
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

    /// So many more records are done.
    pub(super) fn add(&self, records: i64) {
        self.bar.inc(u64::try_from(records).unwrap_or_default());
    }

    /// Runs something that prints, with the bar out of its way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// The bar vanishes; what was found stays.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn line(bar: &ProgressBar) -> String {
    let (done, all) = (bar.position(), bar.length().unwrap_or_default());
    format!("{}: {} of {} records, about {} s left", bar.message(), grouped(done), grouped(all), bar.eta().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_how_long_it_will_take() {
        let progress = Progress::new(4000);
        progress.begin("partition 3".to_owned());
        std::thread::sleep(Duration::from_millis(200));
        progress.add(1);
        let line = line(&progress.bar);
        let left =
            line.strip_prefix("partition 3: 1 of 4,000 records, about ").unwrap().strip_suffix(" s left").unwrap();
        assert!(left.parse::<u64>().unwrap() > 0, "{line}");
    }
}
