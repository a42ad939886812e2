//! Produce → visible by REST, while 10 000 records a second go through.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use balancefleet_e2e::traffic::{Interrupt, Keying, Pace, Sender, create_topic};
use rdkafka::producer::{BaseProducer, BaseRecord};
use serde::Deserialize;

use crate::bench::Bench;
use crate::error::BenchError;
use crate::feed::prompt_producer;
use crate::figures::{CORE, Figures, LONGEST, P50, P99};
use crate::http::Http;
use crate::statistics::percentile;
use crate::subject::Ours;
use crate::topic::PARTITIONS;
use crate::worker::Worker;

const RATE: u32 = 10_000;
/// Before the first probe.
const WARM_UP: Duration = Duration::from_secs(2);
/// Milliseconds between two probes. At random: with a fixed pause, each probe would come at the same time between two
/// commits.
const PAUSE_MILLIS: Range<u64> = 20..60;
/// Between two looks, and so the resolution.
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn measure(bench: &Bench, ours: Ours) -> Result<Figures, BenchError> {
    let topic = bench.fresh("bench-latency");
    create_topic(&bench.brokers, &topic, PARTITIONS)?;
    let mut worker = bench.launch.start(&bench.task(ours, &topic))?;
    worker.await_active(PARTITIONS as usize)?;
    let sender = Sender::new(&bench.brokers, &topic, Keying::Transaction)?;
    let mut prober = Prober::new(&bench.brokers, &topic, worker.port)?;
    let (interrupt, stream) = (Interrupt::default(), bench.stream());
    let count = u64::from(RATE) * 600;
    let (latencies, share) = thread::scope(|scope| {
        let traffic = scope.spawn(|| sender.run(&stream, 0..count, &Pace::steady(RATE, count), &interrupt, None));
        thread::sleep(WARM_UP);
        let measured = probe_and_measure(&mut prober, &worker, bench.scale.latency);
        interrupt.raise();
        // Traffic that ended early would make every figure look good.
        traffic.join().map(|sent| sent.map_err(BenchError::from)).unwrap_or_else(|_| Err(gone()))?;
        measured
    })?;
    worker.process.stop()?;
    let values = [(P50, 50), (P99, 99), (LONGEST, 100)];
    let percentiles =
        values.into_iter().filter_map(|(quantity, percent)| Some((quantity, percentile(&latencies, percent)?)));
    Ok(percentiles.chain([(CORE, share)]).collect())
}

/// The latencies, and the share of a core that the worker took meanwhile, in percent.
fn probe_and_measure(prober: &mut Prober, worker: &Worker, time: Duration) -> Result<(Vec<f64>, f64), BenchError> {
    let (began, before) = (Instant::now(), worker.process.cpu()?);
    let latencies = prober.probe(time)?;
    let used = worker.process.cpu()?.saturating_sub(before);
    Ok((latencies, used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0))
}

fn gone() -> BenchError {
    std::io::Error::other("the thread of the traffic panicked").into()
}

/// Sends transactions of a customer of its own and looks for them.
struct Prober {
    producer: BaseProducer,
    topic: String,
    http: Http,
    sent: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Balance {
    transaction_count: u64,
}

impl Prober {
    fn new(brokers: &str, topic: &str, port: u16) -> Result<Self, BenchError> {
        Ok(Self { producer: prompt_producer(brokers)?, topic: topic.to_owned(), http: Http::new(port)?, sent: 0 })
    }

    /// Seconds until visible, of one probe after another.
    fn probe(&mut self, time: Duration) -> Result<Vec<f64>, BenchError> {
        let began = Instant::now();
        let mut latencies = Vec::new();
        while began.elapsed() < time {
            latencies.push(self.one()?.as_secs_f64());
            thread::sleep(Duration::from_millis(rand::random_range(PAUSE_MILLIS)));
        }
        Ok(latencies)
    }

    fn one(&mut self) -> Result<Duration, BenchError> {
        self.sent += 1;
        let (value, partition) = (probe(self.sent), (self.sent % u64::from(PARTITIONS)) as i32);
        let record = BaseRecord::<str, str>::to(&self.topic).partition(partition).payload(&value);
        let began = Instant::now();
        self.producer.send(record).map_err(|(error, _)| error)?;
        while self.visible()? < self.sent {
            if began.elapsed() > PATIENCE {
                let what = format!("probe {} of {}", self.sent, self.topic);
                return Err(BenchError::NotInTime { what, patience: PATIENCE, state: "not visible".into() });
            }
            self.producer.poll(Duration::ZERO);
            thread::sleep(LOOK);
        }
        Ok(began.elapsed())
    }

    /// How many of the probes are in the balance.
    fn visible(&self) -> Result<u64, BenchError> {
        match self.http.get("/api/Balance/balances/PROBE")? {
            (200, body) => Ok(serde_json::from_str::<Balance>(&body)?.transaction_count),
            (404, _) => Ok(0),
            (status, body) => Err(BenchError::Api { url: "/api/Balance/balances/PROBE".into(), status, body }),
        }
    }
}

fn probe(number: u64) -> String {
    format!(
        r#"{{"transactionId":"PROBE-{number}","fromAccount":"BANK","toAccount":"FR7630001000123456789","amount":1.00,"currency":"EUR","type":3,"customerId":"PROBE","timestamp":"2026-02-08T22:00:00Z","riskScore":0,"status":1}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::probe;

    #[test]
    fn a_probe_is_a_transaction() {
        assert!(balancefleet_e2e::oracle::read(probe(7).as_bytes()).is_ok());
    }
}
