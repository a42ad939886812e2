//! `balance-worker rebuild`: folds the input again, by the rules that are configured now, and replaces what the store has.
//!
//! Nothing is changed before it is certain that every partition can be rebuilt, and a person has agreed. From the first
//! change on, workers refuse the partitions that are not complete; a rebuild that was interrupted is run again.

use std::{
    collections::HashSet,
    io::{BufRead, IsTerminal, Write, stdin},
};

use balancefleet_kafka::{Admin, UsageRecord};
use tokio::runtime::Handle;

use super::{OpsError, Stored, TIMEOUT, Tools, grouped, member::as_only_member, progress::Progress, say};
use crate::{
    config::Config,
    failure::Failure,
    store::{Examined, Rewriter, Target},
};

/// One partition to rebuild.
struct Plan {
    target: Target,
    /// Keys with a value that the changelog has now.
    keys: HashSet<Box<[u8]>>,
    customers: usize,
}

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
    let plans = tools.plan()?;
    let records: i64 = plans.iter().map(|plan| plan.target.next_offset - plan.target.base).sum();
    let customers: usize = plans.iter().map(|plan| plan.customers).sum();
    say(
        out,
        &format!(
            "group {}, topic {}, changelog {}\n{} partitions: {} stored customers are to be replaced by what {} records give",
            config.group_id,
            config.topic,
            config.changelog_topic,
            plans.len(),
            grouped(customers),
            grouped(records)
        ),
    )?;
    if !is_agreed && !agrees(out)? {
        say(out, "nothing was changed")?;
        return Ok(());
    }
    let mut progress = Progress::new(records);
    let rebuilt = as_only_member(config, tools.topic.partition_count, |membership| {
        let rewriter = Rewriter::start(config, &tools.topic.topic_id, membership)?;
        rewriter.mark(plans.iter().map(|plan| &plan.target))?;
        tools.replace(&rewriter, plans, &mut progress).map_err(|error| OpsError::Interrupted(Box::new(error)))
    })?;
    progress.end();
    say(
        out,
        &format!(
            "rebuilt: {} customers out of {} records; the workers can be started",
            grouped(rebuilt),
            grouped(records)
        ),
    )
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

    /// Reads every changelog; one partition that cannot be rebuilt stops it all.
    fn plan(&self) -> Result<Vec<Plan>, OpsError> {
        let mut plans = Vec::new();
        let Stored::Changelog(stored) = self.stored else {
            let why =
                "this release rebuilds the store changelog only; with postgres, a group of another name begins anew";
            return Err(OpsError::Impossible(why.to_owned()));
        };
        if stored == 0 {
            let topic = &self.config.changelog_topic;
            return Err(OpsError::Impossible(format!(
                "there is no topic {topic} to rebuild: workers make it when they start"
            )));
        }
        for partition in 0..stored.min(self.topic.partition_count) {
            let mut keys: HashSet<Box<[u8]>> = HashSet::new();
            let found = self.changelog(stored, partition, |key, has_value| {
                if has_value {
                    keys.insert(key.into());
                } else {
                    keys.remove(key);
                }
            })?;
            let target = self.target(partition, &found)?;
            plans.push(Plan { target, keys, customers: found.ledger.len() });
        }
        Ok(plans)
    }

    /// Partition after partition; how many customers there are then.
    fn replace(&self, rewriter: &Rewriter<'_>, plans: Vec<Plan>, progress: &mut Progress) -> Result<usize, OpsError> {
        let mut customers = 0;
        for Plan { target, keys, .. } in plans {
            progress.begin(format!("partition {}", target.partition));
            let ledger = self.fold(target.partition, target.base..target.next_offset, progress)?;
            rewriter.replace(&target, keys, &ledger)?;
            customers += ledger.len();
        }
        Ok(customers)
    }

    /// Which records the balances are to be made of.
    fn target(&self, partition: i32, found: &Examined) -> Result<Target, OpsError> {
        let no = |why: String| OpsError::Impossible(format!("partition {partition} cannot be rebuilt: {why}"));
        if let Some(foreign @ Failure::ForeignChangelog { .. }) = &found.flaw {
            return Err(no(foreign.to_string()));
        }
        let log = self.bounds(&self.config.topic, partition)?;
        let asked = [(self.config.topic.clone(), partition)];
        let committed = self.admin.committed_offsets(&self.config.group_id, Some(&asked), true, TIMEOUT)?;
        let committed = committed.into_iter().next().and_then(|found| Some((found.offset?, found.metadata)));
        let standing = found.standing.as_ref();
        // Nothing of a topic that was made anew has been processed; workers begin with its first record.
        if standing.is_some_and(|standing| standing.topic_id != self.topic.topic_id) {
            return Ok(Target { partition, base: log.start, next_offset: log.start, leader_epoch: None });
        }
        let base_of = |metadata: &str| metadata.parse::<UsageRecord>().map_or(0, |usage| usage.base_offset);
        let (base, next_offset) = match (standing, &committed) {
            (Some(standing), Some((offset, _))) => (standing.base, *offset),
            (Some(standing), None) => (standing.base, standing.next_offset),
            (None, Some((offset, metadata))) => (base_of(metadata), *offset),
            (None, None) => (log.start, log.start),
        };
        let base = base.min(next_offset);
        if base < log.start && base < next_offset {
            let log_start = log.start;
            return Err(no(Failure::RetentionPassedBase { base, log_start }.to_string()));
        }
        if next_offset > log.end {
            return Err(no(Failure::CommittedBeyondEnd { committed: next_offset, log_end: log.end }.to_string()));
        }
        Ok(Target { partition, base, next_offset, leader_epoch: None })
    }
}
