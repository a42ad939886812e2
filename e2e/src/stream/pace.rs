//! How many records are due at a moment: a pure function of the time since the start.

use std::time::Duration;

/// A time of one rate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Phase {
    /// For people: `rush hour`.
    pub name: &'static str,
    /// Records per second; 0 means as fast as the broker takes them.
    pub rate: u32,
    /// How long it lasts.
    pub length: Duration,
}

/// Phases after one another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pace {
    phases: Vec<Phase>,
}

impl Pace {
    /// Each phase begins where the one before ends.
    pub fn new(phases: Vec<Phase>) -> Self {
        Self { phases }
    }

    /// One rate until `count` records are due.
    pub fn steady(rate: u32, count: u64) -> Self {
        let seconds = if rate == 0 { 0 } else { count.div_ceil(u64::from(rate)) };
        Self::new(vec![Phase { name: "steady", rate, length: Duration::from_secs(seconds) }])
    }

    /// Records due when that much time has passed; rounded down, never more than all.
    pub fn due(&self, elapsed: Duration) -> u64 {
        let mut left = elapsed;
        let mut due = 0u128;
        for phase in &self.phases {
            let inside = left.min(phase.length);
            due += inside.as_nanos() * u128::from(phase.rate);
            left -= inside;
        }
        (due / 1_000_000_000) as u64
    }

    /// The phase that reigns then; none after the last.
    pub fn phase(&self, elapsed: Duration) -> Option<&Phase> {
        let mut end = Duration::ZERO;
        self.phases.iter().find(|phase| {
            end += phase.length;
            elapsed < end
        })
    }

    /// The time after which that many records are due; the last rate goes on after the last phase.
    pub fn due_after(&self, count: u64) -> Duration {
        let (mut before, mut passed) = (0, Duration::ZERO);
        for (number, phase) in self.phases.iter().enumerate() {
            let due = (phase.length.as_nanos() * u128::from(phase.rate) / 1_000_000_000) as u64;
            let is_last = number + 1 == self.phases.len();
            if phase.rate > 0 && (is_last || count < before + due) {
                let nanos = u128::from(count - before) * 1_000_000_000 / u128::from(phase.rate);
                return passed + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            }
            (before, passed) = (before + due, passed + phase.length);
        }
        passed
    }

    /// All phases together.
    pub fn length(&self) -> Duration {
        self.phases.iter().map(|phase| phase.length).sum()
    }

    /// Records due over all phases.
    pub fn count(&self) -> u64 {
        self.due(self.length())
    }
}

/// The lengths of the phases of a day of business; their rates are fixed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Day {
    /// 100 transactions per second.
    pub normal: Duration,
    /// 300 transactions per second.
    pub rush_hour: Duration,
    /// 600 transactions per second.
    pub black_friday: Duration,
    /// 20 transactions per second.
    pub night: Duration,
}

impl Day {
    /// The pace of that day.
    pub fn pace(&self) -> Pace {
        Pace::new(vec![
            Phase { name: "normal day", rate: 100, length: self.normal },
            Phase { name: "rush hour", rate: 300, length: self.rush_hour },
            Phase { name: "Black Friday", rate: 600, length: self.black_friday },
            Phase { name: "night", rate: 20, length: self.night },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> Pace {
        let seconds = Duration::from_secs;
        Day { normal: seconds(10), rush_hour: seconds(10), black_friday: seconds(10), night: seconds(10) }.pace()
    }

    #[test]
    fn a_day_sends_what_the_table_of_the_labs_says() {
        assert_eq!(day().due(Duration::from_millis(5_500)), 550);
        assert_eq!(day().due(Duration::from_secs(10)), 1_000);
        assert_eq!(day().due(Duration::from_secs(11)), 1_300);
        assert_eq!(day().due(Duration::from_secs(20)), 4_000);
        assert_eq!(day().due(Duration::from_secs(30)), 10_000);
        assert_eq!(day().count(), 10_200);
        assert_eq!(day().due(Duration::from_secs(4_000)), 10_200);
    }

    #[test]
    fn the_phase_follows_the_time_and_ends_with_the_day() {
        let name = |seconds| day().phase(Duration::from_secs(seconds)).map(|phase| phase.name);
        assert_eq!(
            [name(0), name(10), name(29), name(30)].map(Option::unwrap),
            ["normal day", "rush hour", "Black Friday", "night"]
        );
        assert_eq!(name(40), None);
    }

    #[test]
    fn so_many_records_are_due_after_the_phases_that_they_take() {
        let after = |count| day().due_after(count).as_millis();
        assert_eq!([0, 100, 1_000, 1_300, 4_000, 4_600].map(after), [0, 1_000, 10_000, 11_000, 20_000, 21_000]);
        assert_eq!([10_199, 10_220].map(after), [39_950, 41_000], "the night goes on");
        for count in [7, 999, 1_000, 3_999, 9_999, 10_050] {
            assert_eq!(day().due(day().due_after(count) + Duration::from_nanos(1)), count);
        }
        assert_eq!(Pace::steady(250, 10).due_after(1_000).as_millis(), 4_000);
    }

    #[test]
    fn a_steady_pace_becomes_due_evenly() {
        let pace = Pace::steady(250, 1_000);
        assert_eq!(pace.due(Duration::from_millis(4)), 1);
        assert_eq!(pace.due(Duration::from_millis(3)), 0);
        assert_eq!(pace.count(), 1_000);
    }
}
