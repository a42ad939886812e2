//! A worker with 64 partitions and nothing to do.

use std::thread;
use std::time::{Duration, Instant};

use balancefleet_e2e::traffic::create_topic;

use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::{CORE, Figures, MEMORY, PEAK_MEMORY};
use crate::subject::Ours;

const PARTITIONS: u32 = 64;
/// Start and first commits are over by then.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) fn measure(bench: &Bench, ours: Ours) -> Result<Figures, BenchError> {
    let topic = "bench-idle";
    create_topic(&bench.brokers, topic, PARTITIONS)?;
    let mut worker = bench.launch.start(&bench.task(ours, topic))?;
    worker.await_active(PARTITIONS as usize)?;
    thread::sleep(SETTLE);
    let (began, before) = (Instant::now(), worker.process.cpu()?);
    thread::sleep(bench.scale.idle);
    let used = worker.process.cpu()?.saturating_sub(before);
    let share = used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let figures = vec![
        (CORE, share),
        (MEMORY, worker.process.memory()? as f64),
        (PEAK_MEMORY, worker.process.peak_memory()? as f64),
    ];
    worker.process.stop()?;
    Ok(figures)
}
