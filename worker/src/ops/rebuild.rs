//! `balance-worker rebuild`: folds the input again, by the rules that are configured now, and replaces what the store has.
//!
//! Nothing is changed before it is certain that every partition can be rebuilt, and a person has agreed. What is missing of
//! the store is made then. Each partition is replaced at once, by the commit of the store that workers use; a rebuild that
//! was interrupted is run again.

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
    completeness::{Missing, cannot, transactions_of},
    member::{as_only_member, consumer},
    progress::Progress,
    reading::Folded,
    tools::{OpsError, Stored, TIMEOUT, Tools, grouped, say},
};
use crate::{
    config::{Config, RebuildOptions},
    domain::{ledger::Ledger, ledger_rules::LedgerRules},
    kafka_clients::GroupConsumer,
    partition_failure::PartitionFailure,
    postgres_target::DatabaseTarget,
    preflight::PreflightError,
    store::{
        Assignment, Batch, Changelog, CommitError, Committed, Epoch, Keys, Postgres, Progress as Commit, Replace,
        Store, StoreInspector, StoredPartition, Unfit, prepare_changelog, prepare_postgres,
    },
};
use another::OtherTopic;
use target::{Aim, Known, aim};

/// So often a commit is tried: the batches of each may be smaller than those before.
const TRIES: u32 = 20;
const AGAIN: Duration = Duration::from_millis(200);

/// One partition to rebuild.
struct RebuildPlan<F> {
    partition: i32,
    /// What its ledger is to be made of.
    records: Range<i64>,
    /// What the group has committed, where that moves with the balances.
    committed: Option<i64>,
    customers: usize,
    /// By which the ledger was made.
    rules: LedgerRules,
    /// What the store needs to know to replace what it has now.
    former: F,
    /// What the log does not give any more of what the store has counted.
    missing: Option<Missing>,
    /// What two topics give, if what it has is made of another one.
    other_topic: Option<OtherTopic>,
}

struct Rebuild<'a> {
    tools: Tools<'a>,
    runtime: &'a Handle,
    options: RebuildOptions,
    consumer: Arc<GroupConsumer>,
}

/// Asks `out` unless the options say that somebody has agreed.
pub(crate) fn rebuild(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    options: RebuildOptions,
    out: &mut impl Write,
) -> Result<(), OpsError> {
    let tools = Tools::take_up(config, admin, runtime)?;
    let rebuild = Rebuild { tools, runtime, options, consumer: consumer(config)? };
    rebuild.check_that_nobody_works()?;
    match &rebuild.tools.stored {
        Stored::Postgres(database, inspector) => rebuild.database(database, inspector, out),
        Stored::Changelog(partitions) => rebuild.changelog(*partitions, out),
    }
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

impl Rebuild<'_> {
    fn check_that_nobody_works(&self) -> Result<(), OpsError> {
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
            "group {group} has {members} members: stop the workers first, for example with spec.replicas: 0, and wait a \
             session timeout for those that were killed"
        )))
    }

    fn changelog(&self, stored: i32, out: &mut impl Write) -> Result<(), OpsError> {
        let Tools { config, admin, topic, .. } = &self.tools;
        let store = Changelog::new(config, &topic.topic_id, (*admin).clone(), self.consumer.clone(), self.runtime);
        let store = store.of_rebuilds();
        // What one before this has left open would hold up the reading.
        if stored > 0 {
            store.open()?;
        }
        let plans = self.plan_of_changelog(stored)?;
        let prepare = || match prepare_changelog(config, admin, self.runtime, topic.partition_count, true) {
            Err(Unfit::Kafka(error)) => Err(error.into()),
            prepared => Ok(prepared.map_err(PreflightError::Changelog)?),
        };
        self.carry_out(&format!("changelog {}", config.changelog_topic), &store, plans, prepare, out)
    }

    fn database(
        &self,
        database: &DatabaseTarget,
        inspector: &StoreInspector,
        out: &mut impl Write,
    ) -> Result<(), OpsError> {
        let Tools { config, admin, topic, .. } = &self.tools;
        // First of all it is known whether this user may.
        inspector.may_replace()?;
        let store =
            Postgres::new(config, &topic.topic_id, database, (*admin).clone(), self.consumer.clone(), self.runtime);
        let plans = self.plan_of_database(inspector)?;
        let prepare = || Ok(prepare_postgres(database, self.runtime, true)?);
        self.carry_out(&format!("PostgreSQL at {}", database.place()), &store, plans, prepare, out)
    }

    /// Says what is to be done, and does it once somebody has agreed; `prepare` makes what is missing of the store.
    fn carry_out<S: Replace>(
        &self,
        place: &str,
        store: &S,
        plans: Vec<RebuildPlan<S::Former>>,
        prepare: impl FnOnce() -> Result<(), OpsError>,
        out: &mut impl Write,
    ) -> Result<(), OpsError> {
        let Config { group_id: group, topic, .. } = self.tools.config;
        let records: i64 = plans.iter().map(|plan| plan.records.end - plan.records.start).sum();
        let customers: usize = plans.iter().map(|plan| plan.customers).sum();
        let (stored, given, partitions) = (grouped(customers), grouped(records), plans.len());
        let mut others: Vec<_> = plans.iter().filter_map(|plan| plan.other_topic.clone()).collect();
        others.extend(self.beyond(&others)?);
        say(out, &format!("group {group}, topic {topic}, {place}"))?;
        let is_database = matches!(self.tools.stored, Stored::Postgres(..));
        for line in another::describe(&others, &self.tools.topic.topic_id, is_database) {
            say(out, &line)?;
        }
        let missing: Vec<_> = plans.iter().filter_map(|plan| Some((plan.partition, plan.missing?))).collect();
        another::check(&others, &missing, &self.options).map_err(OpsError::Impossible)?;
        let what = format!("{stored} stored customers are to be replaced by what {given} records give");
        say(out, &format!("{partitions} partitions: {what}"))?;
        if !self.options.is_agreed && !agrees(out)? {
            return say(out, "nothing was changed");
        }
        let progress = Progress::new(records);
        let Tools { config, admin, topic, .. } = &self.tools;
        let rebuilt = as_only_member(&self.consumer, config, admin, topic.partition_count, |membership| {
            prepare()?;
            self.replace_all(store, membership, plans, &progress)
        })?;
        progress.end();
        let rebuilt = grouped(rebuilt);
        say(out, &format!("rebuilt: {rebuilt} customers out of {given} records; the workers can be started"))
    }

    /// Reads every changelog; one partition that cannot be rebuilt stops it all.
    fn plan_of_changelog(&self, stored: i32) -> Result<Vec<RebuildPlan<Keys>>, OpsError> {
        let (mut plans, mut is_anything) = (Vec::new(), false);
        for partition in 0..self.tools.topic.partition_count {
            let mut keys = Keys::new();
            let found = self.tools.changelog(stored, partition, |key, has_value| {
                if has_value {
                    keys.insert(key.into());
                } else {
                    keys.remove(key);
                }
            })?;
            if let Some(foreign @ PartitionFailure::ForeignChangelog { .. }) = &found.not_ours {
                return Err(cannot(partition, foreign));
            }
            let committed = self.committed(partition)?;
            is_anything |= committed.is_some() || !keys.is_empty();
            let customers = found.ledger.len();
            plans.push(self.plan(partition, found, customers, committed.as_ref(), keys)?);
        }
        let topic = &self.tools.config.changelog_topic;
        let place = if stored == 0 { format!("there is no topic {topic}") } else { format!("{topic} is empty") };
        if is_anything { Ok(plans) } else { Err(self.nothing(&place)) }
    }

    fn nothing(&self, place: &str) -> OpsError {
        let Config { group_id, topic, .. } = self.tools.config;
        OpsError::Impossible(format!(
            "there is nothing to rebuild: {place}, and group {group_id} has committed nothing on topic {topic}; the workers make \
             what they need when they start"
        ))
    }

    /// Looks at every partition; one that cannot be rebuilt stops it all. One of which there is nothing at all is left to
    /// its first worker.
    fn plan_of_database(&self, inspector: &StoreInspector) -> Result<Vec<RebuildPlan<Option<i64>>>, OpsError> {
        let mut plans = Vec::new();
        for partition in 0..self.tools.topic.partition_count {
            let found = self.tools.inspect(partition)?;
            let Some(stored_progress) = &found.stored_progress else {
                let (customers, committed) = (inspector.orphans(partition)?, self.committed(partition)?);
                if customers > 0 || committed.is_some() {
                    plans.push(self.plan(partition, found, customers, committed.as_ref(), None)?);
                }
                continue;
            };
            let (customers, former) = (found.ledger.len(), Some(stored_progress.next_offset));
            // The group's offset follows the row, and decides nothing.
            plans.push(self.plan(partition, found, customers, None, former)?);
        }
        let place = if inspector.has_tables() { "the tables have nothing of it" } else { "there are no tables" };
        if plans.is_empty() { Err(self.nothing(place)) } else { Ok(plans) }
    }

    /// Partition after partition, each at once; how many customers there are then.
    fn replace_all<S: Replace>(
        &self,
        store: &S,
        membership: GroupMetadata,
        plans: Vec<RebuildPlan<S::Former>>,
        progress: &Progress,
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

    fn replace<S: Replace>(
        &self,
        store: &S,
        batch: &mut Batch,
        RebuildPlan { partition, records, committed, rules, former, .. }: RebuildPlan<S::Former>,
        progress: &Progress,
    ) -> Result<usize, OpsError> {
        progress.begin(format!("partition {partition}"));
        let (ledger, rules) = self.fold_anew(partition, &records, &rules, progress)?;
        let customers = ledger.len();
        progress.begin(format!("partition {partition}, writing {} customers", grouped(customers)));
        let assignment = Assignment { partition, epoch: Epoch(0), generation: batch.membership.generation() };
        store.replace(assignment, former, records.start, rules)?;
        batch.parts = vec![Commit::whole(assignment, committed, &records, ledger)];
        for _ in 1..TRIES {
            match store.commit(batch) {
                Err(CommitError::Unavailable(error)) => tracing::warn!(partition, error, "commit failed, will retry"),
                outcome => return Ok(outcome.map(|()| customers)?),
            }
            std::thread::sleep(AGAIN);
        }
        Ok(store.commit(batch).map(|()| customers)?)
    }

    /// The ledger, and by which rules it is made: what was refused while its currency was unknown stays so, unless it is to
    /// be counted now.
    fn fold_anew(
        &self,
        partition: i32,
        records: &Range<i64>,
        former: &LedgerRules,
        progress: &Progress,
    ) -> Result<(Ledger, LedgerRules), OpsError> {
        let book = &self.tools.book;
        let anew = LedgerRules::begin(book, records.start);
        let former = if self.options.recount { &anew } else { former };
        let Folded { ledger, refused, .. } = self.tools.fold(partition, records.clone(), Some(former), progress)?;
        if refused > 0 {
            tracing::warn!(
                partition,
                records = refused,
                "records of a currency that was unknown when they came stay refused: rebuild --recount counts them"
            );
        }
        let rules = former.rebuilt(book, records.start, records.end, &ledger);
        Ok((ledger, rules))
    }

    /// What the group has committed of a partition.
    fn committed(&self, partition: i32) -> Result<Option<Committed>, OpsError> {
        let Tools { config, admin, .. } = &self.tools;
        let asked = [(config.topic.clone(), partition)];
        let found = admin.committed_offsets(&config.group_id, Some(&asked), true, TIMEOUT)?.into_iter().next();
        Ok(found.map(Committed::read).transpose()?.flatten())
    }

    /// Which records the balances, now those of so many `customers`, are to be made of.
    fn plan<F>(
        &self,
        partition: i32,
        found: StoredPartition,
        customers: usize,
        committed: Option<&Committed>,
        former: F,
    ) -> Result<RebuildPlan<F>, OpsError> {
        let Tools { config, topic, .. } = &self.tools;
        self.tools.check_currencies(partition, &found)?;
        let missing = self.tools.missing(partition, &found)?;
        let (stored, stored_progress) = (transactions_of(partition, &found), found.stored_progress);
        // Where nothing says which topic they are made of, it may be another one.
        let stored = if stored_progress.is_none() && committed.is_none() { Ok(stored?) } else { stored };
        drop(found.ledger);
        let known = Known {
            stored_progress: stored_progress.as_ref(),
            committed,
            has_customers: customers > 0,
            log: self.tools.bounds(&config.topic, partition)?,
            topic_id: &topic.topic_id,
            start_from: config.start_from,
            trusts_base: self.options.from_base,
        };
        let anew = |base| LedgerRules::begin(&self.tools.book, base);
        let (records, rules, other_topic) = match aim(&known).map_err(|why| cannot(partition, &why))? {
            Aim::Records(records) => {
                let told = stored_progress.and_then(|stored_progress| stored_progress.rules);
                let rules = told.unwrap_or_else(|| anew(records.start));
                (records, rules, None)
            }
            Aim::WholeTopic => {
                let progress = Progress::new(known.log.end);
                progress.begin(format!("counting partition {partition}"));
                let folded = self.tools.fold(partition, known.log.clone(), None, &progress)?;
                progress.end();
                let given = folded.ledger.transactions();
                let other_topic = stored_progress.as_ref().map(|stored_progress| {
                    let topic_id = stored_progress.topic_id.clone();
                    stored.map(|stored| OtherTopic { partition, topic_id, stored, given })
                });
                // A record that cannot be applied was never dead-lettered, as far as is known: a worker begins there, and does.
                let end = folded.first_bad.unwrap_or(known.log.end);
                (known.log.start..end, anew(known.log.start), other_topic.transpose()?)
            }
        };
        let committed = committed.map(|committed| committed.offset);
        Ok(RebuildPlan { partition, records, committed, customers, rules, former, missing, other_topic })
    }

    /// What the store has of partitions that this topic does not have, made of a topic that `others` are made of.
    fn beyond(&self, others: &[OtherTopic]) -> Result<Vec<OtherTopic>, OpsError> {
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let stored = match &self.tools.stored {
            Stored::Changelog(partitions) => *partitions,
            Stored::Postgres(_, inspector) => inspector.partitions()?,
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
