//! The age of the oldest unread record, interpolated from the operator's own samples of (time, end of the log). No
//! record is read, no other clock is involved, and it works for any consumer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::tuning::END_SAMPLES;

/// How old the oldest unread record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Interpolated from our own samples.
    Exactly(Duration),
    /// Older than our oldest sample.
    AtLeast(Duration),
}

impl Age {
    /// The age, or the least it can be.
    pub const fn lower_bound(self) -> Duration {
        match self {
            Self::Exactly(age) | Self::AtLeast(age) => age,
        }
    }

    /// The age, if it is known exactly.
    pub const fn exact(self) -> Option<Duration> {
        match self {
            Self::Exactly(age) => Some(age),
            Self::AtLeast(_) => None,
        }
    }

    /// The oldest of several; exact only if all are, `None` if one is unknown.
    pub(crate) fn oldest(ages: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let mut oldest = Self::Exactly(Duration::ZERO);
        for age in ages {
            let age = age?;
            let value = oldest.lower_bound().max(age.lower_bound());
            oldest = match (oldest, age) {
                (Self::Exactly(_), Self::Exactly(_)) => Self::Exactly(value),
                _ => Self::AtLeast(value),
            };
        }
        Some(oldest)
    }
}

/// The end of one partition's log over time.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndSamples {
    points: VecDeque<(Duration, i64)>,
}

impl EndSamples {
    /// Adds the end of the log as it was at `now`.
    pub(crate) fn push(&mut self, now: Duration, end: i64) {
        if self.points.back().is_some_and(|(_, last)| end < *last) {
            // The log was truncated: the times of the old offsets mean nothing for the new ones.
            self.points.clear();
        }
        let newest = self.points.len();
        if newest >= 2 && self.points.range(newest - 2..).all(|(_, known)| *known == end) {
            // Keep only the two ends of a flat run: the first record after it must not be dated into the silence.
            self.points.pop_back();
        }
        self.points.push_back((now, end));
        if self.points.len() > END_SAMPLES {
            self.thin();
        }
    }

    /// Drops every second point of the older half: old lag needs less resolution than young lag. The ends of flat runs
    /// stay, because without one of them records would be dated hours wrong. If only such points are left, the oldest
    /// one is dropped.
    fn thin(&mut self) {
        let half = END_SAMPLES / 2;
        let flat =
            |index: usize, other: usize| self.points.get(other).is_some_and(|(_, end)| *end == self.points[index].1);
        let keep: Vec<bool> = (0..self.points.len())
            .map(|index| index >= half || index % 2 == 0 || flat(index, index - 1) || flat(index, index + 1))
            .collect();
        if keep.iter().all(|kept| *kept) {
            self.points.pop_front();
        } else {
            let mut kept = keep.into_iter();
            self.points.retain(|_| kept.next().unwrap_or(true));
        }
    }

    /// The age of the unread record at `offset`; `None` without samples.
    pub(crate) fn age_of(&self, offset: i64, now: Duration) -> Option<Age> {
        let after = self.points.partition_point(|(_, end)| *end <= offset);
        let Some(before) = after.checked_sub(1) else {
            let (oldest, _) = self.points.front()?;
            return Some(Age::AtLeast(now.saturating_sub(*oldest)));
        };
        let (start, low) = self.points[before];
        let written = match self.points.get(after) {
            None => start,
            Some((stop, high)) => {
                let part = offset.saturating_sub(low) as f64 / high.saturating_sub(low) as f64;
                start + stop.saturating_sub(start).mul_f64(part.clamp(0.0, 1.0))
            }
        };
        Some(Age::Exactly(now.saturating_sub(written)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn samples(points: &[(u64, i64)]) -> EndSamples {
        let mut samples = EndSamples::default();
        for (at, end) in points {
            samples.push(secs(*at), *end);
        }
        samples
    }

    #[test]
    fn an_offset_between_two_samples_is_dated_between_them() {
        let samples = samples(&[(0, 100), (10, 200), (20, 400)]);
        assert_eq!(samples.age_of(150, secs(20)), Some(Age::Exactly(secs(15))));
        assert_eq!(samples.age_of(300, secs(20)), Some(Age::Exactly(secs(5))));
    }

    #[test]
    fn the_first_record_after_a_silence_is_not_dated_into_it() {
        let samples = samples(&[(0, 100), (10, 100), (20, 100), (3600, 100), (3605, 150)]);
        assert_eq!(samples.points.len(), 3);
        assert_eq!(samples.age_of(100, secs(3606)), Some(Age::Exactly(secs(6))));
    }

    #[test]
    fn what_was_written_before_the_first_sample_is_at_least_that_old() {
        let samples = samples(&[(50, 100), (60, 200)]);
        assert_eq!(samples.age_of(99, secs(70)), Some(Age::AtLeast(secs(20))));
        assert_eq!(EndSamples::default().age_of(99, secs(70)), None);
    }

    #[test]
    fn a_truncated_log_starts_the_samples_anew() {
        let samples = samples(&[(0, 100), (10, 200), (20, 50)]);
        assert_eq!(samples.points, [(secs(20), 50)]);
    }

    #[test]
    fn hours_of_backlog_stay_dated_with_few_samples() {
        let points: Vec<(u64, i64)> = (0..=2000).map(|poll| (poll * 5, poll as i64 * 50)).collect();
        let samples = samples(&points);
        assert!(samples.points.len() <= END_SAMPLES);
        let Some(Age::Exactly(age)) = samples.age_of(10_000, secs(10_000)) else { panic!("dated") };
        assert!(age.abs_diff(secs(9_000)) <= secs(1), "{age:?}");
    }

    #[test]
    fn an_old_silence_is_not_thinned_away() {
        let mut samples = samples(&[(0, 0), (5, 100), (28_800, 100)]);
        for poll in 1..=200 {
            samples.push(secs(28_800 + poll * 5), 100 + poll as i64 * 50);
        }
        let Some(Age::Exactly(age)) = samples.age_of(100, secs(29_800)) else { panic!("dated") };
        assert_eq!(age, secs(1_000));
        for silence in 0..200 {
            samples.push(secs(30_000 + silence * 10), 20_000 + silence as i64 / 2);
        }
        assert!(samples.points.len() <= END_SAMPLES);
    }

    #[test]
    fn the_oldest_of_several_is_exact_only_if_all_are() {
        let exactly = |seconds| Some(Age::Exactly(secs(seconds)));
        let at_least = |seconds| Some(Age::AtLeast(secs(seconds)));
        assert_eq!(Age::oldest([exactly(3), exactly(9)]), exactly(9));
        assert_eq!(Age::oldest([exactly(9), at_least(4)]), at_least(9));
        assert_eq!(Age::oldest([exactly(9), None]), None);
        assert_eq!(Age::oldest([]), exactly(0));
    }
}
