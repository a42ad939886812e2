//! Where a partition stands that may have lost its place in the log, and what becomes of the doubt.
//!
//! librdkafka says once that the offset of a partition is not in its log, and fetches it no more. Then the partition is in
//! doubt at the offset where it stands. A doubt lasts until the partition moves on, or is known to be in trouble: no look
//! at the log that fails, or comes when the log has the offset again, ends it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use balancefleet_kafka::Position;
use parking_lot::Mutex;

use crate::store::Epoch;

/// A partition with records to fetch whose client has had nothing to deliver for this long is not fetched any more.
const FETCHED_WITHIN: Duration = Duration::from_secs(5);

/// A partition that may stand where its log no longer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) partition: i32,
    pub(crate) epoch: Epoch,
    pub(crate) next_offset: i64,
}

/// A position of which nothing was heard for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub(crate) epoch: Epoch,
    pub(crate) position: Position,
}

/// The log of a partition in doubt, as measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) doubt: Doubt,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The end of what a reader may have: before the first open transaction.
    pub(crate) stable_end: i64,
}

/// Where the poll thread and its client are when a measurement arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The next offset to process; `None` when that assignment is over.
    pub(crate) next_offset: Option<i64>,
    /// How far the client has read: beyond the next offset when transaction markers follow.
    pub(crate) read_to: i64,
    /// When the client last had nothing to deliver.
    pub(crate) idle_at: Instant,
}

/// What a measurement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was fetched after all, or has begun anew.
    MovedOn,
    /// Perhaps at rest, perhaps not fetched: the next record shows.
    Open,
    /// Its offset is not in the log.
    OutOfRange,
    /// Its offset is in the log again, but nothing is fetched.
    NotFetched,
}

/// The doubts that are open; the poll thread raises and ends them, the inspector measures their logs.
#[derive(Default)]
pub(crate) struct Doubts {
    watched: Mutex<BTreeMap<i32, Watched>>,
    overdue: Mutex<BTreeMap<i32, Overdue>>,
}

struct Watched {
    doubt: Doubt,
    /// Since when there are records that it does not get.
    behind_since: Option<Instant>,
}

impl Doubts {
    /// Of two doubts about one partition the later one stands; the same one again changes nothing.
    pub(crate) fn raise(&self, doubts: impl IntoIterator<Item = Doubt>) {
        let mut watched = self.watched.lock();
        for doubt in doubts {
            if watched.get(&doubt.partition).is_none_or(|known| known.doubt != doubt) {
                watched.insert(doubt.partition, Watched { doubt, behind_since: None });
            }
        }
    }

    /// Lets positions be looked up, of each partition the latest one: a look may take longer than the next one is due.
    pub(crate) fn add_overdue(&self, overdue: impl IntoIterator<Item = Overdue>) {
        self.overdue.lock().extend(overdue.into_iter().map(|overdue| (overdue.position.partition, overdue)));
    }

    pub(crate) fn take_overdue(&self) -> Vec<Overdue> {
        std::mem::take(&mut *self.overdue.lock()).into_values().collect()
    }

    pub(crate) fn open(&self) -> Vec<Doubt> {
        self.watched.lock().values().map(|watched| watched.doubt).collect()
    }

    /// Ends a doubt that is judged elsewhere; false if it was not open.
    pub(crate) fn end(&self, doubt: &Doubt) -> bool {
        let mut watched = self.watched.lock();
        let is_open = watched.get(&doubt.partition).is_some_and(|known| known.doubt == *doubt);
        if is_open {
            watched.remove(&doubt.partition);
        }
        is_open
    }

    /// Judges a measurement at `now`; only [`Verdict::Open`] leaves the doubt open.
    pub(crate) fn judge(&self, log: &Log, standing: Standing, now: Instant) -> Verdict {
        let Doubt { partition, next_offset, .. } = log.doubt;
        let mut watched = self.watched.lock();
        // Raised again since the measurement, at another place: that one is measured next.
        let Some(known) = watched.get_mut(&partition).filter(|known| known.doubt == log.doubt) else {
            return Verdict::Open;
        };
        let verdict = if standing.next_offset != Some(next_offset) {
            Verdict::MovedOn
        } else if !(log.start..=log.end).contains(&next_offset) {
            Verdict::OutOfRange
        } else if standing.read_to >= log.stable_end {
            known.behind_since = None;
            Verdict::Open
        } else {
            let since = *known.behind_since.get_or_insert(now);
            // Records that wait behind many others in the client are no sign: it must have run out of them.
            let is_idle = standing.idle_at.saturating_duration_since(since) >= FETCHED_WITHIN;
            if is_idle { Verdict::NotFetched } else { Verdict::Open }
        };
        if verdict != Verdict::Open {
            watched.remove(&partition);
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Doubt = Doubt { partition: 3, epoch: Epoch(7), next_offset: 50 };

    fn doubts() -> Doubts {
        let doubts = Doubts::default();
        doubts.raise([HERE]);
        doubts
    }

    fn log(start: i64, end: i64) -> Log {
        Log { doubt: HERE, start, end, stable_end: end }
    }

    fn standing(idle_at: Instant) -> Standing {
        Standing { next_offset: Some(50), read_to: 50, idle_at }
    }

    #[test]
    fn an_offset_outside_the_log_is_known_at_once() {
        let now = Instant::now();
        for (start, end) in [(51, 90), (0, 49)] {
            let doubts = doubts();
            assert_eq!(doubts.judge(&log(start, end), standing(now), now), Verdict::OutOfRange);
            assert!(doubts.open().is_empty());
        }
    }

    #[test]
    fn whoever_moved_on_or_left_was_not_the_one() {
        let now = Instant::now();
        for next_offset in [Some(51), None] {
            let doubts = doubts();
            let moved = Standing { next_offset, ..standing(now) };
            assert_eq!(doubts.judge(&log(60, 90), moved, now), Verdict::MovedOn);
            assert!(doubts.open().is_empty());
        }
    }

    #[test]
    fn a_partition_whose_log_has_the_offset_again_but_is_not_fetched_is_found_out() {
        let (doubts, begun) = (doubts(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        // Cut below the offset and grown again: at its very end there is nothing to tell it from one at rest.
        assert_eq!(doubts.judge(&log(0, 50), standing(at(60)), at(60)), Verdict::Open);
        assert_eq!(doubts.judge(&log(0, 51), standing(at(65)), at(65)), Verdict::Open);
        assert_eq!(doubts.judge(&log(0, 52), standing(at(69)), at(69)), Verdict::Open);
        assert_eq!(doubts.judge(&log(0, 52), standing(at(70)), at(70)), Verdict::NotFetched);
        assert!(doubts.open().is_empty());
    }

    #[test]
    fn a_partition_whose_records_wait_behind_others_is_only_watched() {
        let (doubts, begun) = (doubts(), Instant::now());
        for seconds in 0..100 {
            let now = begun + Duration::from_secs(seconds);
            assert_eq!(doubts.judge(&log(0, 90), standing(begun), now), Verdict::Open);
        }
        assert_eq!(doubts.open(), [HERE]);
    }

    #[test]
    fn markers_at_the_end_and_open_transactions_are_no_sign() {
        let (doubts, begun) = (doubts(), Instant::now());
        let log = Log { doubt: HERE, start: 0, end: 90, stable_end: 52 };
        for seconds in 0..100 {
            let now = begun + Duration::from_secs(seconds);
            let standing = Standing { read_to: 52, ..standing(now) };
            assert_eq!(doubts.judge(&log, standing, now), Verdict::Open);
        }
    }

    #[test]
    fn a_doubt_raised_again_elsewhere_is_not_judged_by_the_old_measurement() {
        let (doubts, now) = (doubts(), Instant::now());
        let later = Doubt { next_offset: 70, ..HERE };
        doubts.raise([later]);
        assert_eq!(doubts.judge(&log(80, 90), standing(now), now), Verdict::Open);
        assert_eq!(doubts.open(), [later]);
    }

    /// The client refuses a list that has a partition twice.
    #[test]
    fn a_position_that_is_overdue_again_before_it_was_looked_up_is_looked_up_once() {
        let doubts = Doubts::default();
        let at = |epoch, partition, offset| Overdue {
            epoch: Epoch(epoch),
            position: Position { partition, offset, leader_epoch: 2 },
        };
        doubts.add_overdue([at(1, 0, 5), at(2, 1, 7)]);
        doubts.add_overdue([at(3, 0, 5)]);
        assert_eq!(doubts.take_overdue(), [at(3, 0, 5), at(2, 1, 7)]);
        assert!(doubts.take_overdue().is_empty());
    }
}
