//! A second start of a group that has processed everything: until all partitions are at work again.

use std::time::Duration;

use super::catch_up;
use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::{Figures, PEAK_MEMORY, RESTORE_PER_CPU, RESTORE_RATE, RESTORE_TIME, START_TO_ACTIVE, per};
use crate::java::Until;
use crate::peer::{Peer, Restore};
use crate::subject::{Ours, Store, Subject};
use crate::topic::{PARTITIONS, count};
use crate::worker::{Event, Task, changelog_of};

pub(super) fn measure(bench: &Bench, subject: Subject) -> Result<Figures, BenchError> {
    let group = finished_group(bench, subject)?;
    let restore = match subject {
        Subject::Worker(ours) => worker(bench, ours, group)?,
        Subject::Streams(form, tuning) => {
            let topic = &bench.data()?.topic;
            // Its state is gone, as after a crash under exactly-once or on another machine.
            let name = bench.fresh(&format!("{}-again", subject.slug()));
            let state = bench.scratch.path().join(&name);
            let mut command = bench.java.streams((form, tuning), topic, &group, &state, Until::Restored);
            Peer::start(&name, &mut command, &bench.logs)?.restore()?
        }
        Subject::Bare | Subject::BareBatch | Subject::JavaConsumer => return Err(BenchError::NoPart(subject)),
    };
    let rates =
        |records| [(RESTORE_RATE, per(records, restore.restoring)), (RESTORE_PER_CPU, per(records, restore.cpu))];
    let times = [
        (START_TO_ACTIVE, restore.start_to_active.as_secs_f64()),
        (RESTORE_TIME, restore.restoring.as_secs_f64()),
        (PEAK_MEMORY, restore.peak_memory as f64),
    ];
    Ok(restore.records.map(rates).into_iter().flatten().chain(times).collect())
}

/// A group that has processed everything: that of an earlier scenario when there is one.
fn finished_group(bench: &Bench, subject: Subject) -> Result<String, BenchError> {
    let known = |bench: &Bench| bench.finished.borrow().get(&subject).cloned();
    if let Some(group) = known(bench) {
        return Ok(group);
    }
    catch_up::run(bench, subject)?;
    Ok(known(bench).unwrap_or_default())
}

fn worker(bench: &Bench, ours: Ours, group: String) -> Result<Restore, BenchError> {
    let data = bench.data()?;
    let records = match ours.store {
        Store::Replay => Some(data.records),
        Store::Changelog => Some(count(&bench.brokers, &changelog_of(&group))?),
        // Its ledger stays in the database.
        Store::Postgres => None,
    };
    let name = bench.fresh(&format!("{}-again", Subject::Worker(ours).slug()));
    let mut worker = bench.launch.start(&Task { name, topic: data.topic.clone(), group, ours })?;
    worker.await_active(PARTITIONS as usize)?;
    let (start_to_active, cpu) = (worker.process.started.elapsed(), worker.process.cpu()?);
    let restoring = restoring(&worker.metrics()?.rebalancing_history);
    let peak_memory = worker.process.peak_memory()?;
    worker.process.stop()?;
    Ok(Restore { records, restoring, start_to_active, cpu, peak_memory })
}

/// From the assignment until the last of its partitions was active, as the worker notes it.
fn restoring(history: &[Event]) -> Duration {
    let millis = history.iter().filter(|event| event.event_type == "Assigned").filter_map(|event| event.restore_millis);
    Duration::from_millis(millis.max().unwrap_or_default())
}
