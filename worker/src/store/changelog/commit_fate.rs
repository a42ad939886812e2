//! The fate of a commit whose outcome is unknown.

use crate::store::{BatchPart, offsets::Committed};

/// What the group's offsets say about a commit whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitFate {
    Written,
    Untouched,
    Others,
}

impl CommitFate {
    pub(super) fn compare<'a>(commits: impl Iterator<Item = (&'a BatchPart, &'a Option<Committed>)>) -> Self {
        // A partition whose offset the commit did not move says nothing.
        let moved = commits.filter(|(part, _)| part.from != Some(part.next_offset));
        let found = moved.map(|(BatchPart { from, next_offset, .. }, committed)| {
            let committed = committed.as_ref().map(|committed| committed.offset);
            if committed == Some(*next_offset) {
                Self::Written
            } else if committed == *from {
                Self::Untouched
            } else {
                Self::Others
            }
        });
        found.reduce(Self::and).unwrap_or(Self::Untouched)
    }

    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Others }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use balancefleet_kafka::CommitMetadata;

    use super::*;
    use crate::{
        domain::ledger::Changes,
        store::{Assignment, AssignmentNumber},
        view::SharedPartition,
    };

    fn part(from: Option<i64>, next_offset: i64) -> BatchPart {
        BatchPart {
            assignment: Assignment { partition: 0, number: AssignmentNumber(1), generation: 1 },
            shared: Arc::new(SharedPartition::new(0, 1)),
            from,
            next_offset,
            leader_epoch: None,
            changes: Arc::new(Changes::default()),
            is_partial: false,
            metadata: CommitMetadata::beginning_at(0),
            initial_offsets: Vec::new(),
        }
    }

    /// Each partition with where it came from, where it went, and what the group has committed now.
    fn found(commits: &[(Option<i64>, i64, Option<i64>)]) -> CommitFate {
        let committed = |offset| Committed { offset, metadata: String::new() };
        let commits: Vec<_> = commits.iter().map(|(from, to, now)| (part(*from, *to), now.map(committed))).collect();
        CommitFate::compare(commits.iter().map(|(part, now)| (part, now)))
    }

    #[test]
    fn the_groups_offsets_tell_what_became_of_a_commit() {
        assert_eq!(found(&[(Some(5), 9, Some(9))]), CommitFate::Written);
        assert_eq!(found(&[(Some(5), 9, Some(5))]), CommitFate::Untouched);
        assert_eq!(found(&[(None, 9, None)]), CommitFate::Untouched);
        assert_eq!(found(&[(None, 9, Some(9))]), CommitFate::Written);
    }

    #[test]
    fn an_offset_that_is_neither_is_somebody_elses() {
        for now in [None, Some(4), Some(7), Some(11)] {
            assert_eq!(found(&[(Some(5), 9, now)]), CommitFate::Others, "{now:?}");
        }
        assert_eq!(found(&[(None, 9, Some(3))]), CommitFate::Others);
    }

    #[test]
    fn a_partition_that_was_not_to_move_does_not_speak_for_the_others() {
        assert_eq!(found(&[(Some(20), 20, Some(20)), (Some(5), 9, Some(5))]), CommitFate::Untouched);
        assert_eq!(found(&[(Some(20), 20, Some(20)), (Some(5), 9, Some(9))]), CommitFate::Written);
        assert_eq!(found(&[(Some(20), 20, Some(20))]), CommitFate::Untouched);
    }

    #[test]
    fn a_transaction_is_whole_or_not_at_all() {
        assert_eq!(found(&[(Some(1), 2, Some(2)), (Some(5), 9, Some(5))]), CommitFate::Others);
    }
}
