//! `kill -9` of one of two workers, with the default session of 10 s.

use super::member::Member;
use super::moves::Stage;
use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::{CRASH_GAP, CRASH_STAYED, Figures};
use crate::statistics::percentile;
use crate::subject::Subject;

pub(super) fn measure(bench: &Bench, subject: Subject) -> Result<Figures, BenchError> {
    let mut stage = Stage::set(bench, subject)?;
    let (second, _) = stage.join()?;
    let standstills = stage.part(second, Member::kill)?;
    let longest = |values: &[f64]| percentile(values, 100);
    let values = [(CRASH_GAP, longest(&standstills.moved)), (CRASH_STAYED, longest(&standstills.stayed))];
    Ok(values.into_iter().filter_map(|(quantity, value)| Some((quantity, value?))).collect())
}
