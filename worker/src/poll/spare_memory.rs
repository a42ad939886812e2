//! Gives back what reading a backlog, or restoring, has taken and does not need any more.

use std::time::{Duration, Instant};

use balancefleet_kafka::give_back_free_memory;

/// At most this often: the next backlog takes it again.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether there may be memory to give back, and since when it may be given.
pub(super) struct SpareMemory {
    is_some: bool,
    not_before: Instant,
}

impl SpareMemory {
    pub(super) fn new() -> Self {
        Self { is_some: false, not_before: Instant::now() }
    }

    /// Notes that much memory was taken for a time.
    pub(super) fn note_use(&mut self) {
        self.is_some = true;
    }

    /// Gives it back, on a thread of its own, now that this worker keeps up.
    pub(super) fn give_back(&mut self, now: Instant) {
        if self.is_due(now) {
            let giving = std::thread::Builder::new().name("spare-memory".to_owned()).spawn(give_back_free_memory);
            if let Err(error) = giving {
                tracing::debug!(%error, "spare memory is kept: no thread could be started");
            }
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.is_some && now >= self.not_before;
        if is_due {
            *self = Self { is_some: false, not_before: now + PAUSE };
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_a_use_and_not_too_often() {
        let mut spare = SpareMemory::new();
        let began = spare.not_before;
        assert!(!spare.is_due(began), "nothing was used");
        let mut are_due = |millis: [u64; 4]| {
            spare.note_use();
            millis.map(|millis| spare.is_due(began + Duration::from_millis(millis)))
        };
        assert_eq!(are_due([0, 1, 2000, 3000]), [true, false, false, false], "once");
        assert_eq!(are_due([3000, 3001, 3002, 3003]), [true, false, false, false]);
        assert_eq!(are_due([3004, 3999, 4000, 4001]), [false, false, true, false]);
    }
}
