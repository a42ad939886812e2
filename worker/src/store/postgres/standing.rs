//! What is durable of this worker's partitions, as far as it knows: what its next compare-and-set has to find.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{
    Book,
    claim::{Claim, may_go_on},
    write::Share,
};
use crate::{
    failure::Failure,
    hindrance::Hindrance,
    store::{Assignment, Batch, Epoch, Obstacle, Plan, Progress, RowWriter, Seal, offsets::Position},
};

/// Of one assigned partition.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    epoch: Epoch,
    pub(super) topic_id: String,
    pub(super) base: i64,
    pub(super) leader_epoch: Option<i32>,
    seal: Seal,
    /// `None` before the first batch.
    pub(super) row: Option<Row>,
}

/// What a compare-and-set has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) epoch: i64,
    pub(super) next_offset: i64,
}

/// What follows from a claim, and with it how the partition goes on.
pub(super) fn settle(
    claim: Claim,
    Assignment { partition, epoch, generation }: Assignment,
    book: &Book,
    topic_id: &str,
    position: &Position,
) -> Result<(Standing, Plan), Obstacle> {
    let (base, part, plan) = match claim {
        Claim::Held { owner, generation: theirs } => {
            return Err(Hindrance::Held { partition, owner, theirs, ours: generation }.into());
        }
        Claim::Orphaned => return Err(Failure::NoProgress.into()),
        Claim::Ours(part) => {
            may_go_on(&part, book, topic_id, position)?;
            (part.base_offset, Some(part), Plan::Fetch)
        }
        Claim::Free => match position.begin(None)? {
            plan @ Plan::Fold { base, .. } => (base, None, plan),
            plan => (position.log_start, None, plan),
        },
    };
    let standing = Standing {
        epoch,
        topic_id: topic_id.to_owned(),
        base,
        leader_epoch: part.as_ref().and_then(|part| part.leader_epoch),
        seal: part.as_ref().map_or_else(Seal::default, |part| part.seal),
        row: part.map(|part| Row { epoch: part.epoch, next_offset: part.next_offset }),
    };
    Ok((standing, plan))
}

impl Standing {
    /// What `progress` adds to it.
    pub(super) fn share<'a>(&self, progress: &'a Progress, writer: &mut RowWriter) -> Share<'a> {
        let seal = progress
            .changes
            .customers()
            .fold(self.seal, |seal, (id, changed)| seal.changed(changed.before, writer.write(id, &changed.now)));
        Share { progress, standing: self.clone(), seal }
    }

    /// After `share`, which began here, was written.
    pub(super) fn advance(&mut self, share: &Share<'_>) {
        let epoch = share.standing.row.map_or(1, |row| row.epoch);
        self.row = Some(Row { epoch, next_offset: share.progress.next_offset });
        self.seal = share.seal;
    }
}

/// Of all assigned partitions.
#[derive(Default)]
pub(super) struct Standings(Mutex<BTreeMap<i32, Standing>>);

impl Standings {
    pub(super) fn insert(&self, assignment: Assignment, standing: Standing) {
        self.0.lock().insert(assignment.partition, standing);
    }

    pub(super) fn get(&self, assignment: Assignment) -> Option<Standing> {
        self.0.lock().get(&assignment.partition).filter(|it| it.epoch == assignment.epoch).cloned()
    }

    /// What of `batch` is still this worker's.
    pub(super) fn shares<'a>(&self, batch: &'a Batch) -> Vec<Share<'a>> {
        let mut writer = RowWriter::default();
        let mut share = |progress: &'a Progress| {
            let standing = self.get(progress.assignment).filter(|_| !progress.cell.is_released())?;
            Some(standing.share(progress, &mut writer))
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
            }
        }
    }
}
