//! Where a new group begins when it starts at the end of the logs (`startFrom: Latest`).
//!
//! The starting offsets of all partitions are fixed at one moment. Otherwise a worker that comes a little later could
//! not tell a partition that existed when the group began from one that was added since, which must be read from its
//! first record. So the worker with partition 0 commits the starting offsets of all partitions with its first commit,
//! and the others wait until the group has committed. Nobody else makes the first commit of a group, and that commit is
//! refused unless the partition is still that worker's.

use std::time::Duration;

use balancefleet_kafka::{Admin, At, Error, Isolation};

use super::Restored;
use crate::not_ready::NotReady;

/// The partition whose owner fixes where the group begins.
pub(super) const INITIATING_PARTITION: i32 = 0;

/// The ends of all partitions, read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InitialOffsets(Vec<(i32, i64)>);

impl InitialOffsets {
    /// # Errors
    /// The brokers cannot tell the end of every partition now.
    pub(super) fn at_the_ends(
        admin: &Admin,
        topic: &str,
        partition_count: i32,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let asked: Vec<_> = (0..partition_count).map(|partition| (topic.to_owned(), partition)).collect();
        let ends = admin.list_offsets(&asked, At::Latest, Isolation::ReadUncommitted, timeout)?;
        let ends = (0..).zip(ends).map(|(partition, end)| Ok((partition, end.offset?)));
        ends.collect::<Result<_, Error>>().map(Self)
    }

    /// The start of [`INITIATING_PARTITION`], with the starts of the others for its first commit.
    pub(super) fn restored(&self) -> Restored {
        let end = |wanted: bool| {
            self.0.iter().copied().filter(move |(partition, _)| (*partition == INITIATING_PARTITION) == wanted)
        };
        let start = end(true).next().map_or(0, |(_, offset)| offset);
        Restored { initial_offsets: end(false).collect(), ..Restored::empty_at(start) }
    }
}

/// What the owners of the other partitions wait for.
pub(super) const fn not_begun() -> NotReady {
    NotReady::NoInitialOffsets { initiating_partition: INITIATING_PARTITION }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_the_first_partition_speaks_for_all() {
        let restored = InitialOffsets(vec![(0, 70), (1, 80), (2, 0)]).restored();
        assert_eq!((restored.start_offset, restored.next_offset, restored.committed), (70, 70, None));
        assert_eq!(restored.initial_offsets, [(1, 80), (2, 0)]);
    }
}
