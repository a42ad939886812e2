//! Pure. Another writer changes the Deployment's replicas: they are restored, but at a limited rate. Two writers that
//! both insist would otherwise start and stop workers every second.

use std::time::{Duration, Instant};

/// In this time the replicas are restored [`MAX_RESTORES`] times, then once every [`INTERVAL_WHEN_CONTENDED`].
const WINDOW: Duration = Duration::from_secs(600);
const MAX_RESTORES: usize = 3;
const INTERVAL_WHEN_CONTENDED: Duration = Duration::from_secs(300);

/// Whether the replicas may be restored now.
///
/// # Errors
/// The time until they may.
pub(super) fn may_restore(restores: &[Instant], now: Instant) -> Result<(), Duration> {
    if !is_contended(restores, now) {
        return Ok(());
    }
    let since_last = restores.iter().max().map_or(INTERVAL_WHEN_CONTENDED, |last| now.saturating_duration_since(*last));
    match INTERVAL_WHEN_CONTENDED.checked_sub(since_last) {
        Some(wait) if !wait.is_zero() => Err(wait),
        _ => Ok(()),
    }
}

/// Whether the replicas were restored so often lately that the status reports it.
pub(super) fn is_contended(restores: &[Instant], now: Instant) -> bool {
    recent(restores, now).count() >= MAX_RESTORES
}

/// The restores of a contention that an earlier process reported. They count as if made at `now`, so that an operator
/// that has just started does not restore the replicas at once.
pub(super) fn contended_since(now: Instant) -> Vec<Instant> {
    vec![now; MAX_RESTORES]
}

/// Records a restore and drops those that are too old to count.
pub(super) fn restored(restores: &mut Vec<Instant>, now: Instant) {
    let mut kept: Vec<Instant> = recent(restores, now).collect();
    kept.push(now);
    *restores = kept;
}

/// Time until the oldest restore of a contention stops counting; `None` without a contention.
pub(super) fn ends_in(restores: &[Instant], now: Instant) -> Option<Duration> {
    is_contended(restores, now).then(|| {
        let oldest = recent(restores, now).min().unwrap_or(now);
        WINDOW.saturating_sub(now.saturating_duration_since(oldest))
    })
}

fn recent(restores: &[Instant], now: Instant) -> impl Iterator<Item = Instant> {
    restores.iter().copied().filter(move |at| now.saturating_duration_since(*at) < WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_restores_in_ten_minutes_then_one_every_five() {
        let start = Instant::now();
        let mut restores = Vec::new();
        let mut at = Vec::new();
        // The other writer overwrites the number every second.
        for second in 0..1_800 {
            let now = start + Duration::from_secs(second);
            if may_restore(&restores, now).is_ok() {
                restored(&mut restores, now);
                at.push(second);
            }
        }
        assert_eq!(at[..5], [0, 1, 2, 302, 601]);
        assert!(at.windows(4).all(|four| four[3] - four[0] >= 300), "{at:?}");
        assert!(is_contended(&restores, start + Duration::from_secs(4)));
    }

    #[test]
    fn a_single_restore_is_no_contention() {
        let now = Instant::now();
        let mut restores = Vec::new();
        restored(&mut restores, now);
        assert!(!is_contended(&restores, now) && ends_in(&restores, now).is_none());
    }
}
