//! `balance-worker audit`: folds the input again up to the stored offset, and compares every customer.
//!
//! It joins no group and writes nothing, so it may run beside the workers.

use std::io::Write;

use balancefleet_kafka::Admin;
use tokio::runtime::Handle;

use super::{
    completeness::Missing,
    differences::differences,
    progress_bar::ProgressBar,
    reading::Folded,
    tools::{OpsError, ToolContext, grouped, print_line},
};
use crate::config::Config;

/// The most differences printed per partition.
const SHOWN: usize = 20;

/// The outcome for one partition.
enum Finding {
    /// The number of customers, and of records.
    Equal(usize, i64),
    Different,
    NotComparable,
}

/// Writes the report to `out`; returns whether every stored partition was compared and is equal.
pub(crate) fn audit(config: &Config, admin: &Admin, runtime: &Handle, out: &mut impl Write) -> Result<bool, OpsError> {
    let tools = ToolContext::open(config, admin, runtime)?;
    let partitions = 0..tools.topic.partition_count;
    let mut total = 0;
    for partition in partitions.clone() {
        let log = tools.bounds(&config.topic, partition)?;
        total += log.end - log.start;
    }
    let progress = ProgressBar::new(total);
    let (mut equal, mut customers, mut records) = (0, 0, 0);
    for partition in partitions.clone() {
        match tools.compare(partition, &progress, out)? {
            Finding::Equal(some_customers, some_records) => {
                equal += 1;
                customers += some_customers;
                records += some_records;
            }
            Finding::Different | Finding::NotComparable => {}
        }
    }
    progress.end();
    let (all, customers, records) = (partitions.len(), grouped(customers), grouped(records));
    // Nothing here has all partitions at once, so nobody knows which customers they share.
    let counts =
        format!("{customers} customers out of {records} records (a customer counts in each of its partitions)");
    print_line(out, &format!("{equal} of {all} partitions are equal: {counts}"))?;
    Ok(equal == all)
}

impl ToolContext<'_> {
    fn compare(&self, partition: i32, progress: &ProgressBar, out: &mut impl Write) -> Result<Finding, OpsError> {
        progress.begin(format!("partition {partition}"));
        let found = self.inspect(partition)?;
        let mut tell = |progress: &ProgressBar, line: String| progress.aside(|| print_line(out, &line));
        let is_flawed = found.flaws().next().is_some();
        for flaw in found.flaws() {
            tell(progress, format!("partition {partition}: NOT SOUND: {flaw}"))?;
        }
        let Some(stored_progress) = found.stored_progress else {
            if !is_flawed {
                tell(progress, format!("partition {partition}: nothing is stored yet"))?;
                return Ok(Finding::Equal(0, 0));
            }
            return Ok(Finding::NotComparable);
        };
        if !stored_progress.is_comparable {
            tell(progress, format!("partition {partition}: not compared: its balances are not complete"))?;
            return Ok(Finding::NotComparable);
        }
        let (log, wanted) =
            (self.bounds(&self.config.topic, partition)?, stored_progress.start_offset..stored_progress.next_offset);
        if wanted.start < log.start && !wanted.is_empty() {
            let gone = log.start;
            tell(
                progress,
                format!(
                    "partition {partition}: not compared: its balances are made of records from {} on, of which those below \
                     {gone} are gone (retention)",
                    wanted.start
                ),
            )?;
            return Ok(Finding::NotComparable);
        }
        let Folded { ledger: folded, refused, .. } =
            self.fold(partition, wanted.clone(), stored_progress.rules.as_ref(), progress)?;
        let different = differences(&found.ledger, &folded);
        let records = wanted.end - wanted.start;
        if let Some(missing) = Missing::between(&found.ledger, &folded) {
            tell(progress, format!("partition {partition}: NOT COMPARABLE: {missing}"))?;
        }
        let mut what = format!("{} customers, records {} to {}", grouped(folded.len()), wanted.start, wanted.end);
        if refused > 0 {
            let refused = grouped(refused);
            what.push_str(&format!("; {refused} of a currency that was unknown when they came do not count"));
        }
        if different.is_empty() {
            tell(progress, format!("partition {partition}: equal ({what})"))?;
            return Ok(if is_flawed { Finding::NotComparable } else { Finding::Equal(folded.len(), records) });
        }
        let noun = if different.len() == 1 { "DIFFERENCE" } else { "DIFFERENCES" };
        tell(progress, format!("partition {partition}: {} {noun} ({what})", grouped(different.len())))?;
        for difference in different.iter().take(SHOWN) {
            tell(progress, format!("  {}", difference.describe(&self.config.rules.exponents)))?;
        }
        if different.len() > SHOWN {
            tell(progress, format!("  and {} more", grouped(different.len() - SHOWN)))?;
        }
        Ok(Finding::Different)
    }
}
