//! The last part of `balance-worker --check`: which partitions a worker would refuse to continue.
//!
//! It decides as a worker does, by what the store and the group say about each partition. It reads the customers only
//! if nothing else says which currencies they hold. It writes nothing, so it may run beside the workers.

use std::{sync::Arc, time::Duration};

use balancefleet_kafka::{
    Admin, At, CommitMetadata, CommittedOffset, Error, Isolation, Position, Validity, look_up_positions,
};
use tokio::runtime::Handle;

use super::tools::{OpsError, StoredIn, ToolContext};
use crate::{
    config::{Config, StoreKind},
    domain::{ledger_rules::WorkerRules, rules::LedgerKind},
    kafka_clients::restore_config,
    partition_failure::PartitionFailure,
    store::{Assignment, AssignmentNumber, NewestProgress, PartitionOffsets, offsets_of, replay_plan},
    topic_facts::TopicFacts,
};

/// The number of offsets read first from the end of a changelog, then ten times as many: each commit ends with its
/// progress.
const FROM_THE_END: i64 = 1000;
/// Beside running workers, progress and offset may be read at two different moments, so a partition is checked again.
const TRIES: u32 = 5;
/// How long one question to the brokers about a possibly truncated log may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The partitions that would fail, each with the reason.
pub(crate) fn failures(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    topic: TopicFacts,
) -> Result<Vec<(i32, PartitionFailure)>, OpsError> {
    if config.rules.ledger == LedgerKind::Count {
        return Ok(Vec::new());
    }
    let partitions = 0..topic.partition_count;
    if config.store == StoreKind::Replay {
        let found = partitions.map(|partition| {
            let offsets = offsets(config, admin, partition)?;
            Ok((partition, replay_plan(&offsets).err()))
        });
        return failed(found);
    }
    let worker_rules = Arc::new(WorkerRules::new(config.rules.clone()));
    let stored = StoredIn::of(config, &worker_rules, admin, runtime)?;
    let tools = ToolContext { config, worker_rules, admin, topic, stored };
    let mut failures = failed(partitions.map(|partition| Ok((partition, tools.check(partition)?))))?;
    let has_failed: Vec<_> = failures.iter().map(|(partition, _)| *partition).collect();
    failures.extend(truncated(config, admin)?.into_iter().filter(|(partition, _)| !has_failed.contains(partition)));
    Ok(failures)
}

fn failed(
    found: impl Iterator<Item = Result<(i32, Option<PartitionFailure>), OpsError>>,
) -> Result<Vec<(i32, PartitionFailure)>, OpsError> {
    found.filter_map(|found| found.map(|(partition, failure)| Some((partition, failure?))).transpose()).collect()
}

/// The partitions whose log was truncated below the committed offset, each with the reason. It is visible only for an
/// offset that a worker has committed with a leader epoch, and whose leader answers.
fn truncated(config: &Config, admin: &Admin) -> Result<Vec<(i32, PartitionFailure)>, Error> {
    let committed = admin.committed_offsets(&config.group_id, None, false, TIMEOUT)?;
    let positions: Vec<_> = committed.iter().filter(|it| it.topic == config.topic).filter_map(our_position).collect();
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<_> = positions.iter().map(|position| (config.topic.clone(), position.partition)).collect();
    let found = look_up_positions(&restore_config(config), &config.topic, &positions, TIMEOUT)?;
    // Asked afterwards, because retention may pass a position meanwhile.
    let starts = admin.list_offsets(&asked, At::Earliest, Isolation::ReadUncommitted, TIMEOUT)?;
    let failures = positions.iter().zip(starts).zip(found).filter_map(|((position, start), (_, validity))| {
        let Position { partition, offset, leader_epoch } = *position;
        let failure = match (validity, start.offset) {
            (Validity::InLog | Validity::Unanswered, _) | (_, Err(_)) => return None,
            (Validity::NotInLog, Ok(start)) if offset < start => PartitionFailure::OffsetOutOfRange { offset },
            (Validity::NotInLog, Ok(_)) => PartitionFailure::LogTruncated { offset, leader_epoch },
        };
        Some((partition, failure))
    });
    Ok(failures.collect())
}

/// Whether a worker committed the offset. Another program may commit another epoch than that of the record before it.
fn our_position(committed: &CommittedOffset) -> Option<Position> {
    let (offset, leader_epoch) = (committed.offset?, committed.leader_epoch?);
    let is_ours = committed.metadata.parse::<CommitMetadata>().is_ok();
    (is_ours && offset > 0).then_some(Position { partition: committed.partition, offset, leader_epoch })
}

fn offsets(config: &Config, admin: &Admin, partition: i32) -> Result<PartitionOffsets, OpsError> {
    let assignment = Assignment { partition, number: AssignmentNumber(0), generation: 0 };
    let unknown = || OpsError::Impossible(format!("the brokers say nothing of partition {partition}"));
    let found = offsets_of(admin, &config.group_id, &config.topic, &[assignment])?.into_iter().next();
    Ok(found.ok_or_else(unknown)?.1?)
}

impl ToolContext<'_> {
    fn check(&self, partition: i32) -> Result<Option<PartitionFailure>, OpsError> {
        let topic_id = &self.topic.topic_id;
        match &self.stored {
            StoredIn::Changelog(partitions) => {
                let mut progress = self.newest_progress(*partitions, partition)?;
                for _ in 0..TRIES {
                    let offsets = offsets(self.config, self.admin, partition)?;
                    let found = match progress.check(self.config, &self.worker_rules, topic_id, &offsets) {
                        Ok(is_certain) => return self.check_customers(partition, is_certain),
                        Err(failure) => Some(failure),
                    };
                    let Some(PartitionFailure::OffsetsMoved { .. } | PartitionFailure::CommitWithoutProgress { .. }) =
                        found
                    else {
                        return Ok(found);
                    };
                    let before = std::mem::replace(&mut progress, self.newest_progress(*partitions, partition)?);
                    if before == progress {
                        return Ok(found);
                    }
                }
                // A worker is changing it now.
                Ok(None)
            }
            StoredIn::Postgres(_, inspector) => {
                // The row is read first, as a worker does, so its offset is not above the log's end.
                let look = || -> Result<_, OpsError> {
                    let row = inspector.row(partition)?;
                    let offsets = offsets(self.config, self.admin, partition)?;
                    Ok(row.check(self.config, &self.worker_rules, topic_id, &offsets))
                };
                let found = match look()? {
                    // A worker may have begun the partition in between.
                    Err(PartitionFailure::CommitWithoutProgress { .. }) => look()?,
                    found => found,
                };
                match found {
                    Ok(is_certain) => self.check_customers(partition, is_certain),
                    Err(failure) => Ok(Some(failure)),
                }
            }
        }
    }

    /// Reads the customers to find which currencies they hold, and whether they add up.
    fn check_customers(&self, partition: i32, is_certain: bool) -> Result<Option<PartitionFailure>, OpsError> {
        if is_certain {
            return Ok(None);
        }
        let is_told = |flaw: &PartitionFailure| {
            matches!(
                flaw,
                PartitionFailure::LedgerSettingsChanged(_)
                    | PartitionFailure::Torn { .. }
                    | PartitionFailure::UnreadableProgress { .. }
            )
        };
        let is_one_look = matches!(self.stored, StoredIn::Postgres(..));
        let mut before = None;
        for _ in 0..TRIES {
            let found = self.inspect(partition)?;
            let flaw = found.flaws().find(is_told);
            let stands_at = found.stored_progress.map(|stored_progress| stored_progress.next_offset);
            // A changelog that is written meanwhile may be read only to the middle of a commit.
            if is_one_look || !matches!(flaw, Some(PartitionFailure::Torn { .. })) || before == stands_at {
                return Ok(flaw);
            }
            before = stands_at;
        }
        Ok(None)
    }

    fn newest_progress(&self, partitions: i32, partition: i32) -> Result<NewestProgress, OpsError> {
        let mut newest = NewestProgress::default();
        if partition >= partitions {
            return Ok(newest);
        }
        let topic = &self.config.changelog_topic;
        let log = self.bounds(topic, partition)?;
        let mut count = FROM_THE_END;
        loop {
            let start = log.start.max(log.end.saturating_sub(count));
            self.read(topic, partition, start..log.end, |record| newest.take(record.key, record.value), |_| {})?;
            if newest.is_found() || start == log.start {
                return Ok(newest);
            }
            (newest, count) = (NewestProgress::default(), count.saturating_mul(10));
        }
    }
}
