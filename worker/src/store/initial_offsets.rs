//! Where a group begins that is to begin at the end of the logs.
//!
//! All partitions begin in the same moment, or a worker that comes a little later could not tell a partition that was
//! there when the group began from one that was added since, which has to be read from its first record. So the owner of
//! partition 0 fixes them all with its first commit, and the others wait until the group has progress. Nobody else makes
//! the first commit of a group, and this one is refused unless the partition is still that owner's.

use std::time::Duration;

use balancefleet_kafka::{Admin, At, Error, Isolation};

use super::Restored;

/// The partition whose owner says where the group begins.
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

    /// What the owner of the first partition goes on with.
    pub(super) fn restored(&self) -> Restored {
        let end = |wanted: bool| {
            self.0.iter().copied().filter(move |(partition, _)| (*partition == INITIATING_PARTITION) == wanted)
        };
        let start = end(true).next().map_or(0, |(_, offset)| offset);
        Restored { initial_offsets: end(false).collect(), ..Restored::empty_at(start) }
    }
}

/// What owners of other partitions wait for.
pub(super) fn not_begun() -> Error {
    Error::Transient {
        what: "where the group begins".to_owned(),
        detail: format!("the worker with partition {INITIATING_PARTITION} is about to say it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_the_first_partition_speaks_for_all() {
        let restored = InitialOffsets(vec![(0, 70), (1, 80), (2, 0)]).restored();
        assert_eq!((restored.base, restored.next_offset, restored.committed), (70, 70, None));
        assert_eq!(restored.initial_offsets, [(1, 80), (2, 0)]);
    }
}
