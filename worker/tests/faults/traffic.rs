//! Records that keep coming, whatever happens to the fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use balancefleet_e2e::stream::{Draws, Settings, Stream as Records};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::Stream;

/// In bursts: each costs every reader a fetch, and the fleet a commit.
const PAUSE: Duration = Duration::from_millis(100);
/// Brokers may be gone for a while; none of these records may be lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) records_per_second: u64,
    pub(crate) customers: u32,
    /// In percent.
    pub(crate) poison: f64,
}

impl Default for Load {
    fn default() -> Self {
        Self { seed: 1, records_per_second: 250, customers: 60, poison: 0.0 }
    }
}

/// A producer on a thread of its own.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    partitions: AtomicI32,
    sent: AtomicU64,
}

impl Traffic {
    pub(crate) fn start(stream: &Stream, load: Load) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &stream.bootstrap)
            // Not idempotent: while such a producer waits for its id, librdkafka's threads take all CPU, also the
            // brokers'. A record that is written twice is there twice for the oracle, too.
            .set("enable.idempotence", "false")
            .set("linger.ms", "20")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .set("topic.metadata.refresh.interval.ms", "1000")
            .create()
            .unwrap();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            partitions: AtomicI32::new(stream.partitions),
            sent: AtomicU64::new(0),
        });
        let (topic, of_thread) = (stream.topic.clone(), shared.clone());
        let thread = spawn(move || send(&producer, &topic, &load, &of_thread));
        Self { shared, thread: Some(thread) }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Sends to so many partitions from now on.
    pub(crate) fn spread(&self, partitions: i32) {
        self.shared.partitions.store(partitions, Ordering::Relaxed);
    }

    /// Ends when the brokers have everything.
    pub(crate) fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn send(producer: &BaseProducer, topic: &str, load: &Load, shared: &Shared) {
    let settings = Settings { seed: load.seed, customers: load.customers, ..Settings::default() };
    let (records, mut draws) = (Records::new(settings), Draws::new(load.seed, 9, 9));
    let (began, mut sent) = (Instant::now(), 0);
    while !shared.stop.load(Ordering::Relaxed) {
        let due = u64::try_from(began.elapsed().as_millis()).unwrap() * load.records_per_second / 1000;
        while sent < due {
            let good = records.record(sent).value.into_bytes();
            let is_bad = draws.unit() * 100.0 < load.poison;
            let value = if is_bad { spoil(&good, &mut draws) } else { Some(good) };
            let partition = draws.below(u64::try_from(shared.partitions.load(Ordering::Relaxed)).unwrap());
            let mut record = BaseRecord::<str, [u8]>::to(topic).partition(i32::try_from(partition).unwrap());
            record.payload = value.as_deref();
            while let Err((_, back)) = producer.send(record) {
                producer.poll(PAUSE);
                record = back;
            }
            sent += 1;
            shared.sent.store(sent, Ordering::Relaxed);
        }
        sleep(PAUSE);
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
}

/// One of the known kinds of records that are no transactions.
fn spoil(good: &[u8], draws: &mut Draws) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(good).unwrap();
    let amount = text.split(r#""amount":"#).nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let with = |from: &str, to: &str| Some(text.replacen(from, to, 1).into_bytes());
    match draws.below(8) {
        0 => None,
        1 => Some(good[..good.len() / 2].to_vec()),
        2 => with(amount, &format!("{amount}7")),
        3 => with(amount, "1e400"),
        4 => with("{", r#"{"amount":1.00,"#),
        5 => with(amount, r#""a lot""#),
        6 => with(r#""currency":"#, r#""currency":[1],"is":"#),
        _ => Some(format!("{}{text}", " ".repeat(900_000)).replace('}', "").into_bytes()),
    }
}
