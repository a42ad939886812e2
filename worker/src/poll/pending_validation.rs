//! The state of a validation while the leader has not said whether its log holds the position.

use std::time::Instant;

/// A validation of an active partition's position. No record of the partition is applied meanwhile.
#[derive(Debug)]
pub(crate) struct Validation {
    pub(super) since: Instant,
    /// When another client last looked the position up; at first, when the validation began.
    pub(super) looked_up_at: Instant,
    /// When the client began to ask the leader; `None` before that.
    pub(super) asked_at: Option<Instant>,
    /// Whether the position was refused before. One refusal may be left over from earlier fetches.
    pub(super) was_refused: bool,
}

impl Validation {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, looked_up_at: now, asked_at: None, was_refused: false }
    }

    /// Whether records that the client delivers now come after the leader's answer.
    pub(super) fn is_asked(&self) -> bool {
        self.asked_at.is_some()
    }

    /// Starts again: the client must be given the partition once more.
    pub(super) fn begin_again(&mut self, was_refused: bool) {
        self.asked_at = None;
        self.was_refused |= was_refused;
    }
}
