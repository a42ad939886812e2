//! Watches for truncated logs: partitions whose offset may no longer be in their log.
//!
//! librdkafka reports once that the offset of a partition is not in its log, and then stops fetching it. From then on
//! the partition is watched, until it moves on from that offset or is known to have failed. A measurement that fails,
//! or that finds the offset in the log again, does not end that.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use balancefleet_kafka::Position;
use parking_lot::Mutex;

use crate::store::AssignmentNumber;

/// If a partition has records to fetch, but the client delivered nothing for this long, the client no longer fetches
/// it.
const FETCHED_WITHIN: Duration = Duration::from_secs(5);

/// A partition whose offset may no longer be in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaybeTruncated {
    pub(crate) partition: i32,
    pub(crate) assignment_number: AssignmentNumber,
    pub(crate) next_offset: i64,
}

/// A position whose validation got no answer for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub(crate) assignment_number: AssignmentNumber,
    pub(crate) position: Position,
}

/// The log of a watched partition, as measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) of: MaybeTruncated,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The end of what a consumer may read: before the first open transaction.
    pub(crate) stable_end: i64,
}

/// The state of the poll thread and its client when a measurement arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchState {
    /// The next offset to process; `None` if that assignment is over.
    pub(crate) next_offset: Option<i64>,
    /// How far the client has read: beyond the next offset when transaction markers follow.
    pub(crate) read_to: i64,
    /// When the client last had nothing to deliver.
    pub(crate) idle_at: Instant,
}

/// The conclusion from a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Diagnosis {
    /// It was fetched after all, or its assignment is over.
    MovedOn,
    /// Perhaps there are no records, perhaps it is not fetched: the next record will show.
    Open,
    /// Its offset is not in the log.
    OutOfRange,
    /// Its offset is in the log again, but nothing is fetched.
    FetchPositionLost,
}

/// The watched partitions; the poll thread adds and removes them, the topic monitor measures their logs.
#[derive(Default)]
pub(crate) struct TruncationWatch {
    watched: Mutex<BTreeMap<i32, Watched>>,
    overdue: Mutex<BTreeMap<i32, Overdue>>,
}

struct Watched {
    of: MaybeTruncated,
    /// Since when it has records that the client does not deliver.
    behind_since: Option<Instant>,
}

impl TruncationWatch {
    /// Watches partitions. One that is watched at another offset is watched anew; at the same offset nothing changes.
    pub(crate) fn add(&self, partitions: impl IntoIterator<Item = MaybeTruncated>) {
        let mut watched = self.watched.lock();
        for of in partitions {
            if watched.get(&of.partition).is_none_or(|known| known.of != of) {
                watched.insert(of.partition, Watched { of, behind_since: None });
            }
        }
    }

    /// Queues positions to look up, the latest one per partition: a lookup may take longer than the interval between
    /// two.
    pub(crate) fn add_overdue(&self, overdue: impl IntoIterator<Item = Overdue>) {
        self.overdue.lock().extend(overdue.into_iter().map(|overdue| (overdue.position.partition, overdue)));
    }

    pub(crate) fn take_overdue(&self) -> Vec<Overdue> {
        std::mem::take(&mut *self.overdue.lock()).into_values().collect()
    }

    pub(crate) fn maybe_truncated(&self) -> Vec<MaybeTruncated> {
        self.watched.lock().values().map(|watched| watched.of).collect()
    }

    /// Ends the watch of a partition that is decided elsewhere; returns false if it was not watched.
    pub(crate) fn remove(&self, of: &MaybeTruncated) -> bool {
        let mut watched = self.watched.lock();
        let is_watched = watched.get(&of.partition).is_some_and(|known| known.of == *of);
        if is_watched {
            watched.remove(&of.partition);
        }
        is_watched
    }

    /// Judges a measurement at `now`; after any other result than [`Diagnosis::Open`] the partition is watched no more.
    pub(crate) fn diagnose(&self, log: &Log, fetch_state: FetchState, now: Instant) -> Diagnosis {
        let MaybeTruncated { partition, next_offset, .. } = log.of;
        let mut watched = self.watched.lock();
        // Added again since the measurement, at another offset, which is measured next.
        let Some(known) = watched.get_mut(&partition).filter(|known| known.of == log.of) else {
            return Diagnosis::Open;
        };
        let diagnosis = if fetch_state.next_offset != Some(next_offset) {
            Diagnosis::MovedOn
        } else if !(log.start..=log.end).contains(&next_offset) {
            Diagnosis::OutOfRange
        } else if fetch_state.read_to >= log.stable_end {
            known.behind_since = None;
            Diagnosis::Open
        } else {
            let since = *known.behind_since.get_or_insert(now);
            // Records may only wait behind others in the client, so it must have run out of records first.
            let is_idle = fetch_state.idle_at.saturating_duration_since(since) >= FETCHED_WITHIN;
            if is_idle { Diagnosis::FetchPositionLost } else { Diagnosis::Open }
        };
        if diagnosis != Diagnosis::Open {
            watched.remove(&partition);
        }
        diagnosis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: MaybeTruncated =
        MaybeTruncated { partition: 3, assignment_number: AssignmentNumber(7), next_offset: 50 };

    fn truncation_watch() -> TruncationWatch {
        let truncation_watch = TruncationWatch::default();
        truncation_watch.add([HERE]);
        truncation_watch
    }

    fn log(start: i64, end: i64) -> Log {
        Log { of: HERE, start, end, stable_end: end }
    }

    fn fetch_state(idle_at: Instant) -> FetchState {
        FetchState { next_offset: Some(50), read_to: 50, idle_at }
    }

    #[test]
    fn an_offset_outside_the_log_is_known_at_once() {
        let now = Instant::now();
        for (start, end) in [(51, 90), (0, 49)] {
            let truncation_watch = truncation_watch();
            assert_eq!(truncation_watch.diagnose(&log(start, end), fetch_state(now), now), Diagnosis::OutOfRange);
            assert!(truncation_watch.maybe_truncated().is_empty());
        }
    }

    #[test]
    fn whoever_moved_on_or_left_was_not_the_one() {
        let now = Instant::now();
        for next_offset in [Some(51), None] {
            let truncation_watch = truncation_watch();
            let moved = FetchState { next_offset, ..fetch_state(now) };
            assert_eq!(truncation_watch.diagnose(&log(60, 90), moved, now), Diagnosis::MovedOn);
            assert!(truncation_watch.maybe_truncated().is_empty());
        }
    }

    #[test]
    fn a_partition_whose_log_has_the_offset_again_but_is_not_fetched_is_found_out() {
        let (truncation_watch, begun) = (truncation_watch(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        // Cut below the offset and grown again: at its very end there is nothing to tell it from one at rest.
        assert_eq!(truncation_watch.diagnose(&log(0, 50), fetch_state(at(60)), at(60)), Diagnosis::Open);
        assert_eq!(truncation_watch.diagnose(&log(0, 51), fetch_state(at(65)), at(65)), Diagnosis::Open);
        assert_eq!(truncation_watch.diagnose(&log(0, 52), fetch_state(at(69)), at(69)), Diagnosis::Open);
        assert_eq!(truncation_watch.diagnose(&log(0, 52), fetch_state(at(70)), at(70)), Diagnosis::FetchPositionLost);
        assert!(truncation_watch.maybe_truncated().is_empty());
    }

    #[test]
    fn a_partition_whose_records_wait_behind_others_is_only_watched() {
        let (truncation_watch, begun) = (truncation_watch(), Instant::now());
        for seconds in 0..100 {
            let now = begun + Duration::from_secs(seconds);
            assert_eq!(truncation_watch.diagnose(&log(0, 90), fetch_state(begun), now), Diagnosis::Open);
        }
        assert_eq!(truncation_watch.maybe_truncated(), [HERE]);
    }

    #[test]
    fn markers_at_the_end_and_open_transactions_are_no_sign() {
        let (truncation_watch, begun) = (truncation_watch(), Instant::now());
        let log = Log { of: HERE, start: 0, end: 90, stable_end: 52 };
        for seconds in 0..100 {
            let now = begun + Duration::from_secs(seconds);
            let fetch_state = FetchState { read_to: 52, ..fetch_state(now) };
            assert_eq!(truncation_watch.diagnose(&log, fetch_state, now), Diagnosis::Open);
        }
    }

    #[test]
    fn a_partition_added_again_elsewhere_is_not_judged_by_the_old_measurement() {
        let (truncation_watch, now) = (truncation_watch(), Instant::now());
        let later = MaybeTruncated { next_offset: 70, ..HERE };
        truncation_watch.add([later]);
        assert_eq!(truncation_watch.diagnose(&log(80, 90), fetch_state(now), now), Diagnosis::Open);
        assert_eq!(truncation_watch.maybe_truncated(), [later]);
    }

    /// The client refuses a list that has a partition twice.
    #[test]
    fn a_position_that_is_overdue_again_before_it_was_looked_up_is_looked_up_once() {
        let truncation_watch = TruncationWatch::default();
        let at = |assignment_number, partition, offset| Overdue {
            assignment_number: AssignmentNumber(assignment_number),
            position: Position { partition, offset, leader_epoch: 2 },
        };
        truncation_watch.add_overdue([at(1, 0, 5), at(2, 1, 7)]);
        truncation_watch.add_overdue([at(3, 0, 5)]);
        assert_eq!(truncation_watch.take_overdue(), [at(3, 0, 5), at(2, 1, 7)]);
        assert!(truncation_watch.take_overdue().is_empty());
    }
}
