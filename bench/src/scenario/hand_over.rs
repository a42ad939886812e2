//! A worker joins and leaves again, planned.

use super::member::Member;
use super::moves::{Stage, Standstills};
use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::{
    Figures, JOIN_MOVED_P50, JOIN_MOVED_P99, JOIN_STAYED, LEAVE_MOVED_P50, LEAVE_MOVED_P99, LEAVE_STAYED, Quantity,
};
use crate::statistics::percentile;
use crate::subject::Subject;

pub(super) fn measure(bench: &Bench, subject: Subject) -> Result<Figures, BenchError> {
    let mut stage = Stage::set(bench, subject)?;
    let (mut joins, mut leaves) = (Standstills::default(), Standstills::default());
    for _ in 0..bench.scale.moves {
        let (second, standstills) = stage.join()?;
        joins.extend(standstills);
        leaves.extend(stage.part(second, Member::leave)?);
    }
    let of_joins = figures(&joins, [JOIN_MOVED_P50, JOIN_MOVED_P99, JOIN_STAYED]);
    let of_leaves = figures(&leaves, [LEAVE_MOVED_P50, LEAVE_MOVED_P99, LEAVE_STAYED]);
    Ok(of_joins.chain(of_leaves).collect())
}

fn figures(standstills: &Standstills, [p50, p99, stayed]: [Quantity; 3]) -> impl Iterator<Item = (Quantity, f64)> {
    let Standstills { moved, stayed: staying } = standstills;
    let values = [(p50, percentile(moved, 50)), (p99, percentile(moved, 99)), (stayed, percentile(staying, 100))];
    values.into_iter().filter_map(|(quantity, value)| Some((quantity, value?)))
}
