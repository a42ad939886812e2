//! `balance-worker rebuild`: folds the input again, by the rules that are configured now, and replaces what the store has.
//!
//! Nothing is changed before it is certain that every partition can be rebuilt, and a person has agreed. What is missing of
//! the store is made then. A rebuild that was interrupted is run again. Until then workers refuse the partitions of a
//! changelog that are not complete; in a database each partition is replaced at once.

mod another;
mod target;

use std::{
    collections::HashSet,
    io::{BufRead, IsTerminal, Write, stdin},
};

use balancefleet_kafka::{Admin, GroupMetadata};
use tokio::runtime::Handle;

use super::{
    completeness::{Missing, cannot, transactions_of},
    member::as_only_member,
    progress::Progress,
    reading::Folded,
    tools::{OpsError, Stored, TIMEOUT, Tools, grouped, say},
};
use crate::{
    config::{Config, RebuildOptions},
    domain::{ledger::Ledger, ledger_rules::LedgerRules},
    partition_failure::PartitionFailure,
    postgres_target::DatabaseTarget,
    preflight::PreflightError,
    store::{
        Committed, Replacer, Rewriter, StoreInspector, StoredPartition, Target, Unfit, prepare_changelog,
        prepare_postgres,
    },
};
use another::OtherTopic;
use target::{Aim, Known, aim};

/// One partition to rebuild.
struct RebuildPlan<F> {
    target: Target,
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

/// Keys with a value that the changelog has.
type Keys = HashSet<Box<[u8]>>;

/// Where the row of a partition stands, if there is one.
type Row = Option<i64>;

struct Rebuild<'a> {
    tools: Tools<'a>,
    runtime: &'a Handle,
    options: RebuildOptions,
}

/// Asks `out` unless the options say that somebody has agreed.
pub(crate) fn rebuild(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    options: RebuildOptions,
    out: &mut impl Write,
) -> Result<(), OpsError> {
    let rebuild = Rebuild { tools: Tools::take_up(config, admin, runtime)?, runtime, options };
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
        let plans = self.plan_of_changelog(stored)?;
        let config = self.tools.config;
        self.carry_out(&format!("changelog {}", config.changelog_topic), plans, out, |membership, plans, progress| {
            let Tools { admin, topic, .. } = &self.tools;
            prepare_changelog(config, admin, topic.partition_count, true).map_err(|unfit| match unfit {
                Unfit::Kafka(error) => OpsError::from(error),
                unfit => PreflightError::Changelog(unfit).into(),
            })?;
            self.replace_in_changelog(membership, plans, progress)
        })
    }

    fn database(
        &self,
        database: &DatabaseTarget,
        inspector: &StoreInspector,
        out: &mut impl Write,
    ) -> Result<(), OpsError> {
        let connect = || {
            let Tools { config, book, topic, .. } = &self.tools;
            Replacer::connect(config, book, database, &topic.topic_id, self.runtime)
        };
        // First of all it is known whether this user may.
        let replacer = inspector.has_tables().then(connect).transpose()?;
        let plans = self.plan_of_database(inspector)?;
        self.carry_out(&format!("PostgreSQL at {}", database.place()), plans, out, |_, plans, progress| {
            let mut replacer = match replacer {
                Some(replacer) => replacer,
                None => {
                    prepare_postgres(database, self.runtime, true)?;
                    connect()?
                }
            };
            self.replace_in_database(&mut replacer, plans, progress)
        })
    }

    /// Says what is to be done, and does it once somebody has agreed; `work` gives how many customers there are then.
    fn carry_out<F>(
        &self,
        place: &str,
        plans: Vec<RebuildPlan<F>>,
        out: &mut impl Write,
        work: impl FnOnce(&GroupMetadata, Vec<RebuildPlan<F>>, &mut Progress) -> Result<usize, OpsError>,
    ) -> Result<(), OpsError> {
        let Config { group_id: group, topic, .. } = self.tools.config;
        let records: i64 = plans.iter().map(|plan| plan.target.next_offset - plan.target.base).sum();
        let customers: usize = plans.iter().map(|plan| plan.customers).sum();
        let (stored, given, partitions) = (grouped(customers), grouped(records), plans.len());
        let mut others: Vec<_> = plans.iter().filter_map(|plan| plan.other_topic.clone()).collect();
        others.extend(self.beyond(&others)?);
        say(out, &format!("group {group}, topic {topic}, {place}"))?;
        let is_database = matches!(self.tools.stored, Stored::Postgres(..));
        for line in another::describe(&others, &self.tools.topic.topic_id, is_database) {
            say(out, &line)?;
        }
        let missing: Vec<_> = plans.iter().filter_map(|plan| Some((plan.target.partition, plan.missing?))).collect();
        another::check(&others, &missing, &self.options).map_err(OpsError::Impossible)?;
        let what = format!("{stored} stored customers are to be replaced by what {given} records give");
        say(out, &format!("{partitions} partitions: {what}"))?;
        if !self.options.is_agreed && !agrees(out)? {
            return say(out, "nothing was changed");
        }
        let mut progress = Progress::new(records);
        let rebuilt =
            as_only_member(self.tools.config, self.tools.admin, self.tools.topic.partition_count, |membership| {
                work(membership, plans, &mut progress)
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

    /// Partition after partition; how many customers there are then.
    fn replace_in_changelog(
        &self,
        membership: &GroupMetadata,
        plans: Vec<RebuildPlan<Keys>>,
        progress: &mut Progress,
    ) -> Result<usize, OpsError> {
        let Tools { config, admin, book, topic, .. } = &self.tools;
        let mut rewriter = Rewriter::start(config, &topic.topic_id, book, membership, admin)?;
        rewriter.mark(plans.iter().map(|plan| (&plan.target, &plan.rules)))?;
        let mut customers = 0;
        for RebuildPlan { target, rules: former_rules, former, .. } in plans {
            let replaced = self.fold_anew(&target, &former_rules, progress).and_then(|(ledger, rules)| {
                rewriter.replace(&target, former, &former_rules, &ledger, &rules)?;
                Ok(ledger.len())
            });
            customers += replaced.map_err(|error| OpsError::Interrupted(Box::new(error)))?;
        }
        Ok(customers)
    }

    /// Looks at every partition; one that cannot be rebuilt stops it all. One of which there is nothing at all is left to
    /// its first worker.
    fn plan_of_database(&self, inspector: &StoreInspector) -> Result<Vec<RebuildPlan<Row>>, OpsError> {
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
    fn replace_in_database(
        &self,
        replacer: &mut Replacer,
        plans: Vec<RebuildPlan<Row>>,
        progress: &mut Progress,
    ) -> Result<usize, OpsError> {
        let mut replace = |RebuildPlan { target, rules, former, .. }: RebuildPlan<Row>| -> Result<usize, OpsError> {
            let (ledger, rules) = self.fold_anew(&target, &rules, progress)?;
            if replacer.replace(&target, former, &ledger, &rules)? {
                return Ok(ledger.len());
            }
            let partition = target.partition;
            Err(OpsError::Impossible(format!(
                "somebody has worked on partition {partition} meanwhile: stop the workers"
            )))
        };
        let mut customers = 0;
        for plan in plans {
            customers += replace(plan).map_err(|error| OpsError::Halfway(Box::new(error)))?;
        }
        Ok(customers)
    }

    /// The ledger, and by which rules it is made: what was refused while its currency was unknown stays so, unless it is to
    /// be counted now.
    fn fold_anew(
        &self,
        target: &Target,
        former: &LedgerRules,
        progress: &mut Progress,
    ) -> Result<(Ledger, LedgerRules), OpsError> {
        let (Target { partition, base, next_offset, .. }, book) = (*target, &self.tools.book);
        progress.begin(format!("partition {partition}"));
        let anew = LedgerRules::begin(book, base);
        let former = if self.options.recount { &anew } else { former };
        let Folded { ledger, refused, .. } = self.tools.fold(partition, base..next_offset, Some(former), progress)?;
        if refused > 0 {
            tracing::warn!(
                partition,
                records = refused,
                "records of a currency that was unknown when they came stay refused: rebuild --recount counts them"
            );
        }
        let rules = former.rebuilt(book, base, next_offset, &ledger);
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
        let target = |base, next_offset| Target { partition, base, next_offset, leader_epoch: None };
        let anew = |base| LedgerRules::begin(&self.tools.book, base);
        match aim(&known).map_err(|why| cannot(partition, &why))? {
            Aim::Records(records) => {
                let rules = stored_progress
                    .and_then(|stored_progress| stored_progress.rules)
                    .unwrap_or_else(|| anew(records.start));
                Ok(RebuildPlan {
                    target: target(records.start, records.end),
                    customers,
                    rules,
                    former,
                    missing,
                    other_topic: None,
                })
            }
            Aim::WholeTopic => {
                let mut progress = Progress::new(known.log.end);
                progress.begin(format!("counting partition {partition}"));
                let folded = self.tools.fold(partition, known.log.clone(), None, &mut progress)?;
                progress.end();
                let given = folded.ledger.transactions();
                let other_topic = stored_progress.as_ref().map(|stored_progress| {
                    let topic_id = stored_progress.topic_id.clone();
                    stored.map(|stored| OtherTopic { partition, topic_id, stored, given })
                });
                let other_topic = other_topic.transpose()?;
                // A record that cannot be applied was never dead-lettered, as far as is known: a worker begins there, and does.
                let end = folded.first_bad.unwrap_or(known.log.end);
                let rules = anew(known.log.start);
                Ok(RebuildPlan { target: target(known.log.start, end), customers, rules, former, missing, other_topic })
            }
        }
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
