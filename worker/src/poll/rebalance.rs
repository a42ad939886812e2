//! Carrying out rebalances: partitions are assigned to this worker, revoked or lost.
//!
//! Assigned: the worker acknowledges the group's assignment at once. It gives a partition to the client only when the
//! partition is restored, with the offset to continue from. (Do not assign a partition before its offset is known,
//! pause it and seek later: librdkafka would skip records. The pause outdates its look-up of the log's end, which is
//! then repeated and overrides the seek.)
//!
//! Revoked: wait for the running commit, commit the rest, then give the partition up. Partitions that stay are not
//! touched.

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::{GroupMetadata, set_leader_epoch};
use jiff::Timestamp;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer as _, RebalanceProtocol},
    error::KafkaResult,
};

use super::{AssignedPartition, Fatal, PendingAssignment, PollLoop, RestoreRequest, close::LAST_COMMIT};
use crate::{
    kafka_clients::{Rebalance, RebalanceKind},
    status::Status,
    store::AssignmentNumber,
    view::{EventType, Phase, RebalanceEvent},
};

/// The longest wait of a revocation for its commit; less with a short session timeout.
const MAX_REVOKE_COMMIT: Duration = Duration::from_secs(5);

/// The interval at which a wait checks whether a stop was ordered.
const SLICE: Duration = Duration::from_millis(50);

/// Whether all progress of the revoked partitions is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RevokeOutcome {
    Committed,
    /// Refused, or the outcome was not known in time: the next owner processes some records again.
    Uncommitted,
}

impl PollLoop {
    /// Carries out one rebalance event of the group.
    pub(super) fn rebalance(&mut self, rebalance: &Rebalance) -> Result<(), Fatal> {
        let membership = rebalance.membership.as_ref();
        let generation = membership.map_or(-1, GroupMetadata::generation);
        match rebalance.kind {
            RebalanceKind::Assign => {
                let member_id = membership.map_or_else(String::new, |membership| membership.member_id().to_owned());
                self.assigned(&rebalance.partitions, generation, &member_id.into())
            }
            RebalanceKind::Revoke => self.revoked(&rebalance.partitions, generation),
            RebalanceKind::Lost => self.lost(&rebalance.partitions, generation),
        }
    }

    fn assigned(&mut self, partitions: &[i32], generation: i32, member_id: &Arc<str>) -> Result<(), Fatal> {
        self.acknowledge().map_err(Fatal::Rebalance)?;
        if partitions.is_empty() && !self.partitions.is_empty() {
            // A rebalance between other members.
            tracing::debug!(generation, "nothing moved");
        } else {
            self.add_assigned(partitions, generation, member_id);
        }
        self.view.set_status(if self.partitions.is_empty() { Status::Running } else { Status::Consuming });
        Ok(())
    }

    fn add_assigned(&mut self, partitions: &[i32], generation: i32, member_id: &Arc<str>) {
        tracing::info!(generation, "Partitions ASSIGNED: {partitions:?}");
        let details = format!("{} partitions came in generation {generation}", partitions.len());
        let event = self.record(EventType::Assigned, partitions, details, generation, None, None);
        let assigned: Vec<_> =
            partitions.iter().map(|partition| self.add(*partition, generation, member_id.clone())).collect();
        let waiting = assigned.iter().map(|it| (it.assignment.partition, it.assignment.number)).collect();
        self.pending_assignments.push(PendingAssignment::new(event, waiting));
        self.update_pending_assignments();
        if generation < 0 || member_id.is_empty() {
            // This worker is already out of the group again, and will hear of it soon. Without a member id it may not
            // claim anything.
            tracing::warn!(generation, ?partitions, "the partitions were assigned to no member: not claiming them");
        } else if !assigned.is_empty() {
            self.inspect_topic();
            // The thread ends only with the process.
            let _ = self.restorer.send(assigned);
        }
    }

    /// Acknowledges the group's assignment to the client, without anything to fetch yet.
    fn acknowledge(&mut self) -> KafkaResult<()> {
        let nothing = TopicPartitionList::new();
        if self.is_cooperative() {
            self.consumer.incremental_assign(&nothing)
        } else {
            self.consumer.assign(&nothing)
        }?;
        self.fetch_wakeups.begin(Instant::now());
        Ok(())
    }

    pub(super) fn is_cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    /// Gives the client the restored partitions, each with its offset.
    pub(super) fn activate_ready(&mut self) -> Result<(), Fatal> {
        // Lost partitions are about to be revoked and must not be activated before that.
        if !self.partitions.values().any(AssignedPartition::is_to_be_fetched) || self.consumer.assignment_lost() {
            return Ok(());
        }
        if self.is_paused {
            self.pause(false)?;
        }
        let is_cooperative = self.is_cooperative();
        let mut list = TopicPartitionList::new();
        // An eager assignment replaces the whole list, so active partitions are included at their position.
        for owned in self.partitions.values().filter(|owned| !is_cooperative || owned.is_to_be_fetched()) {
            if let Some((offset, leader_epoch)) = owned.fetch_from() {
                list.add_partition_offset(&self.topic, owned.partition, Offset::Offset(offset))
                    .map_err(Fatal::Rebalance)?;
                // With the epoch, the client notices when the log is cut and grows again while it fetches the
                // partition.
                let known = leader_epoch.map(|epoch| set_leader_epoch(&mut list, &self.topic, owned.partition, epoch));
                if let Some(Err(error)) = known {
                    tracing::warn!(
                        %error,
                        partition = owned.partition,
                        "leader epoch not set: log truncation may go undetected (KIP-320)"
                    );
                }
            }
        }
        let partitions: Vec<_> = list.elements().iter().map(|element| element.partition()).collect();
        self.records.forward(partitions.iter().copied())?;
        let assigned =
            if is_cooperative { self.consumer.incremental_assign(&list) } else { self.consumer.assign(&list) };
        assigned.map_err(Fatal::Rebalance)?;
        // Waits until the client has started with the assignment.
        drop(self.consumer.assignment().map_err(Fatal::Rebalance)?);
        self.records.forward(partitions)?;
        self.fetch_wakeups.begin(Instant::now());
        // A pause outlives its assignment: a partition that failed or was paused before is fetched again only after a
        // resume.
        self.consumer.resume(&list).map_err(Fatal::Rebalance)?;
        for element in list.elements() {
            if let Some(owned) = self.partitions.get_mut(&element.partition()) {
                owned.activate();
            }
        }
        self.note_missing_epochs();
        // Must come after everything that moves a position.
        self.validate()?;
        self.commits.make_due();
        self.update_pending_assignments();
        Ok(())
    }

    /// Logs once that a truncated log would go unnoticed.
    fn note_missing_epochs(&mut self) {
        let lacks_epoch = |owned: &mut AssignedPartition| owned.active().is_some_and(|active| active.lacks_epoch());
        if self.has_logged_missing_epochs || !self.partitions.values_mut().any(lacks_epoch) {
            return;
        }
        self.has_logged_missing_epochs = true;
        tracing::info!(
            "no leader epoch is stored with some positions, so a log that was cut off before now goes unnoticed: it is stored \
             with the next records"
        );
    }

    fn add(&mut self, partition: i32, generation: i32, member_id: Arc<str>) -> RestoreRequest {
        self.next_assignment_number += 1;
        let assignment_number = AssignmentNumber(self.next_assignment_number);
        let owned = AssignedPartition::new(partition, assignment_number, generation, member_id);
        let assigned = RestoreRequest { assignment: owned.assignment(), shared: owned.shared.clone() };
        self.view.add_partition(partition, owned.shared.clone());
        self.partitions.insert(partition, owned);
        assigned
    }

    fn revoked(&mut self, partitions: &[i32], generation: i32) -> Result<(), Fatal> {
        self.view.set_status(Status::Rebalancing);
        self.hand_back(partitions, generation, Instant::now() + MAX_REVOKE_COMMIT.min(self.session_timeout / 2))?;
        if self.stop.is_ordered() {
            // If the client answered, it would join again, and could leave only when all other members have joined too.
            self.unanswered_revocation = Some(partitions.to_vec());
            return Ok(());
        }
        self.release(partitions).map_err(Fatal::Rebalance)
    }

    /// Commits the progress of `partitions` by `deadline`, or after a stop was ordered with the last commit. Records
    /// the outcome in the log and the history.
    pub(super) fn hand_back(&mut self, partitions: &[i32], generation: i32, deadline: Instant) -> Result<(), Fatal> {
        tracing::info!(generation, "Partitions REVOKED: {partitions:?}");
        let begun = Instant::now();
        let committed = self.commit_before_revocation(partitions, generation, deadline)?;
        let took = begun.elapsed();
        let details = if committed == RevokeOutcome::Committed {
            tracing::info!(?partitions, ?took, "Offsets committed before revocation");
            format!("committed before revocation in {} ms", took.as_millis())
        } else {
            tracing::warn!(
                ?partitions,
                ?took,
                "offsets not committed before revocation: some records are processed again"
            );
            "not committed before revocation".to_owned()
        };
        let records = partitions
            .iter()
            .filter_map(|partition| self.partitions.get(partition))
            .map(AssignedPartition::processed)
            .sum();
        self.record(EventType::Revoked, partitions, details, generation, Some(took), Some(records));
        Ok(())
    }

    fn lost(&mut self, partitions: &[i32], generation: i32) -> Result<(), Fatal> {
        tracing::warn!(generation, "Partitions LOST: {partitions:?}");
        self.view.lost_membership();
        self.view.set_status(Status::PartitionsLost);
        let details = "the group took the partitions away; nothing was committed".to_owned();
        self.record(EventType::Lost, partitions, details, generation, None, None);
        self.release(partitions).map_err(Fatal::Rebalance)
    }

    /// Removes `partitions`, from readers first, and takes them from the client.
    fn release(&mut self, partitions: &[i32]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            self.view.remove_partition(*partition);
            if let Some(owned) = self.partitions.remove(partition) {
                owned.shared.release();
                if owned.is_fetched {
                    list.add_partition(&self.topic, *partition);
                }
            }
        }
        self.update_pending_assignments();
        self.fetch_wakeups.begin(Instant::now());
        if self.is_cooperative() { self.consumer.incremental_unassign(&list) } else { self.consumer.unassign() }
    }

    /// Commits the progress of `leaving` by `deadline`.
    fn commit_before_revocation(
        &mut self,
        leaving: &[i32],
        generation: i32,
        deadline: Instant,
    ) -> Result<RevokeOutcome, Fatal> {
        for owned in leaving.iter().filter_map(|partition| self.partitions.get(partition)) {
            let mut state = owned.shared.lock();
            if state.phase == Phase::Active {
                state.phase = Phase::Draining;
            }
        }
        let mut has_asked = false;
        loop {
            let now = Instant::now();
            let deadline = self.stop.ordered_at().map_or(deadline, |at| deadline.min(at + LAST_COMMIT));
            let has_uncommitted =
                |partition| self.partitions.get(partition).is_some_and(AssignedPartition::has_uncommitted);
            if !self.commits.is_running() {
                if !leaving.iter().any(has_uncommitted) {
                    return Ok(RevokeOutcome::Committed);
                }
                let leaves = |owned: &AssignedPartition| leaving.contains(&owned.partition);
                // In a later generation they may already belong to another member.
                if has_asked || now >= deadline || !self.commit(leaves, false, Some(generation)) {
                    return Ok(RevokeOutcome::Uncommitted);
                }
                has_asked = true;
            }
            // In slices, because a stop may be ordered meanwhile.
            if !self.await_report(deadline.min(now + SLICE))? && now >= deadline {
                return Ok(RevokeOutcome::Uncommitted);
            }
        }
    }

    /// Drops the state of `partitions` and restores them again a heartbeat later: another worker has continued them
    /// although the group still assigns them to this one, or the client cannot fetch on where they stand.
    pub(super) fn restore_again(&mut self, partitions: &[i32]) -> Result<(), Fatal> {
        let mut fetched = TopicPartitionList::new();
        let (mut is_any, now) = (false, Instant::now());
        for partition in partitions {
            let Some(owned) = self.partitions.remove(partition) else { continue };
            owned.shared.release();
            if owned.is_fetched {
                fetched.add_partition(&self.topic, *partition);
            }
            let assigned = self.add(*partition, owned.generation, owned.member_id.clone());
            self.delayed_restores.add(assigned, owned.member_id, now);
            is_any = true;
        }
        if !is_any {
            return Ok(());
        }
        tracing::warn!(?partitions, "restoring partitions again");
        if self.is_cooperative() {
            self.consumer.incremental_unassign(&fetched).map_err(Fatal::Rebalance)?;
        } else {
            // The next eager assignment replaces the whole list.
            self.consumer.pause(&fetched).map_err(Fatal::Rebalance)?;
        }
        self.inspect_topic();
        Ok(())
    }

    /// Starts the delayed restores that are due, of partitions that still belong to this worker.
    pub(super) fn start_delayed_restores(&mut self) {
        let consumer = self.consumer.clone();
        let ask = || {
            let membership = GroupMetadata::capture(&*consumer).filter(GroupMetadata::is_member)?;
            Some(membership.member_id().to_owned())
        };
        let assigned = self.delayed_restores.due(Instant::now(), ask);
        if !assigned.is_empty() {
            // The thread ends only with the process.
            let _ = self.restorer.send(assigned);
        }
    }

    fn record(
        &self,
        event_type: EventType,
        partitions: &[i32],
        details: String,
        generation: i32,
        commit: Option<Duration>,
        records: Option<u64>,
    ) -> u64 {
        let (timestamp, partitions) = (Timestamp::now(), partitions.to_vec());
        self.view.record(RebalanceEvent {
            timestamp,
            event_type,
            partitions,
            details,
            generation,
            commit,
            restore: None,
            records,
        })
    }
}
