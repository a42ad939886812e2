//! Pure. Another writer changes the Deployment's replicas: they are reverted, but at a limited rate. Two writers that
//! both insist would otherwise start and stop workers every second.

use std::time::{Duration, Instant};

/// In this time the replicas are reverted [`MAX_REVERTS`] times, then once every [`INTERVAL_WHEN_CONTENDED`].
const WINDOW: Duration = Duration::from_secs(600);
const MAX_REVERTS: usize = 3;
const INTERVAL_WHEN_CONTENDED: Duration = Duration::from_secs(300);

/// Whether the replicas may be reverted now.
///
/// # Errors
/// The time until they may.
pub(super) fn may_revert(reverts: &[Instant], now: Instant) -> Result<(), Duration> {
    if !is_contended(reverts, now) {
        return Ok(());
    }
    let since_last = reverts.iter().max().map_or(INTERVAL_WHEN_CONTENDED, |last| now.saturating_duration_since(*last));
    match INTERVAL_WHEN_CONTENDED.checked_sub(since_last) {
        Some(wait) if !wait.is_zero() => Err(wait),
        _ => Ok(()),
    }
}

/// Whether the replicas were reverted so often lately that the status reports it.
pub(super) fn is_contended(reverts: &[Instant], now: Instant) -> bool {
    recent(reverts, now).count() >= MAX_REVERTS
}

/// The reverts of a contention that an earlier process reported. They count as if made at `now`, so that an operator
/// that has just started does not revert the replicas at once.
pub(super) fn contended_since(now: Instant) -> Vec<Instant> {
    vec![now; MAX_REVERTS]
}

/// Records a revert and drops those that are too old to count.
pub(super) fn record_revert(reverts: &mut Vec<Instant>, now: Instant) {
    let mut kept: Vec<Instant> = recent(reverts, now).collect();
    kept.push(now);
    *reverts = kept;
}

/// Time until the oldest revert of a contention stops counting; `None` without a contention.
pub(super) fn ends_in(reverts: &[Instant], now: Instant) -> Option<Duration> {
    is_contended(reverts, now).then(|| {
        let oldest = recent(reverts, now).min().unwrap_or(now);
        WINDOW.saturating_sub(now.saturating_duration_since(oldest))
    })
}

fn recent(reverts: &[Instant], now: Instant) -> impl Iterator<Item = Instant> {
    reverts.iter().copied().filter(move |at| now.saturating_duration_since(*at) < WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_restores_in_ten_minutes_then_one_every_five() {
        let start = Instant::now();
        let mut reverts = Vec::new();
        let mut at = Vec::new();
        // The other writer overwrites the number every second.
        for second in 0..1_800 {
            let now = start + Duration::from_secs(second);
            if may_revert(&reverts, now).is_ok() {
                record_revert(&mut reverts, now);
                at.push(second);
            }
        }
        assert_eq!(at[..5], [0, 1, 2, 302, 601]);
        assert!(at.windows(4).all(|four| four[3] - four[0] >= 300), "{at:?}");
        assert!(is_contended(&reverts, start + Duration::from_secs(4)));
    }

    #[test]
    fn a_single_restore_is_no_contention() {
        let now = Instant::now();
        let mut reverts = Vec::new();
        record_revert(&mut reverts, now);
        assert!(!is_contended(&reverts, now) && ends_in(&reverts, now).is_none());
    }
}
