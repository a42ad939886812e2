//! An even trickle of transactions into every partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use balancefleet_e2e::stream::Stream;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::error::BenchError;

/// Far beyond the records that a topic is loaded with.
const FIRST: u64 = 1_000_000_000;

/// Ends when dropped.
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A producer that waits for nothing to come together.
pub(crate) fn prompt_producer(brokers: &str) -> Result<BaseProducer, BenchError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("linger.ms", "0");
    Ok(config.create()?)
}

impl Feed {
    /// Sends one record to each partition `every` so often.
    pub(crate) fn start(
        brokers: &str,
        topic: &str,
        stream: Stream,
        partitions: u32,
        every: Duration,
    ) -> Result<Self, BenchError> {
        let (producer, topic) = (prompt_producer(brokers)?, topic.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("feed".into()).spawn(move || {
            let mut index = FIRST;
            while !stopped.load(Ordering::Relaxed) {
                for partition in 0..partitions as i32 {
                    let value = stream.record(index).value;
                    // A full queue only makes the trickle thinner.
                    let _ = producer.send(BaseRecord::<str, str>::to(&topic).partition(partition).payload(&value));
                    index += 1;
                }
                producer.poll(Duration::ZERO);
                thread::sleep(every);
            }
            // Nobody waits for the last ones.
            let _ = producer.flush(Duration::from_secs(5));
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Nothing depends on how it ended.
            let _ = thread.join();
        }
    }
}
