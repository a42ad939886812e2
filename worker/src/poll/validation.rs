//! Validates positions: whether the log of a partition is still the one that its position was read from.
//!
//! A log may be truncated and grow again while nobody reads it, when a replica that lacked its last records became
//! leader. The leader epoch that is stored with the offset shows that (KIP-320). But the client validates it only when
//! it seeks, not when it is assigned an offset. So the worker seeks to every position once more when the client has
//! begun to fetch, and applies no record before. The client does not report the answer. It shows by the next record, or
//! by an error that retention causes as well. If neither comes, there may be no records or no answer, so another client
//! asks the same.

use std::time::{Duration, Instant};

use balancefleet_kafka::{Position, Validity, validate};
use rdkafka::{TopicPartitionList, consumer::Consumer as _};

use super::{
    AssignedPartition, Fatal, PollLoop,
    active::Active,
    partition::Stage,
    pending_validation::Validation,
    truncation::{Log, MaybeTruncated, Overdue},
};
use crate::partition_failure::PartitionFailure;

/// The longest time that the poll thread waits for the client to start a validation.
const BEGIN_WITHIN: Duration = Duration::from_millis(100);
/// The pause between two attempts to start one: by then the client may fetch.
const BEGIN_AGAIN: Duration = Duration::from_millis(5);
/// After this time without an answer, another client looks the position up.
const LOOK_UP_AFTER: Duration = Duration::from_secs(3);
/// After this time without an answer, readers see that there is none.
const OVERDUE: Duration = Duration::from_secs(5);

impl PollLoop {
    /// The time until the next attempt to seek, if a position waits for one.
    pub(super) fn validation_due_in(&self) -> Option<Duration> {
        let waits = |owned: &AssignedPartition| owned.validation().is_some_and(|validation| !validation.is_asked());
        self.partitions.values().any(waits).then_some(BEGIN_AGAIN)
    }

    /// Starts the validations that have not started, and handles those that are overdue.
    pub(super) fn validate(&mut self) -> Result<(), Fatal> {
        let now = Instant::now();
        self.queue_overdue_lookups(now);
        let unasked: Vec<_> = self.partitions.values().filter_map(AssignedPartition::unasked_position).collect();
        if unasked.is_empty() {
            return Ok(());
        }
        let begun = validate(&self.consumer, &self.topic, &unasked, BEGIN_WITHIN)?;
        if begun.is_empty() {
            return Ok(());
        }
        for partition in begun {
            if let Some(validation) = self.partitions.get_mut(&partition).and_then(AssignedPartition::validation_mut) {
                validation.asked_at = Some(now);
            }
        }
        // The answer lets the client fetch, but nobody wakes it.
        self.fetch_wakeups.begin(now);
        Ok(())
    }

    fn queue_overdue_lookups(&mut self, now: Instant) {
        let overdue: Vec<_> = self.partitions.values_mut().filter_map(|owned| owned.overdue(now)).collect();
        if !overdue.is_empty() {
            self.truncation_watch.add_overdue(overdue);
            self.inspect_topic();
        }
    }

    /// Handles the leader's answer to another client about an overdue validation.
    pub(super) fn looked_up(&mut self, overdue: Overdue, validity: Validity) -> Result<(), Fatal> {
        let Overdue { assignment_number, position } = overdue;
        let (partition, idle_at) = (position.partition, self.idle_at);
        let stands_there = |owned: &&mut AssignedPartition| {
            owned.assignment_number == assignment_number && owned.position() == Some(position)
        };
        let Some(owned) = self.partitions.get_mut(&partition).filter(stands_there) else { return Ok(()) };
        let Some(validation) = owned.validation_mut() else { return Ok(()) };
        match (validity, validation.asked_at) {
            // The log is the same: there is just nothing to read, and records would come after this client's answer.
            (Validity::InLog, Some(_)) => owned.validated(),
            (Validity::NotInLog, _) => {
                validation.was_refused = true;
                let next_offset = position.offset;
                self.truncation_watch.add([MaybeTruncated { partition, assignment_number, next_offset }]);
                self.inspect_topic();
            }
            (Validity::InLog | Validity::Unanswered, asked_at) => {
                // The client's own answer may wait behind other records and must not be discarded.
                if asked_at.is_none_or(|asked_at| idle_at.saturating_duration_since(asked_at) >= LOOK_UP_AFTER) {
                    return self.validate_again(partition, false);
                }
            }
        }
        Ok(())
    }

    /// Takes a partition from the client and gives it back in the next round, which validates its position again.
    fn validate_again(&mut self, partition: i32, was_refused: bool) -> Result<(), Fatal> {
        let Some(owned) = self.partitions.get_mut(&partition) else { return Ok(()) };
        let Some(active) = owned.active() else { return Ok(()) };
        active.validation.get_or_insert_with(|| Validation::new(Instant::now())).begin_again(was_refused);
        if !std::mem::take(&mut owned.is_fetched) {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        let taken = if self.is_cooperative() {
            self.consumer.incremental_unassign(&list)
        } else {
            // The whole assignment is replaced.
            self.consumer.pause(&list)
        };
        taken.map_err(Fatal::Rebalance)
    }

    /// Handles a partition whose leader refused its position, once its log is measured. Retention and truncation give
    /// the same error; the start of the log tells them apart.
    pub(super) fn refused(&mut self, log: &Log, leader_epoch: i32) -> Result<(), Fatal> {
        let (partition, offset) = (log.of.partition, log.of.next_offset);
        // Otherwise a refusal that is measured twice would count as two.
        if !self.truncation_watch.remove(&log.of) {
            return Ok(());
        }
        if offset < log.start {
            return self.fail(&[partition], &PartitionFailure::OffsetOutOfRange { offset });
        }
        let was_refused =
            self.partitions.get(&partition).and_then(AssignedPartition::validation).is_some_and(|it| it.was_refused);
        if was_refused || offset > log.end {
            return self.fail(&[partition], &PartitionFailure::LogTruncated { offset, leader_epoch });
        }
        tracing::warn!(partition, offset, leader_epoch, "the leader refuses the position: asking once more");
        self.validate_again(partition, true)
    }
}

impl AssignedPartition {
    fn validation(&self) -> Option<&Validation> {
        if let Stage::Active(active) = &self.stage { active.validation.as_ref() } else { None }
    }

    fn validation_mut(&mut self) -> Option<&mut Validation> {
        self.active()?.validation.as_mut()
    }

    fn position(&self) -> Option<Position> {
        if let Stage::Active(active) = &self.stage { active.position(self.partition) } else { None }
    }

    /// The position that the client has not validated yet.
    fn unasked_position(&self) -> Option<Position> {
        let is_unasked = self.validation().is_some_and(|validation| !validation.is_asked());
        if is_unasked && self.is_fetched { self.position() } else { None }
    }

    /// Its position, if the validation is overdue; the same position again only after the same time.
    fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        let (assignment_number, position) = (self.assignment_number, self.position()?);
        let validation = self.validation_mut()?;
        let is_to_be_looked_up = now.saturating_duration_since(validation.looked_up_at) >= LOOK_UP_AFTER;
        if is_to_be_looked_up {
            validation.looked_up_at = now;
        }
        if now.saturating_duration_since(validation.since) >= OVERDUE {
            self.show_validation();
        }
        is_to_be_looked_up.then_some(Overdue { assignment_number, position })
    }

    fn show_validation(&mut self) {
        let Some(Position { offset, leader_epoch, .. }) = self.position() else { return };
        let mut state = self.shared.lock();
        if state.blocked_by.is_some() {
            return;
        }
        tracing::warn!(
            partition = self.partition,
            offset,
            leader_epoch,
            "waiting for the leader to validate a position"
        );
        state.blocked_by = Some(format!(
            "ValidatingPosition: no leader has answered yet whether the log still holds offset {offset} under leader epoch \
             {leader_epoch}; no record is applied before: look at the partition's leader"
        ));
    }

    /// Called when records have come. False if they may be older than the leader's answer, and must be dropped.
    pub(super) fn is_validated(&mut self) -> bool {
        let Stage::Active(active) = &mut self.stage else { return false };
        let Some(validation) = &active.validation else { return true };
        if !validation.is_asked() {
            return false;
        }
        self.validated();
        true
    }

    fn validated(&mut self) {
        if let Some(validation) = self.active().and_then(|active| active.validation.take()) {
            let took = validation.since.elapsed();
            tracing::debug!(partition = self.partition, ?took, "the position is in the log");
            self.shared.lock().blocked_by = None;
        }
    }
}

impl Active {
    /// The position, if it can be validated.
    pub(super) fn position(&self, partition: i32) -> Option<Position> {
        let leader_epoch = self.leader_epoch()?;
        let offset = self.next_offset();
        // Without a record before the position, nothing can have been truncated.
        (offset > 0).then_some(Position { partition, offset, leader_epoch })
    }
}

#[cfg(test)]
mod tests {
    use std::{mem::ManuallyDrop, sync::Arc};

    use tokio::runtime::Runtime;

    use super::*;
    use crate::{
        poll::test_support::{Offline, offline},
        run,
        stop::Stop,
        store::{ApplyMode, AssignmentNumber, Restored},
    };

    const OFFSET: i64 = 50;
    const EPOCH: i32 = 3;

    fn at_work(offset: i64, leader_epoch: Option<i32>) -> AssignedPartition {
        let mut owned = AssignedPartition::new(0, AssignmentNumber(1), 1, "m".into());
        owned.restored(Restored { leader_epoch, ..Restored::empty_at(offset) }, ApplyMode::Direct);
        owned.activate();
        owned
    }

    /// With partition 0 at work, as far as it knows.
    fn poll_loop() -> (ManuallyDrop<PollLoop>, Runtime) {
        let Offline { config, admin, runtime, .. } = offline(&[]);
        let view = Arc::new(run::view(&config));
        let mut poll_loop =
            ManuallyDrop::new(PollLoop::new(&config, "i", admin, view, runtime.handle(), Stop::default()).unwrap());
        let owned = at_work(OFFSET, Some(EPOCH));
        poll_loop.view.add_partition(0, owned.shared.clone());
        poll_loop.partitions.insert(0, owned);
        (poll_loop, runtime)
    }

    impl PollLoop {
        /// The leader refuses the position, and the log is measured.
        fn hear_refused(&mut self, start: i64, end: i64) -> Log {
            let of = MaybeTruncated { partition: 0, assignment_number: AssignmentNumber(1), next_offset: OFFSET };
            self.truncation_watch.add([of]);
            let log = Log { of, start, end, stable_end: end };
            self.measured(&log).unwrap();
            log
        }

        fn failure(&self) -> Option<PartitionFailure> {
            self.partitions[&0].shared.lock().failure.clone()
        }

        /// The client has it again.
        fn give_again(&mut self) {
            let owned = self.partitions.get_mut(&0).unwrap();
            assert!(owned.is_to_be_fetched());
            owned.activate();
        }
    }

    #[test]
    fn what_is_fetched_before_the_leader_was_asked_is_dropped() {
        let mut owned = at_work(OFFSET, Some(EPOCH));
        assert_eq!(owned.unasked_position(), Some(Position { partition: 0, offset: OFFSET, leader_epoch: EPOCH }));
        assert!(!owned.is_validated());
        owned.validation_mut().unwrap().asked_at = Some(Instant::now());
        assert!(owned.unasked_position().is_none() && owned.is_validated() && owned.validation().is_none());
    }

    /// As an eager assignment does with every partition at work when another one is restored.
    #[test]
    fn a_partition_that_is_given_to_the_client_again_is_asked_for_again() {
        let mut owned = at_work(OFFSET, Some(EPOCH));
        owned.validation_mut().unwrap().asked_at = Some(Instant::now());
        owned.activate();
        assert!(owned.unasked_position().is_some() && !owned.is_validated());
    }

    #[test]
    fn without_an_epoch_or_a_record_before_it_there_is_nothing_to_ask() {
        for (offset, leader_epoch) in [(OFFSET, None), (0, Some(EPOCH))] {
            let mut owned = at_work(offset, leader_epoch);
            assert!(owned.validation().is_none() && owned.is_validated());
        }
    }

    #[test]
    fn a_position_that_is_refused_twice_is_in_a_log_that_was_cut_off() {
        let (mut poll_loop, _runtime) = poll_loop();
        let log = poll_loop.hear_refused(0, 90);
        assert_eq!(poll_loop.failure(), None, "that refusal may be left from an earlier position");
        poll_loop.measured(&log).unwrap();
        assert_eq!(poll_loop.failure(), None, "it was refused once, and measured twice");
        poll_loop.give_again();
        poll_loop.hear_refused(0, 90);
        assert_eq!(poll_loop.failure(), Some(PartitionFailure::LogTruncated { offset: OFFSET, leader_epoch: EPOCH }));
    }

    #[test]
    fn retention_and_a_log_that_ends_before_the_position_are_told_apart_at_once() {
        for (start, end, expected) in [
            (51, 90, PartitionFailure::OffsetOutOfRange { offset: OFFSET }),
            (0, 49, PartitionFailure::LogTruncated { offset: OFFSET, leader_epoch: EPOCH }),
        ] {
            let (mut poll_loop, _runtime) = poll_loop();
            poll_loop.hear_refused(start, end);
            assert_eq!(poll_loop.failure(), Some(expected));
        }
    }

    fn overdue() -> Overdue {
        Overdue {
            assignment_number: AssignmentNumber(1),
            position: Position { partition: 0, offset: OFFSET, leader_epoch: EPOCH },
        }
    }

    #[test]
    fn what_is_overdue_is_looked_up_and_without_an_answer_it_shows_and_is_begun_again_once_the_client_is_idle() {
        let (mut poll_loop, _runtime) = poll_loop();
        let begun = poll_loop.partitions[&0].validation().unwrap().since;
        poll_loop.partitions.get_mut(&0).unwrap().validation_mut().unwrap().asked_at = Some(begun);
        let owned = |poll_loop: &mut PollLoop, at| poll_loop.partitions.get_mut(&0).unwrap().overdue(at);
        assert_eq!(owned(&mut poll_loop, begun + LOOK_UP_AFTER - Duration::from_millis(1)), None);
        assert_eq!(owned(&mut poll_loop, begun + LOOK_UP_AFTER), Some(overdue()));
        assert_eq!(owned(&mut poll_loop, begun + LOOK_UP_AFTER), None, "it is being looked up");
        assert_eq!(poll_loop.view.readiness().reason, None);
        owned(&mut poll_loop, begun + OVERDUE);
        let reason = poll_loop.view.readiness().reason.unwrap();
        assert!(reason.starts_with("ValidatingPosition") && reason.contains("offset 50"), "{reason}");
        poll_loop.idle_at = begun;
        poll_loop.looked_up(overdue(), Validity::Unanswered).unwrap();
        assert!(poll_loop.partitions[&0].is_fetched, "the answer may wait behind other records");
        poll_loop.idle_at = begun + OVERDUE;
        poll_loop.looked_up(overdue(), Validity::Unanswered).unwrap();
        assert!(poll_loop.partitions[&0].is_to_be_fetched());
    }

    #[test]
    fn a_partition_at_rest_is_validated_by_what_another_client_hears() {
        let (mut poll_loop, _runtime) = poll_loop();
        poll_loop.looked_up(overdue(), Validity::InLog).unwrap();
        assert!(
            poll_loop.partitions[&0].validation().is_some(),
            "its own client may still give what it fetched before"
        );
        poll_loop.give_again();
        poll_loop.partitions.get_mut(&0).unwrap().validation_mut().unwrap().asked_at = Some(Instant::now());
        poll_loop.looked_up(overdue(), Validity::InLog).unwrap();
        assert!(poll_loop.partitions[&0].validation().is_none() && poll_loop.view.readiness().reason.is_none());
    }

    #[test]
    fn what_another_client_hears_is_a_refusal_like_any_other() {
        let (mut poll_loop, _runtime) = poll_loop();
        poll_loop.looked_up(overdue(), Validity::NotInLog).unwrap();
        assert_eq!(poll_loop.failure(), None, "where the log begins is not known yet");
        poll_loop.hear_refused(0, 90);
        assert_eq!(poll_loop.failure(), Some(PartitionFailure::LogTruncated { offset: OFFSET, leader_epoch: EPOCH }));
    }
}
