//! A topic read from its first record to its end, by whoever.

use std::process::Command;
use std::time::Instant;

use balancefleet_e2e::oracle::Decimal;
use balancefleet_e2e::verify::Http as Balances;

use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::Run;
use crate::java::Until;
use crate::peer::Peer;
use crate::subject::{Ours, Subject};
use crate::topic::Data;
use crate::worker::Worker;

/// One run of the subject in a group of its own, which has then processed everything.
pub(crate) fn run(bench: &Bench, subject: Subject) -> Result<Run, BenchError> {
    let data = bench.data()?;
    let name = bench.fresh(&subject.slug());
    let peer = |mut command: Command| Peer::start(&name, &mut command, &bench.logs)?.run(data);
    let run = match subject {
        Subject::Worker(ours) => return worker(bench, ours, data),
        Subject::Bare | Subject::BareBatch => {
            let mut command = Command::new(&bench.program);
            command.args(["bare", &bench.brokers, &data.topic]);
            command.args((subject == Subject::BareBatch).then_some("--batch"));
            peer(command)
        }
        Subject::JavaConsumer => peer(bench.java.consumer(&data.topic)),
        Subject::Streams(form, tuning) => {
            let state = bench.scratch.path().join(&name);
            peer(bench.java.streams((form, tuning), &data.topic, &name, &state, Until::End))
        }
    }?;
    bench.finished.borrow_mut().insert(subject, name);
    Ok(run)
}

fn worker(bench: &Bench, ours: Ours, data: &Data) -> Result<Run, BenchError> {
    let task = bench.task(ours, &data.topic);
    let mut worker = bench.launch.start(&task)?;
    let before = worker.await_metrics("the first record", |metrics| metrics.messages_consumed > 0)?.messages_consumed;
    let (began, cpu_before) = (Instant::now(), worker.process.cpu()?);
    worker.await_metrics("the last record", |metrics| metrics.messages_consumed >= data.records)?;
    bench.await_committed(&task.topic, &task.group)?;
    let (wall, cpu) = (began.elapsed(), worker.process.cpu()?);
    let run = Run {
        counted: data.records.saturating_sub(before),
        wall,
        cpu: cpu.saturating_sub(cpu_before),
        records: data.records,
        cpu_with_start: cpu,
        peak_memory: worker.process.peak_memory()?,
    };
    check(&worker, data)?;
    worker.process.stop()?;
    bench.finished.borrow_mut().insert(Subject::Worker(ours), task.group);
    Ok(run)
}

/// The balances that the worker serves are those of the topic, by count and by sum.
fn check(worker: &Worker, data: &Data) -> Result<(), BenchError> {
    let balances = Balances::new(&format!("http://127.0.0.1:{}", worker.port))?.balances()?;
    let count: u64 = balances.rows.iter().map(|row| row.count).sum();
    data.must_hold(&worker.process.name, count, None)?;
    let amounts = balances.rows.iter().flat_map(|row| row.balances.values());
    let total = amounts.fold(Decimal::default(), |sum, amount| sum.plus(amount));
    if total == data.total() {
        return Ok(());
    }
    let (who, found, expected) = (worker.process.name.clone(), total.to_string(), data.total().to_string());
    Err(BenchError::Wrong { who, found, expected })
}
