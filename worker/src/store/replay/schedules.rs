//! The replay store under random schedules: offsets and the records before them are all there is.

use super::plan;
use crate::{
    domain::ledger::Ledger,
    store::{
        ApplyMode, Assignment, BatchPart, RestorePlan,
        offsets::PartitionOffsets,
        schedules::{Flight, Group, SimulatedStore, Verdict, Worker, try_all},
    },
};

struct Nothing;

impl SimulatedStore for Nothing {
    const APPLY_MODE: ApplyMode = ApplyMode::Direct;
    type DurableState = ();
    type Sent = ();

    fn rebuilt(&mut self, _ledger: &Ledger, _next_offset: i64) {}

    fn plan(&mut self, _worker: Worker, _assignment: Assignment, offsets: &PartitionOffsets) -> (RestorePlan, ()) {
        (plan(offsets).expect("it can go on"), ())
    }

    fn send(&mut self, (): &(), _part: &BatchPart) {}

    fn land(&mut self, flight: &Flight<()>, group: &mut Group) -> Verdict {
        if !group.takes(flight) {
            return Verdict::Untouched;
        }
        group.commit(&flight.part);
        Verdict::Written
    }

    /// Nobody asks: the same is committed again.
    fn resolve_outcome(&mut self, _flight: &Flight<()>, _group: &Group) -> Verdict {
        Verdict::Untouched
    }

    fn accept(&mut self, (): &mut (), _flight: &Flight<()>, _group: &mut Group) {}

    fn durable(&mut self, group: &Group) -> Option<(i64, Option<Ledger>)> {
        group.committed.as_ref().map(|committed| (committed.offset, None))
    }

    fn dead_letters(&mut self) -> Option<Vec<i64>> {
        None
    }

    fn may_forget_offsets(&self) -> bool {
        true // it begins again with the first record
    }
}

#[test]
fn nothing_is_lost_doubled_or_seen_too_early() {
    try_all(|| || Nothing);
}
