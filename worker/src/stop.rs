//! The order to stop, and when it came. Everything that still runs must end in the remaining time.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use tokio_util::sync::CancellationToken;

/// Given once, by a signal. Every clone is the same order.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    token: CancellationToken,
    ordered_at: Arc<OnceLock<Instant>>,
}

impl Stop {
    pub(crate) fn order(&self) {
        self.ordered_at.get_or_init(Instant::now);
        self.token.cancel();
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// When it was ordered, if it was.
    pub(crate) fn ordered_at(&self) -> Option<Instant> {
        self.ordered_at.get().copied()
    }

    /// Returns once it is ordered.
    pub(crate) async fn ordered(&self) {
        self.token.cancelled().await;
    }
}
