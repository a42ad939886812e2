//! What is known of a position while its leader has not said whether the log holds it.

use std::time::Instant;

/// A position that is not known to be in the log. It belongs to a partition at work, which stands still meanwhile.
#[derive(Debug)]
pub(crate) struct Validation {
    pub(super) since: Instant,
    /// When it was last looked up by another client; at first, when it began.
    pub(super) looked_up_at: Instant,
    /// Since when the leader is being asked; `None` until the client has begun with it.
    pub(super) asked_at: Option<Instant>,
    /// Whether the position was refused before. One refusal may be left from what was fetched earlier.
    pub(super) was_refused: bool,
}

impl Validation {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, looked_up_at: now, asked_at: None, was_refused: false }
    }

    /// Whether what the client gives now comes after the leader's answer.
    pub(super) fn is_asked(&self) -> bool {
        self.asked_at.is_some()
    }

    /// The client has to be given the partition once more.
    pub(super) fn begin_again(&mut self, was_refused: bool) {
        self.asked_at = None;
        self.was_refused |= was_refused;
    }
}
