//! The store that keeps balances in a compacted topic, with the partitions of the input.
//!
//! One Kafka transaction writes the changed customers, the progress and the group's offsets, so all three move together
//! or not at all. Three rules make it safe against a worker that has lost a partition and does not know it yet:
//!
//! 1. A batch carries one membership, captured when it was put together, and its offsets are sent under that
//!    membership. A partition changes its owner only in a later generation, in which the group coordinator refuses the
//!    old membership.
//! 2. Every record is acknowledged before the offsets are sent. So whatever a former owner can still commit lies below
//!    the high watermark that the new owner reads after its assignment, and the new owner reads up to there.
//! 3. A transaction carries offsets for exactly the partitions whose changelog it writes. Only the first commit of a
//!    group also carries the starting offsets of partitions that no worker has begun yet.

mod batches;
mod commit;
mod commit_fate;
mod contents;
mod inspect;
mod producer;
mod progress;
mod records;
mod restore_plan;
#[cfg(test)]
mod schedules;
mod topic;
mod writer;

use std::{collections::HashSet, sync::Arc, time::Duration};

use balancefleet_kafka::{Admin, At, Isolation, ListedOffset};
use parking_lot::Mutex;

pub(crate) use contents::ChangelogContents;
pub(crate) use inspect::{NewestProgress, inspect};
pub(crate) use records::RecordEncoder;
pub(crate) use topic::UnusableTopic;

use super::{
    ApplyMode, Assignment, Batch, CommitError, LedgerChecksum, NoRestorePlan, Offsets, Replace, Replaced,
    RestoreDecisions, RestoreError, RestorePlan, RestorePlans, Store,
    durable_states::{self, DurableStates},
    initial_offsets::{INITIATING_PARTITION, InitialOffsets, not_begun},
};
use crate::{
    config::{Config, StartFrom},
    domain::ledger_rules::{LedgerRules, WorkerRules},
    kafka_clients::{GroupConsumer, transaction_config},
    not_ready::NotReady,
    partition_failure::PartitionFailure,
    topic_facts::describe,
};
use batches::Batches;
use contents::CompleteContents;
use producer::Producer;
use progress::ChangelogContext;
use restore_plan::{Known, restore_plan, rules_of};
use topic::Topic;

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Changelog {
    admin: Admin,
    offsets: Offsets,
    log: Topic,
    group: String,
    topic: String,
    topic_id: String,
    worker_rules: Arc<WorkerRules>,
    start_from: StartFrom,
    dead_letter_topic: Option<String>,
    /// Used by the commit thread; others only wait for it at the start.
    producer: Mutex<Producer>,
    durable_states: DurableStates<ReplacedKeys>,
}

/// Checks the topics that the store writes to; with `create`, creates those that are missing.
pub(crate) fn prepare(config: &Config, admin: &Admin, partitions: i32, create: bool) -> Result<(), UnusableTopic> {
    let log = Topic::new(config);
    log.prepare(admin, partitions, create)?;
    let Some(dead_letter_topic) = &config.dead_letter_topic else { return Ok(()) };
    if create {
        log.create_dead_letter_topic(admin, dead_letter_topic, partitions)?;
    }
    log.prepare_dead_letter_topic(admin, dead_letter_topic)
}

/// The keys whose records the next commit replaces by those of a whole ledger, if it does that.
type ReplacedKeys = Option<Arc<HashSet<Box<[u8]>>>>;
type DurableState = durable_states::DurableState<ReplacedKeys>;

/// How to continue a partition whose changelog was read to its end, and what is durable of it.
fn decide(contents: CompleteContents, known: &Known<'_>) -> Result<(RestorePlan, DurableState), PartitionFailure> {
    let worker_rules = known.context.worker_rules;
    let durable = contents.progress.as_ref().map_or_else(LedgerChecksum::default, |progress| progress.checksum);
    let rules = contents.progress.as_ref().map(|progress| rules_of(progress, &contents.ledger, worker_rules));
    let plan = restore_plan(contents, known)?;
    let rules = rules.transpose()?;
    let (start_offset, checksum, rules) = match &plan {
        RestorePlan::Done(restored) => (restored.start_offset, durable, rules),
        // Its customers are all written anew.
        RestorePlan::ReplayInput { start_offset, .. } => (*start_offset, LedgerChecksum::default(), None),
        // Only what was not loaded yet asks for either.
        RestorePlan::ReadChangelog(_) | RestorePlan::QueryDatabase => (0, durable, rules),
    };
    let rules = Arc::new(rules.unwrap_or_else(|| LedgerRules::begin(worker_rules, start_offset)));
    Ok((plan, DurableState { start_offset, checksum, rules, store_specific: None }))
}

impl Changelog {
    /// `topic_id` is that of the input as it was when this process began: everything here stands for records of it.
    pub(crate) fn new(config: &Config, topic_id: &str, admin: Admin, consumer: Arc<GroupConsumer>) -> Self {
        Self {
            offsets: Offsets::new(admin.clone(), consumer, &config.group_id, &config.topic),
            log: Topic::new(config),
            group: config.group_id.clone(),
            topic: config.topic.clone(),
            topic_id: topic_id.to_owned(),
            worker_rules: Arc::new(WorkerRules::new(config.rules.clone())),
            start_from: config.start_from,
            dead_letter_topic: config.dead_letter_topic.clone(),
            producer: Mutex::new(Producer::new(
                transaction_config(config),
                config.session_timeout,
                Batches::for_topics(&admin, [&config.changelog_topic].into_iter().chain(&config.dead_letter_topic)),
            )),
            durable_states: DurableStates::new(),
            admin,
        }
    }

    /// For a rebuild. All rebuilds of a group share one transactional id, so that each ends the transaction that an
    /// earlier, killed one has left open.
    pub(crate) fn for_rebuild(self) -> Self {
        self.producer.lock().set_transactional_id(&format!("{}-rebuild", self.group));
        self
    }

    fn context(&self) -> ChangelogContext<'_> {
        ChangelogContext {
            group: &self.group,
            topic: &self.topic,
            topic_id: &self.topic_id,
            worker_rules: &self.worker_rules,
        }
    }

    fn decide_one(
        &self,
        assignment: Assignment,
        contents: ChangelogContents,
        known: &Known<'_>,
    ) -> Result<RestorePlan, PartitionFailure> {
        let (plan, durable_state) = decide(contents.finish()?, known)?;
        self.durable_states.insert(assignment, durable_state);
        Ok(plan)
    }
}

impl Store for Changelog {
    fn apply_mode(&self) -> ApplyMode {
        ApplyMode::Buffered
    }

    /// A transaction has to end well within the session.
    fn max_customers_per_commit(&self) -> usize {
        10_000
    }

    /// Ends the transaction that an earlier process of the same name has left open, so that nobody waits for it.
    fn open(&self) -> Result<(), CommitError> {
        self.producer.lock().ready().map(drop)
    }

    fn plan(&self, assigned: &[Assignment]) -> Result<RestorePlans, NotReady> {
        let input = describe(&self.admin, &self.topic, TIMEOUT)?;
        self.log.grow_to(&self.admin, input.partition_count)?;
        let asked: Vec<_> = assigned.iter().map(|it| (self.log.name.clone(), it.partition)).collect();
        let ask = |at| self.admin.list_offsets(&asked, at, Isolation::ReadUncommitted, TIMEOUT);
        // The end is that of everything written so far, open transactions included, and it is read after the
        // assignment.
        let (starts, ends) = (ask(At::Earliest)?, ask(At::Latest)?);
        let plan = |start: ListedOffset, end: ListedOffset| -> Result<RestorePlan, RestoreError> {
            Ok(RestorePlan::ReadChangelog(start.offset.map_err(NotReady::from)?..end.offset.map_err(NotReady::from)?))
        };
        let plans = assigned.iter().zip(starts.into_iter().zip(ends));
        Ok(plans.map(|(assignment, (start, end))| (*assignment, plan(start, end))).collect())
    }

    fn decide(&self, contents: Vec<(Assignment, ChangelogContents)>) -> RestoreDecisions {
        let assigned: Vec<_> = contents.iter().map(|(assignment, _)| *assignment).collect();
        let known = describe(&self.admin, &self.topic, TIMEOUT).and_then(|topic| {
            // Asked first: if the group has begun by then, the offsets of its beginning are seen below.
            let begins = self.start_from == StartFrom::Latest && !self.offsets.has_progress()?;
            // Read after the changelog's end was reached: a transaction that is known to be over there may still be
            // under way here, and then the brokers say so.
            let offsets = self.offsets.of_partitions(&assigned)?;
            let begin = || InitialOffsets::at_the_ends(&self.admin, &self.topic, topic.partition_count, TIMEOUT);
            Ok((topic.topic_id, offsets, begins.then(begin).transpose()?))
        });
        let (found, offsets, initial_offsets) = match known {
            Ok(known) => known,
            Err(error) => {
                let later = |(assignment, contents)| {
                    (assignment, Err(NoRestorePlan::RetryLater(Box::new(contents), error.clone().into())))
                };
                return contents.into_iter().map(later).collect();
            }
        };
        if found != self.topic_id {
            let failure = PartitionFailure::TopicRecreated { expected: self.topic_id.clone(), found };
            let never = |(assignment, _)| (assignment, Err(NoRestorePlan::Failed(failure.clone())));
            return contents.into_iter().map(never).collect();
        }
        let context = self.context();
        let decided = contents.into_iter().zip(offsets).map(|((assignment, contents), (_, offsets))| {
            let plan = match offsets {
                Ok(offsets)
                    if initial_offsets.is_some()
                        && offsets.committed.is_none()
                        && contents.is_empty()
                        && assignment.partition != INITIATING_PARTITION =>
                {
                    Err(NoRestorePlan::RetryLater(Box::new(contents), not_begun()))
                }
                Ok(offsets) => {
                    let (start_from, initial_offsets) = (self.start_from, initial_offsets.as_ref());
                    let known = Known { context: &context, offsets: &offsets, start_from, initial_offsets };
                    self.decide_one(assignment, contents, &known).map_err(NoRestorePlan::Failed)
                }
                Err(error) => Err(NoRestorePlan::RetryLater(Box::new(contents), error.into())),
            };
            (assignment, plan)
        });
        decided.collect()
    }

    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        self.transact(batch)
    }
}

impl Replace for Changelog {
    /// Old records and new ones change places in one transaction: whoever reads finds the one ledger or the other.
    fn replace(
        &self,
        assignment: Assignment,
        former: Replaced,
        start_offset: i64,
        rules: LedgerRules,
    ) -> Result<(), CommitError> {
        let (checksum, rules) = (LedgerChecksum::default(), Arc::new(rules));
        let replaced_keys = Some(Arc::new(former.keys));
        self.durable_states
            .insert(assignment, DurableState { start_offset, checksum, rules, store_specific: replaced_keys });
        Ok(())
    }
}
