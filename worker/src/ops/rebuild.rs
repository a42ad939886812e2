//! `balance-worker rebuild`: folds the input again, by the rules that are configured now, and replaces what the store has.
//!
//! Nothing is changed before it is certain that every partition can be rebuilt, and a person has agreed. A rebuild that was
//! interrupted is run again. Until then workers refuse the partitions of a changelog that are not complete; in a database
//! each partition is replaced at once.

use std::{
    collections::HashSet,
    io::{BufRead, IsTerminal, Write, stdin},
};

use balancefleet_kafka::{Admin, GroupMetadata, UsageRecord};
use tokio::runtime::Handle;

use super::{OpsError, Stored, TIMEOUT, Tools, grouped, member::as_only_member, progress::Progress, say};
use crate::{
    config::Config,
    failure::Failure,
    ledger::Ledger,
    store::{Examined, Examiner, Replacer, Rewriter, Target},
};

/// One partition to rebuild.
struct Plan<F> {
    target: Target,
    customers: usize,
    /// What the store needs to know to replace what it has now.
    former: F,
}

/// Keys with a value that the changelog has.
type Keys = HashSet<Box<[u8]>>;

/// Where the row of a partition stands, if there is one.
type Row = Option<i64>;

/// Asks `out` unless `is_agreed`.
pub(crate) fn rebuild(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    is_agreed: bool,
    out: &mut impl Write,
) -> Result<(), OpsError> {
    let tools = Tools::take_up(config, admin, runtime)?;
    tools.check_that_nobody_works()?;
    match &tools.stored {
        Stored::Postgres(database, examiner) => {
            let (place, plans) = (format!("PostgreSQL at {}", database.place()), tools.plan_of_database(examiner)?);
            let mut replacer = Replacer::connect(config, database, &tools.topic.topic_id, runtime)?;
            tools.carry_out(&place, plans, is_agreed, out, |_, plans, progress| {
                tools.replace_in_database(&mut replacer, plans, progress)
            })
        }
        Stored::Changelog(partitions) => {
            let (place, plans) =
                (format!("changelog {}", config.changelog_topic), tools.plan_of_changelog(*partitions)?);
            tools.carry_out(&place, plans, is_agreed, out, |membership, plans, progress| {
                tools.replace_in_changelog(membership, plans, progress)
            })
        }
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

impl Tools<'_> {
    fn check_that_nobody_works(&self) -> Result<(), OpsError> {
        let group = self.config.group_id.as_str();
        let described = self.admin.describe_groups(&[group], TIMEOUT)?.into_iter().next();
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

    /// Says what is to be done, and does it once somebody has agreed; `work` gives how many customers there are then.
    fn carry_out<F>(
        &self,
        place: &str,
        plans: Vec<Plan<F>>,
        is_agreed: bool,
        out: &mut impl Write,
        work: impl FnOnce(&GroupMetadata, Vec<Plan<F>>, &mut Progress) -> Result<usize, OpsError>,
    ) -> Result<(), OpsError> {
        let records: i64 = plans.iter().map(|plan| plan.target.next_offset - plan.target.base).sum();
        let customers: usize = plans.iter().map(|plan| plan.customers).sum();
        let (group, topic, partitions) = (&self.config.group_id, &self.config.topic, plans.len());
        let (stored, given) = (grouped(customers), grouped(records));
        say(out, &format!("group {group}, topic {topic}, {place}"))?;
        let what = format!("{stored} stored customers are to be replaced by what {given} records give");
        say(out, &format!("{partitions} partitions: {what}"))?;
        if !is_agreed && !agrees(out)? {
            return say(out, "nothing was changed");
        }
        let mut progress = Progress::new(records);
        let rebuilt = as_only_member(self.config, self.topic.partition_count, |membership| {
            work(membership, plans, &mut progress)
        })?;
        progress.end();
        let rebuilt = grouped(rebuilt);
        say(out, &format!("rebuilt: {rebuilt} customers out of {given} records; the workers can be started"))
    }

    /// Reads every changelog; one partition that cannot be rebuilt stops it all.
    fn plan_of_changelog(&self, stored: i32) -> Result<Vec<Plan<Keys>>, OpsError> {
        if stored == 0 {
            let topic = &self.config.changelog_topic;
            return Err(OpsError::Impossible(format!(
                "there is no topic {topic} to rebuild: workers make it when they start"
            )));
        }
        let mut plans = Vec::new();
        for partition in 0..stored.min(self.topic.partition_count) {
            let mut keys = Keys::new();
            let found = self.changelog(stored, partition, |key, has_value| {
                if has_value {
                    keys.insert(key.into());
                } else {
                    keys.remove(key);
                }
            })?;
            let target = self.target(partition, &found, found.ledger.len())?;
            plans.push(Plan { target, customers: found.ledger.len(), former: keys });
        }
        Ok(plans)
    }

    /// Partition after partition; how many customers there are then.
    fn replace_in_changelog(
        &self,
        membership: &GroupMetadata,
        plans: Vec<Plan<Keys>>,
        progress: &mut Progress,
    ) -> Result<usize, OpsError> {
        let rewriter = Rewriter::start(self.config, &self.topic.topic_id, membership)?;
        rewriter.mark(plans.iter().map(|plan| &plan.target))?;
        let mut customers = 0;
        for Plan { target, former, .. } in plans {
            let replaced = self
                .fold_anew(&target, progress)
                .and_then(|ledger| Ok(rewriter.replace(&target, former, &ledger).map(|()| ledger.len())?));
            customers += replaced.map_err(|error| OpsError::Interrupted(Box::new(error)))?;
        }
        Ok(customers)
    }

    /// Looks at every partition; one that cannot be rebuilt stops it all.
    fn plan_of_database(&self, examiner: &Examiner) -> Result<Vec<Plan<Row>>, OpsError> {
        if !examiner.has_tables() {
            let why = "there are no tables to rebuild: workers make them when they start";
            return Err(OpsError::Impossible(why.to_owned()));
        }
        let mut plans = Vec::new();
        for partition in 0..self.topic.partition_count {
            let found = examiner.examine(partition, &self.topic.topic_id)?;
            let Some(standing) = &found.standing else {
                let customers = examiner.orphans(partition)?;
                if customers > 0 {
                    // They are deleted, and the first worker folds the records again: it is certain that it can.
                    self.target(partition, &found, customers)?;
                    let target = Target { partition, base: 0, next_offset: 0, leader_epoch: None };
                    plans.push(Plan { target, customers, former: None });
                }
                continue;
            };
            let (customers, former) = (found.ledger.len(), Some(standing.next_offset));
            let target = if standing.topic_id == self.topic.topic_id {
                self.target_in_log(partition, standing.base, standing.next_offset)?
            } else {
                self.target_of_whole_log(partition)?
            };
            plans.push(Plan { target, customers, former });
        }
        Ok(plans)
    }

    /// Partition after partition, each at once; how many customers there are then.
    fn replace_in_database(
        &self,
        replacer: &mut Replacer,
        plans: Vec<Plan<Row>>,
        progress: &mut Progress,
    ) -> Result<usize, OpsError> {
        let mut replace = |Plan { target, former, .. }: Plan<Row>| -> Result<usize, OpsError> {
            let ledger = self.fold_anew(&target, progress)?;
            if replacer.replace(&target, former, &ledger)? {
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

    fn fold_anew(&self, target: &Target, progress: &mut Progress) -> Result<Ledger, OpsError> {
        progress.begin(format!("partition {}", target.partition));
        self.fold(target.partition, target.base..target.next_offset, progress)
    }

    /// Which records the balances, now those of so many `customers`, are to be made of.
    fn target(&self, partition: i32, found: &Examined, customers: usize) -> Result<Target, OpsError> {
        if let Some(foreign @ Failure::ForeignChangelog { .. }) = &found.flaw {
            return Err(cannot(partition, foreign));
        }
        let asked = [(self.config.topic.clone(), partition)];
        let committed = self.admin.committed_offsets(&self.config.group_id, Some(&asked), true, TIMEOUT)?;
        let committed = committed.into_iter().next().and_then(|found| Some((found.offset?, found.metadata)));
        let standing = found.standing.as_ref();
        if standing.is_some_and(|standing| standing.topic_id != self.topic.topic_id) {
            return self.target_of_whole_log(partition);
        }
        let log_start = self.bounds(&self.config.topic, partition)?.start;
        let base_of = |metadata: &str| metadata.parse::<UsageRecord>().map_or(0, |usage| usage.base_offset);
        let (base, next_offset) = match (standing, &committed) {
            (Some(standing), Some((offset, _))) => (standing.base, *offset),
            (Some(standing), None) => (standing.base, standing.next_offset),
            (None, Some((offset, metadata))) => (base_of(metadata), *offset),
            (None, None) if customers > 0 => return self.target_of_whole_log(partition),
            (None, None) => (log_start, log_start),
        };
        self.target_in_log(partition, base, next_offset)
    }

    /// Nothing of a topic that was made anew has been processed, and of customers that nothing is known of anything may have
    /// been; workers begin with the first record. It has to be there: else somebody has to decide to begin with a later one.
    fn target_of_whole_log(&self, partition: i32) -> Result<Target, OpsError> {
        let log_start = self.bounds(&self.config.topic, partition)?.start;
        if log_start > 0 {
            return Err(cannot(partition, &Failure::RetentionPassedBase { base: 0, log_start }));
        }
        Ok(Target { partition, base: 0, next_offset: 0, leader_epoch: None })
    }

    fn target_in_log(&self, partition: i32, base: i64, next_offset: i64) -> Result<Target, OpsError> {
        let log = self.bounds(&self.config.topic, partition)?;
        let base = base.min(next_offset);
        if base < log.start && base < next_offset {
            return Err(cannot(partition, &Failure::RetentionPassedBase { base, log_start: log.start }));
        }
        if next_offset > log.end {
            return Err(cannot(partition, &Failure::CommittedBeyondEnd { committed: next_offset, log_end: log.end }));
        }
        Ok(Target { partition, base, next_offset, leader_epoch: None })
    }
}

fn cannot(partition: i32, why: &Failure) -> OpsError {
    OpsError::Impossible(format!("partition {partition} cannot be rebuilt: {why}"))
}
