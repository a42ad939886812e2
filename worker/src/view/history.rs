//! The last rebalance events.

use std::{collections::VecDeque, time::Duration};

use super::facts::RebalanceEvent;

/// How many events are kept.
const KEPT: usize = 500;

/// A bounded list of events, each with the number it was recorded under.
#[derive(Default)]
pub(super) struct History {
    events: VecDeque<RebalanceEvent>,
    recorded: u64,
}

impl History {
    /// Adds an event and gives its number.
    pub(super) fn record(&mut self, event: RebalanceEvent) -> u64 {
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.recorded += 1;
        self.recorded
    }

    /// Notes how long the partitions of event `number` took to be active again, and how many records were read for
    /// that, unless it is forgotten.
    pub(super) fn restored(&mut self, number: u64, took: Duration, records: u64) {
        let age = usize::try_from(self.recorded - number).unwrap_or(usize::MAX);
        let index = self.events.len().checked_sub(age.saturating_add(1));
        if let Some(event) = index.and_then(|index| self.events.get_mut(index)) {
            (event.restore, event.records) = (Some(took), Some(records));
        }
    }

    pub(super) fn newest_first(&self) -> Vec<RebalanceEvent> {
        self.events.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::EventType;

    fn event(partition: i32) -> RebalanceEvent {
        RebalanceEvent {
            timestamp: jiff::Timestamp::UNIX_EPOCH,
            event_type: EventType::Assigned,
            partitions: vec![partition],
            details: String::new(),
            generation: 1,
            commit: None,
            restore: None,
            records: None,
        }
    }

    #[test]
    fn the_newest_event_comes_first_and_the_oldest_is_forgotten() {
        let mut history = History::default();
        for number in 0..=500 {
            history.record(event(number));
        }
        let events = history.newest_first();
        assert_eq!(events.len(), KEPT);
        assert_eq!((events[0].partitions[0], events[KEPT - 1].partitions[0]), (500, 1));
    }

    #[test]
    fn a_restore_is_noted_at_its_own_event() {
        let mut history = History::default();
        let first = history.record(event(1));
        history.record(event(2));
        history.restored(first, Duration::from_secs(3), 7);
        let events = history.newest_first();
        assert_eq!((events[0].restore, events[1].restore), (None, Some(Duration::from_secs(3))));
    }

    #[test]
    fn a_restore_of_a_forgotten_event_is_dropped() {
        let mut history = History::default();
        let first = history.record(event(0));
        (1..=500).for_each(|number| {
            history.record(event(number));
        });
        history.restored(first, Duration::from_secs(3), 7);
        assert!(history.newest_first().iter().all(|event| event.restore.is_none()));
    }
}
