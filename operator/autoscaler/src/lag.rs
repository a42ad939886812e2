//! How many records are unread: takes one poll's reading of a partition, gives its lag, or that it is unknown. Unknown
//! is a value of its own and never zero; a partition that cannot be read never hides another one's lag.

use crate::age::Age;
use crate::observation::{Committed, PartitionReading};
use crate::policy::StartFrom;

/// The lag of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition's number.
    pub partition: i32,
    /// Unread records, never negative; `None` if unknown.
    pub lag: Option<i64>,
    /// Age of the oldest unread record; `None` if unknown.
    pub age: Option<Age>,
    /// Records that were deleted before the group read them.
    pub lost: i64,
    /// The group's offset lies beyond the end of the log: the log was truncated, or the topic recreated.
    pub ahead_of_log: bool,
}

/// The lag of a group, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lag {
    /// All partitions of the topic, ascending.
    pub partitions: Vec<PartitionLag>,
}

/// What is known of a group's lag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LagReading {
    /// Every partition was read.
    Known(Lag),
    /// Some partitions were read.
    Partial(Lag),
    /// Nothing was read.
    Unknown,
}

impl LagReading {
    /// The lag as far as it is known; `None` when nothing is.
    pub const fn lag(&self) -> Option<&Lag> {
        match self {
            Self::Known(lag) | Self::Partial(lag) => Some(lag),
            Self::Unknown => None,
        }
    }

    /// Unread records of the whole group, only if every partition is known.
    pub fn records(&self) -> Option<i64> {
        match self {
            Self::Known(lag) => Some(lag.known_records()),
            Self::Partial(_) | Self::Unknown => None,
        }
    }

    /// How old the oldest unread record of the group is, only if that is known of every partition.
    pub fn age(&self) -> Option<Age> {
        match self {
            Self::Known(lag) => Age::oldest(lag.partitions.iter().map(|partition| partition.age)),
            Self::Partial(_) | Self::Unknown => None,
        }
    }
}

impl Lag {
    /// Unread records of the partitions that are known.
    pub fn known_records(&self) -> i64 {
        self.partitions.iter().filter_map(|partition| partition.lag).fold(0, i64::saturating_add)
    }

    /// Partitions whose lag is unknown.
    pub fn missing(&self) -> Vec<i32> {
        self.numbers_of(|partition| partition.lag.is_none())
    }

    /// Records that were deleted unread, over all partitions.
    pub fn lost_records(&self) -> i64 {
        self.partitions.iter().map(|partition| partition.lost).fold(0, i64::saturating_add)
    }

    /// Partitions whose committed offset lies beyond the end of the log.
    pub fn ahead_of_log(&self) -> Vec<i32> {
        self.numbers_of(|partition| partition.ahead_of_log)
    }

    /// Unread records of some partitions; `None` if one of them is unknown.
    pub fn records_of(&self, partitions: &[i32]) -> Option<i64> {
        let of = |number: &i32| {
            let index = self.partitions.binary_search_by_key(number, |partition| partition.partition).ok()?;
            self.partitions.get(index)?.lag
        };
        partitions.iter().try_fold(0_i64, |sum, number| Some(sum.saturating_add(of(number)?)))
    }

    fn numbers_of(&self, wanted: impl Fn(&PartitionLag) -> bool) -> Vec<i32> {
        self.partitions.iter().filter(|partition| wanted(partition)).map(|partition| partition.partition).collect()
    }
}

/// Where a partition without a committed offset will be read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) from: StartFrom,
    /// The end of the log when the partition was first seen.
    pub(crate) first_end: i64,
    /// Some partition of the group has a commit. A worker then reads a partition without one (it was added later) from
    /// its first record, whatever the start policy says: those records were written for this group to process.
    pub(crate) group_has_progress: bool,
}

/// One partition's unread records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// The first unread offset that still exists.
    pub(crate) from: i64,
    pub(crate) records: i64,
    pub(crate) lost: i64,
    pub(crate) ahead_of_log: bool,
}

/// The unread records of one partition; `None` if one of the three offsets is unknown.
pub(crate) fn backlog(reading: &PartitionReading, start: Start) -> Option<Backlog> {
    let (earliest, latest) = (reading.earliest?, reading.latest?);
    let next = match reading.committed {
        Committed::Unknown => return None,
        Committed::At(committed) => committed,
        Committed::None => match start.from {
            StartFrom::Latest if !start.group_has_progress => start.first_end.max(earliest),
            StartFrom::Latest | StartFrom::Earliest => earliest,
        },
    };
    let from = next.max(earliest);
    Some(Backlog {
        from,
        records: latest.saturating_sub(from).max(0),
        lost: earliest.saturating_sub(next).max(0),
        ahead_of_log: next > latest,
    })
}
