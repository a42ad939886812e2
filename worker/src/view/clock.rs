//! A point in time that one thread sets and others read.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The latest time something happened, if it ever did.
pub(super) struct Moment {
    origin: Instant,
    /// Nanoseconds since `origin` plus one; 0 is never.
    nanos: AtomicU64,
}

impl Moment {
    pub(super) fn never(origin: Instant) -> Self {
        Self { origin, nanos: AtomicU64::new(0) }
    }

    pub(super) fn at(origin: Instant) -> Self {
        Self { origin, nanos: AtomicU64::new(1) }
    }

    pub(super) fn set(&self, when: Instant) {
        let nanos = when.saturating_duration_since(self.origin).as_nanos();
        self.nanos.store(u64::try_from(nanos).unwrap_or(u64::MAX - 1) + 1, Ordering::Release);
    }

    pub(super) fn forget(&self) {
        self.nanos.store(0, Ordering::Release);
    }

    pub(super) fn age(&self) -> Option<Duration> {
        let nanos = self.nanos.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.origin.elapsed().saturating_sub(Duration::from_nanos(nanos)))
    }
}
