//! `balance-worker rebuild`: folds the input again by the configured rules, and replaces the stored balances.
//!
//! Nothing is changed before it is certain that every partition can be rebuilt, and the user has agreed. Then missing
//! topics or tables are created. Each partition is replaced at once, by the store's own commit. After an interruption,
//! run the rebuild again.

mod another;
mod target;

use std::{
    io::{BufRead, IsTerminal, Write, stdin},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use balancefleet_kafka::{Admin, GroupMetadata};
use tokio::runtime::Handle;

use super::{
    completeness::{Missing, cannot_rebuild, transactions_of},
    member::{as_only_member, consumer},
    progress_bar::ProgressBar,
    reading::Folded,
    tools::{OpsError, StoredIn, TIMEOUT, ToolContext, grouped, print_line, retry_transient},
};
use crate::{
    config::{Config, RebuildOptions},
    domain::{ledger::Ledger, ledger_rules::LedgerRules},
    kafka_clients::GroupConsumer,
    partition_failure::PartitionFailure,
    preflight::PreflightError,
    store::{
        Assignment, AssignmentNumber, Batch, BatchPart, Changelog, CommitError, Committed, Postgres, Replace, Replaced,
        Store, StoredPartition, UnusableTopic, prepare_changelog, prepare_postgres,
    },
};
use another::OtherTopic;
use target::{Known, RecordsToFold, records_to_fold};

/// The most attempts of a commit: each may send smaller batches than the one before, or take more time.
const TRIES: u32 = 20;
const AGAIN: Duration = Duration::from_millis(200);

/// One partition to rebuild.
struct RebuildPlan {
    partition: i32,
    /// The records to fold.
    records: Range<i64>,
    /// The group's committed offset, if it moves with the balances.
    committed: Option<i64>,
    customers: usize,
    /// The rules that made the stored ledger.
    rules: LedgerRules,
    /// The stored state to replace.
    former: Replaced,
    /// Transactions that the store has counted and the rebuild would not count.
    missing: Option<Missing>,
    /// The transactions of both topics, if the stored balances come from another topic.
    other_topic: Option<OtherTopic>,
}

struct Rebuild<'a> {
    tools: ToolContext<'a>,
    runtime: &'a Handle,
    options: RebuildOptions,
}

/// Runs the rebuild. Asks the user on `out`, unless the options say that the user has agreed.
pub(crate) fn rebuild(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    options: RebuildOptions,
    out: &mut impl Write,
) -> Result<(), OpsError> {
    let rebuild = Rebuild { tools: ToolContext::open(config, admin, runtime)?, runtime, options };
    rebuild.check_that_group_is_empty()?;
    let consumer = consumer(config)?;
    let store = rebuild.store(&consumer)?;
    let plans = rebuild.plans()?;
    rebuild.carry_out(&*store, &consumer, plans, out)
}

fn agrees(out: &mut impl Write) -> Result<bool, OpsError> {
    if !stdin().is_terminal() {
        return Err(OpsError::Impossible("nobody is there to ask: add --yes to rebuild without a question".to_owned()));
    }
    write!(out, "Replace them? Type yes: ")?;
    out.flush()?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn try_again(mut attempt: impl FnMut() -> Result<(), CommitError>) -> Result<(), CommitError> {
    for _ in 1..TRIES {
        match attempt() {
            Err(CommitError::Unavailable(error)) => tracing::warn!(error, "trying again"),
            outcome => return outcome,
        }
        std::thread::sleep(AGAIN);
    }
    attempt()
}

impl Rebuild<'_> {
    fn check_that_group_is_empty(&self) -> Result<(), OpsError> {
        let group = self.tools.config.group_id.as_str();
        let described = self.tools.admin.describe_groups(&[group], TIMEOUT)?.into_iter().next();
        let members = match described {
            Some((_, description)) => description?.members.len(),
            None => 0,
        };
        if members == 0 {
            return Ok(());
        }
        Err(OpsError::Impossible(format!(
            "group {group} has {members} members: stop the workers first (scale the group to 0 replicas), and wait a \
             session timeout for those that were killed"
        )))
    }

    /// The workers' store, after a check that this user may replace balances.
    fn store(&self, consumer: &Arc<GroupConsumer>) -> Result<Box<dyn Replace>, OpsError> {
        let ToolContext { config, topic, .. } = &self.tools;
        let (topic_id, admin, consumer) = (&topic.topic_id, self.tools.admin.clone(), consumer.clone());
        match &self.tools.stored {
            StoredIn::Postgres(database, inspector) => {
                inspector.may_replace()?;
                Ok(Box::new(Postgres::new(config, topic_id, database, admin, consumer, self.runtime)))
            }
            StoredIn::Changelog(partitions) => {
                let store = Changelog::new(config, topic_id, admin, consumer).for_rebuild();
                // An open transaction of a killed rebuild would block the read.
                if *partitions > 0 {
                    try_again(|| store.open())?;
                }
                Ok(Box::new(store))
            }
        }
    }

    /// Creates missing topics or tables.
    fn prepare_store(&self) -> Result<(), OpsError> {
        let ToolContext { config, admin, topic, .. } = &self.tools;
        if let StoredIn::Postgres(database, _) = &self.tools.stored {
            return Ok(prepare_postgres(database, self.runtime, true)?);
        }
        match prepare_changelog(config, admin, topic.partition_count, true) {
            Err(UnusableTopic::Kafka(error)) => Err(error.into()),
            prepared => Ok(prepared.map_err(PreflightError::Changelog)?),
        }
    }

    /// Prints what will be done, and does it once the user has agreed.
    fn carry_out(
        &self,
        store: &dyn Replace,
        consumer: &GroupConsumer,
        plans: Vec<RebuildPlan>,
        out: &mut impl Write,
    ) -> Result<(), OpsError> {
        let Config { group_id: group, topic, .. } = self.tools.config;
        let records: i64 = plans.iter().map(|plan| plan.records.end - plan.records.start).sum();
        let customers: usize = plans.iter().map(|plan| plan.customers).sum();
        let (stored, given, partitions) = (grouped(customers), grouped(records), plans.len());
        let mut others: Vec<_> = plans.iter().filter_map(|plan| plan.other_topic.clone()).collect();
        others.extend(self.beyond_topic(&others)?);
        let (place, is_database) = match &self.tools.stored {
            StoredIn::Postgres(database, _) => (format!("PostgreSQL at {}", database.address()), true),
            StoredIn::Changelog(_) => (format!("changelog {}", self.tools.config.changelog_topic), false),
        };
        print_line(out, &format!("group {group}, topic {topic}, {place}"))?;
        for line in another::describe(&others, &self.tools.topic.topic_id, is_database) {
            print_line(out, &line)?;
        }
        let missing: Vec<_> = plans.iter().filter_map(|plan| Some((plan.partition, plan.missing?))).collect();
        another::check(&others, &missing, &self.options).map_err(OpsError::Impossible)?;
        let what = format!("{stored} stored customers are to be replaced by what {given} records give");
        print_line(out, &format!("{partitions} partitions: {what}"))?;
        if !self.options.is_agreed && !agrees(out)? {
            return print_line(out, "nothing was changed");
        }
        let ToolContext { config, admin, topic, .. } = &self.tools;
        let rebuilt = as_only_member(consumer, config, admin, topic.partition_count, |membership| {
            retry_transient(|| self.prepare_store())?;
            let progress = ProgressBar::new(records);
            let rebuilt = self.replace_all(store, membership, plans, &progress);
            progress.end();
            rebuilt
        })?;
        let rebuilt = grouped(rebuilt);
        let counts =
            format!("{rebuilt} customers out of {given} records (a customer counts in each of its partitions)");
        print_line(out, &format!("rebuilt: {counts}; the workers can be started"))
    }

    /// Plans every partition; one that cannot be rebuilt stops the whole rebuild. A partition of which a database has
    /// nothing is left to its first worker.
    fn plans(&self) -> Result<Vec<RebuildPlan>, OpsError> {
        let (mut plans, mut is_anything) = (Vec::new(), false);
        for partition in 0..self.tools.topic.partition_count {
            let mut former = Replaced::default();
            let found = self.tools.scan(partition, |key, has_value| {
                if has_value {
                    former.keys.insert(key.into());
                } else {
                    former.keys.remove(key);
                }
            })?;
            if let Some(foreign @ PartitionFailure::ForeignChangelog { .. }) = &found.not_ours {
                return Err(cannot_rebuild(partition, foreign));
            }
            let (mut customers, mut committed) = (found.ledger.len(), None);
            if let StoredIn::Postgres(_, inspector) = &self.tools.stored {
                former.row = found.stored_progress.as_ref().map(|stored_progress| stored_progress.next_offset);
                if former.row.is_none() {
                    customers = inspector.orphans(partition)?;
                }
            }
            // The group's offset follows a row, and decides nothing.
            if former.row.is_none() {
                committed = self.committed(partition)?;
            }
            let is_there = former.row.is_some() || !former.keys.is_empty() || customers > 0 || committed.is_some();
            is_anything |= is_there;
            if is_there || matches!(self.tools.stored, StoredIn::Changelog(_)) {
                plans.push(self.plan(partition, found, customers, committed.as_ref(), former)?);
            }
        }
        if is_anything { Ok(plans) } else { Err(self.nothing()) }
    }

    fn nothing(&self) -> OpsError {
        let Config { group_id, topic, changelog_topic, .. } = self.tools.config;
        let place = match &self.tools.stored {
            StoredIn::Postgres(_, inspector) if inspector.has_tables() => "the tables have nothing of it".to_owned(),
            StoredIn::Postgres(..) => "there are no tables".to_owned(),
            StoredIn::Changelog(0) => format!("there is no topic {changelog_topic}"),
            StoredIn::Changelog(_) => format!("{changelog_topic} is empty"),
        };
        OpsError::Impossible(format!(
            "there is nothing to rebuild: {place}, and group {group_id} has committed nothing on topic {topic}; the workers make \
             what they need when they start"
        ))
    }

    /// Replaces one partition after the other; returns the number of customers.
    fn replace_all(
        &self,
        store: &dyn Replace,
        membership: GroupMetadata,
        plans: Vec<RebuildPlan>,
        progress: &ProgressBar,
    ) -> Result<usize, OpsError> {
        let (mut batch, mut customers) = (Batch { membership, parts: Vec::new() }, 0);
        for plan in plans {
            let partition = plan.partition;
            customers += self.replace(store, &mut batch, plan, progress).map_err(|error| {
                let error = match error {
                    OpsError::Commit(CommitError::Fenced { .. }) => OpsError::Impossible(format!(
                        "somebody has worked on partition {partition} meanwhile: stop the workers"
                    )),
                    error => error,
                };
                OpsError::Halfway(Box::new(error))
            })?;
        }
        Ok(customers)
    }

    fn replace(
        &self,
        store: &dyn Replace,
        batch: &mut Batch,
        RebuildPlan { partition, records, committed, rules, former, .. }: RebuildPlan,
        progress: &ProgressBar,
    ) -> Result<usize, OpsError> {
        progress.begin(format!("partition {partition}"));
        let (ledger, rules) = self.fold_again(partition, &records, &rules, progress)?;
        let customers = ledger.len();
        progress.begin(format!("partition {partition}, writing {} customers", grouped(customers)));
        let assignment =
            Assignment { partition, number: AssignmentNumber(0), generation: batch.membership.generation() };
        store.replace(assignment, former, records.start, rules)?;
        batch.parts = vec![BatchPart::whole(assignment, committed, &records, ledger)];
        try_again(|| store.commit(batch))?;
        Ok(customers)
    }

    /// Folds the ledger again; returns it with its rules. Records that were refused because their currency was unknown
    /// stay refused, unless the options say to count them now.
    fn fold_again(
        &self,
        partition: i32,
        records: &Range<i64>,
        former: &LedgerRules,
        progress: &ProgressBar,
    ) -> Result<(Ledger, LedgerRules), OpsError> {
        let worker_rules = &self.tools.worker_rules;
        let anew = LedgerRules::begin(worker_rules, records.start);
        let former = if self.options.recount { &anew } else { former };
        let Folded { ledger, refused, .. } = self.tools.fold(partition, records.clone(), Some(former), progress)?;
        if refused > 0 {
            tracing::warn!(
                partition,
                records = refused,
                "records of a currency that was unknown when they came stay refused: rebuild --recount counts them"
            );
        }
        let rules = former.rebuilt(worker_rules, records, &ledger);
        Ok((ledger, rules))
    }

    /// The group's committed offset of a partition.
    fn committed(&self, partition: i32) -> Result<Option<Committed>, OpsError> {
        let ToolContext { config, admin, .. } = &self.tools;
        let asked = [(config.topic.clone(), partition)];
        let found = admin.committed_offsets(&config.group_id, Some(&asked), true, TIMEOUT)?.into_iter().next();
        Ok(found.map(Committed::read).transpose()?.flatten())
    }

    /// Plans one partition, which now has this many `customers`: decides which records to fold.
    fn plan(
        &self,
        partition: i32,
        found: StoredPartition,
        customers: usize,
        committed: Option<&Committed>,
        former: Replaced,
    ) -> Result<RebuildPlan, OpsError> {
        let ToolContext { config, topic, .. } = &self.tools;
        self.tools.check_currencies(partition, &found)?;
        let missing = self.tools.missing(partition, &found)?;
        let (stored, stored_progress) = (transactions_of(partition, &found), found.stored_progress);
        // If nothing says which topic the balances come from, it may be another one.
        let stored = if stored_progress.is_none() && committed.is_none() { Ok(stored?) } else { stored };
        drop(found.ledger);
        let known = Known {
            stored_progress: stored_progress.as_ref(),
            committed,
            has_customers: customers > 0,
            log: self.tools.bounds(&config.topic, partition)?,
            topic_id: &topic.topic_id,
            start_from: config.start_from,
            trusts_metadata: self.options.from_base,
        };
        let anew = |start_offset| LedgerRules::begin(&self.tools.worker_rules, start_offset);
        let to_fold = records_to_fold(&known).map_err(|why| cannot_rebuild(partition, &why))?;
        let (records, rules, other_topic) = match to_fold {
            RecordsToFold::Range(records) => {
                let stored_rules = stored_progress.and_then(|stored_progress| stored_progress.rules);
                let rules = stored_rules.unwrap_or_else(|| anew(records.start));
                (records, rules, None)
            }
            RecordsToFold::WholeTopic => {
                let progress = ProgressBar::new(known.log.end);
                progress.begin(format!("counting partition {partition}"));
                let folded = self.tools.fold(partition, known.log.clone(), None, &progress)?;
                progress.end();
                let given = folded.ledger.transactions();
                let other_topic = stored_progress.as_ref().map(|stored_progress| {
                    let topic_id = stored_progress.topic_id.clone();
                    stored.map(|stored| OtherTopic { partition, topic_id, stored, given })
                });
                // As far as is known, bad records were never dead-lettered. So the rebuild ends before the first one,
                // and a worker continues there.
                let end = folded.first_bad.unwrap_or(known.log.end);
                (known.log.start..end, anew(known.log.start), other_topic.transpose()?)
            }
        };
        let committed = committed.map(|committed| committed.offset);
        Ok(RebuildPlan { partition, records, committed, customers, rules, former, missing, other_topic })
    }

    /// Stored partitions beyond this topic's, whose balances come from the same topic as those in `others`.
    fn beyond_topic(&self, others: &[OtherTopic]) -> Result<Vec<OtherTopic>, OpsError> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let stored = match &self.tools.stored {
            StoredIn::Changelog(partitions) => *partitions,
            StoredIn::Postgres(_, inspector) => inspector.partitions()?,
        };
        let mut beyond = Vec::new();
        for partition in self.tools.topic.partition_count..stored {
            let found = self.tools.inspect(partition)?;
            let topic_id = found.stored_progress.as_ref().map(|stored_progress| stored_progress.topic_id.clone());
            if let Some(topic_id) = topic_id.filter(|id| others.iter().any(|other| other.topic_id == *id)) {
                beyond.push(OtherTopic { partition, topic_id, stored: transactions_of(partition, &found)?, given: 0 });
            }
        }
        Ok(beyond)
    }
}
