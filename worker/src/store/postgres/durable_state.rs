//! What is durable of this worker's partitions, as far as it knows: what its next compare-and-set has to find.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    claim::{Claim, may_go_on},
    session::Book,
};
use crate::{
    config::StartFrom,
    failure::{Failure, SettingsChange},
    hindrance::Hindrance,
    ledger::Ledger,
    ledger_rules::{LedgerRules, Rulebook},
    store::{Assignment, Batch, Epoch, Obstacle, Plan, Progress, RowWriter, Seal, offsets::Position},
};

#[derive(Clone, Debug)]
pub(super) struct Standing {
    epoch: Epoch,
    pub(super) topic_id: String,
    pub(super) base: i64,
    pub(super) leader_epoch: Option<i32>,
    seal: Seal,
    pub(super) rules: Arc<LedgerRules>,
    /// `None` before the first batch.
    pub(super) row: Option<Row>,
}

/// What a compare-and-set has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) epoch: i64,
    pub(super) next_offset: i64,
}

/// One partition's share of a batch.
pub(super) struct Share<'a> {
    pub(super) progress: &'a Progress,
    pub(super) standing: Standing,
    /// Of its ledger with its changes.
    pub(super) seal: Seal,
    pub(super) rules: Arc<LedgerRules>,
}

impl Share<'_> {
    pub(super) fn partition(&self) -> i32 {
        self.progress.assignment.partition
    }
}

/// What follows from a claim, and with it how the partition goes on.
pub(super) fn settle(
    claim: Claim,
    Assignment { partition, epoch, generation }: Assignment,
    book: &Book,
    topic_id: &str,
    position: &Position,
) -> Result<(Standing, Plan), Obstacle> {
    let (base, part, rules, plan) = match claim {
        Claim::Held { owner, generation: theirs } => {
            return Err(Hindrance::Held { partition, owner, theirs, ours: generation }.into());
        }
        Claim::Orphaned => return Err(Failure::CustomersWithoutProgress.into()),
        Claim::Ours(part) => {
            let rules = may_go_on(&part, book, topic_id, position)?;
            (part.base_offset, Some(part), Some(rules), Plan::Fetch)
        }
        // This store begins with the first record alone.
        Claim::Free => (position.log_start, None, None, position.begin(StartFrom::Earliest, None)?),
    };
    let standing = Standing {
        epoch,
        topic_id: topic_id.to_owned(),
        base,
        leader_epoch: part.as_ref().and_then(|part| part.leader_epoch),
        seal: part.as_ref().map_or_else(Seal::default, |part| part.seal),
        rules: Arc::new(rules.unwrap_or_else(|| LedgerRules::begin(&book.rules, base))),
        row: part.map(|part| Row { epoch: part.epoch, next_offset: part.next_offset }),
    };
    Ok((standing, plan))
}

impl Standing {
    /// What `progress` adds to it.
    pub(super) fn share<'a>(&self, progress: &'a Progress, book: &Rulebook, writer: &mut RowWriter) -> Share<'a> {
        let (mut seal, mut rules) = (self.seal, self.rules.clone());
        for (id, changed) in progress.changes.customers() {
            seal = seal.changed(changed.before, writer.write(id, &changed.now));
            LedgerRules::hold_all(&mut rules, &changed.now, book);
        }
        Share { progress, standing: self.clone(), seal, rules }
    }

    /// After `share`, which began here, was written.
    pub(super) fn advance(&mut self, share: &Share<'_>) {
        let epoch = share.standing.row.map_or(1, |row| row.epoch);
        self.row = Some(Row { epoch, next_offset: share.progress.next_offset });
        self.seal = share.seal;
        self.rules = share.rules.clone();
    }
}

#[derive(Default)]
pub(super) struct Standings(Mutex<BTreeMap<i32, Standing>>);

impl Standings {
    pub(super) fn insert(&self, assignment: Assignment, standing: Standing) {
        self.0.lock().insert(assignment.partition, standing);
    }

    pub(super) fn get(&self, assignment: Assignment) -> Option<Standing> {
        self.0.lock().get(&assignment.partition).filter(|it| it.epoch == assignment.epoch).cloned()
    }

    /// The ledger was read: it may hold currencies that a worker of the first release has counted.
    pub(super) fn found(&self, assignment: Assignment, ledger: &Ledger, book: &Rulebook) -> Result<(), SettingsChange> {
        let mut standings = self.0.lock();
        let standing = standings.get_mut(&assignment.partition).filter(|it| it.epoch == assignment.epoch);
        standing.map_or(Ok(()), |standing| Arc::make_mut(&mut standing.rules).found(ledger.currencies(), book))
    }

    /// What of `batch` is still this worker's.
    pub(super) fn shares<'a>(&self, batch: &'a Batch, book: &Rulebook) -> Vec<Share<'a>> {
        let mut writer = RowWriter::default();
        let mut share = |progress: &'a Progress| {
            let standing = self.get(progress.assignment).filter(|_| !progress.cell.is_released())?;
            Some(standing.share(progress, book, &mut writer))
        };
        let mut shares: Vec<_> = batch.parts.iter().filter_map(&mut share).collect();
        // Rows are locked in this order by everybody.
        shares.sort_unstable_by_key(|share| share.progress.assignment.partition);
        shares
    }

    pub(super) fn accept(&self, shares: &[Share<'_>]) {
        let mut standings = self.0.lock();
        for share in shares {
            let Assignment { partition, epoch, .. } = share.progress.assignment;
            if let Some(standing) = standings.get_mut(&partition).filter(|it| it.epoch == epoch) {
                standing.advance(share);
                share.progress.cell.show_rules(&share.rules);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{consumer::offline::offline, ledger_rules::tests::book};

    fn standing(epoch: u64) -> Standing {
        let (topic_id, seal) = ("i".to_owned(), Seal::default());
        let rules = Arc::new(LedgerRules::begin(&book(&[]), 0));
        Standing { epoch: Epoch(epoch), topic_id, base: 0, leader_epoch: None, seal, rules, row: None }
    }

    fn assignment(partition: i32, epoch: u64) -> Assignment {
        Assignment { partition, epoch: Epoch(epoch), generation: 1 }
    }

    #[test]
    fn nothing_is_written_of_a_partition_that_has_left_or_was_assigned_anew() {
        let standings = Standings::default();
        (0..3).for_each(|partition| standings.insert(assignment(partition, 5), standing(5)));
        let batch = offline(&[]).batch(&[
            (0, Epoch(5), false),
            (1, Epoch(5), true),
            (2, Epoch(4), false),
            (3, Epoch(5), false),
        ]);
        let written: Vec<_> =
            standings.shares(&batch, &book(&[])).iter().map(|it| it.progress.assignment.partition).collect();
        assert_eq!(written, [0], "1 has left, 2 was assigned anew, of 3 it is not known where it stands");
    }

    #[test]
    fn a_commit_that_is_heard_of_too_late_says_nothing_of_the_next_assignment() {
        let standings = Standings::default();
        standings.insert(assignment(0, 4), standing(4));
        let batch = offline(&[]).batch(&[(0, Epoch(4), false)]);
        let book = book(&[]);
        let shares = standings.shares(&batch, &book);
        standings.insert(assignment(0, 5), standing(5));
        standings.accept(&shares);
        assert_eq!(standings.get(assignment(0, 5)).unwrap().row, None);
    }
}
