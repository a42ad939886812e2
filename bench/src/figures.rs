//! What is measured: quantities with their units, and how they read.

use std::time::Duration;

/// The figures of one run of one subject.
pub(crate) type Figures = Vec<(Quantity, f64)>;

/// Something measured, with the name of its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

/// How a value is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    /// Records, each second.
    Records,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Percent of one core.
    Percent,
}

const fn quantity(name: &'static str, unit: Unit) -> Quantity {
    Quantity { name, unit }
}

pub(crate) const RATE: Quantity = quantity("msg/s", Unit::Records);
pub(crate) const PER_CPU: Quantity = quantity("msg/CPU-s", Unit::Records);
pub(crate) const PER_CPU_WITH_START: Quantity = quantity("msg/CPU-s with start", Unit::Records);
pub(crate) const PEAK_MEMORY: Quantity = quantity("peak memory", Unit::Bytes);
pub(crate) const MEMORY: Quantity = quantity("memory", Unit::Bytes);
pub(crate) const BYTES_A_CUSTOMER: Quantity = quantity("bytes a customer", Unit::Bytes);
pub(crate) const RESTORE_RATE: Quantity = quantity("restored/s", Unit::Records);
pub(crate) const RESTORE_PER_CPU: Quantity = quantity("restored/CPU-s with start", Unit::Records);
pub(crate) const START_TO_ACTIVE: Quantity = quantity("start → all active", Unit::Seconds);
pub(crate) const RESTORE_TIME: Quantity = quantity("of it restoring", Unit::Seconds);
pub(crate) const JOIN_MOVED_P50: Quantity = quantity("join: moved p50", Unit::Seconds);
pub(crate) const JOIN_MOVED_P99: Quantity = quantity("join: moved p99", Unit::Seconds);
pub(crate) const JOIN_STAYED: Quantity = quantity("join: stayed, longest", Unit::Seconds);
pub(crate) const LEAVE_MOVED_P50: Quantity = quantity("leave: moved p50", Unit::Seconds);
pub(crate) const LEAVE_MOVED_P99: Quantity = quantity("leave: moved p99", Unit::Seconds);
pub(crate) const LEAVE_STAYED: Quantity = quantity("leave: stayed, longest", Unit::Seconds);
pub(crate) const CRASH_GAP: Quantity = quantity("kill -9 → processed again, longest", Unit::Seconds);
pub(crate) const CRASH_STAYED: Quantity = quantity("stayed, longest", Unit::Seconds);
pub(crate) const P50: Quantity = quantity("p50", Unit::Seconds);
pub(crate) const P99: Quantity = quantity("p99", Unit::Seconds);
pub(crate) const LONGEST: Quantity = quantity("longest", Unit::Seconds);
pub(crate) const CORE: Quantity = quantity("of a core", Unit::Percent);
pub(crate) const LOCAL_P50: Quantity = quantity("alone p50", Unit::Seconds);
pub(crate) const LOCAL_P99: Quantity = quantity("alone p99", Unit::Seconds);
pub(crate) const FLEET_P50: Quantity = quantity("8 workers p50", Unit::Seconds);
pub(crate) const FLEET_P99: Quantity = quantity("8 workers p99", Unit::Seconds);

/// A topic read from its first record to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Records after the moment at which the clocks below started: the first record, or shortly after it.
    pub(crate) counted: u64,
    /// From then until everything was read and, where there is something to commit, committed.
    pub(crate) wall: Duration,
    /// CPU time of the process in that span.
    pub(crate) cpu: Duration,
    /// All records.
    pub(crate) records: u64,
    /// CPU time of the process from its start.
    pub(crate) cpu_with_start: Duration,
    /// The most memory it held.
    pub(crate) peak_memory: u64,
}

impl Run {
    pub(crate) fn figures(&self) -> Figures {
        vec![
            (RATE, per(self.counted, self.wall)),
            (PER_CPU, per(self.counted, self.cpu)),
            (PER_CPU_WITH_START, per(self.records, self.cpu_with_start)),
            (PEAK_MEMORY, self.peak_memory as f64),
        ]
    }
}

/// So many in each second of that time.
pub(crate) fn per(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

impl Unit {
    /// The value as people read it.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Records if value >= 999_500.0 => format!("{:.2} M", value / 1e6),
            Self::Records if value >= 1_000.0 => format!("{:.0} k", value / 1e3),
            Self::Records => format!("{value:.0}"),
            Self::Bytes if value < 10_000.0 => format!("{value:.0} B"),
            Self::Bytes => format!("{:.0} MB", value / 1e6),
            Self::Seconds if value < 0.1 => format!("{:.1} ms", value * 1e3),
            Self::Seconds if value < 1.0 => format!("{:.0} ms", value * 1e3),
            Self::Seconds => format!("{value:.2} s"),
            Self::Percent => format!("{value:.2} %"),
        }
    }

    /// Whether a larger figure is the better one.
    pub(crate) const fn more_is_better(self) -> bool {
        matches!(self, Self::Records)
    }

    /// The name of the unit in machine-readable results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Percent => "percent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_with_the_digits_that_mean_something() {
        assert_eq!(Unit::Records.show(1_234_567.0), "1.23 M");
        assert_eq!(Unit::Records.show(999_499.0), "999 k");
        assert_eq!(Unit::Records.show(412.0), "412");
        assert_eq!(Unit::Bytes.show(48_200_000.0), "48 MB");
        assert_eq!(Unit::Bytes.show(108.4), "108 B");
        assert_eq!(Unit::Seconds.show(0.01234), "12.3 ms");
        assert_eq!(Unit::Seconds.show(0.512), "512 ms");
        assert_eq!(Unit::Seconds.show(13.504), "13.50 s");
    }

    #[test]
    fn a_run_counts_what_came_after_its_clock_started() {
        let run = Run {
            counted: 900,
            wall: Duration::from_secs(3),
            cpu: Duration::from_secs(2),
            records: 1_000,
            cpu_with_start: Duration::from_secs(4),
            peak_memory: 7,
        };
        let values: Vec<_> = run.figures().into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [300.0, 450.0, 250.0, 7.0]);
    }
}
