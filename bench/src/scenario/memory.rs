//! What a customer takes: the memory of a worker that holds many customers, each in one partition, over that of a worker
//! that holds none.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use balancefleet_e2e::traffic::{Keying, create_topic};

use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::{BYTES_A_CUSTOMER, Figures, MEMORY};
use crate::subject::Ours;
use crate::topic::{self, Data, PARTITIONS};

const EMPTY: &str = "bench-memory-empty";
const FULL: &str = "bench-memory";
/// Of records; customers are drawn from a third as many, and nearly all of them come.
const RECORDS_A_CUSTOMER: u64 = 3;
/// What is needed only while records are read is given back by then.
const SETTLE: Duration = Duration::from_secs(3);

/// A topic and how many customers are in it.
pub(crate) struct Customers {
    data: Data,
    count: usize,
}

pub(super) fn measure(bench: &Bench, ours: Ours) -> Result<Figures, BenchError> {
    let customers = match bench.of_customers.get() {
        Some(customers) => customers,
        None => {
            let loaded = load(bench)?;
            bench.of_customers.get_or_init(|| loaded)
        }
    };
    let own = at_rest(bench, ours, EMPTY, 0)?;
    let memory = at_rest(bench, ours, FULL, customers.data.records)?;
    let bytes = (memory - own) / customers.count as f64;
    Ok(vec![(BYTES_A_CUSTOMER, bytes), (MEMORY, memory)])
}

fn load(bench: &Bench) -> Result<Customers, BenchError> {
    let records = bench.scale.records.max(RECORDS_A_CUSTOMER);
    let customers = u32::try_from(records / RECORDS_A_CUSTOMER).unwrap_or(u32::MAX);
    let stream = topic::stream(customers);
    let distinct: HashSet<_> = (0..records).map(|index| stream.record(index).customer_id).collect();
    create_topic(&bench.brokers, EMPTY, PARTITIONS)?;
    let data = topic::load(&bench.brokers, FULL, &stream, records, Keying::Customer, &bench.compression)?;
    Ok(Customers { data, count: distinct.len() })
}

/// The memory of a worker that has processed and committed the whole topic.
fn at_rest(bench: &Bench, ours: Ours, topic: &str, records: u64) -> Result<f64, BenchError> {
    let task = bench.task(ours, topic);
    let mut worker = bench.launch.start(&task)?;
    worker.await_active(PARTITIONS as usize)?;
    worker.await_metrics("the last record", |metrics| metrics.messages_consumed >= records)?;
    bench.await_committed(topic, &task.group)?;
    thread::sleep(SETTLE);
    let memory = worker.process.memory()?;
    worker.process.stop()?;
    Ok(memory as f64)
}
