//! One balance by REST under full load: of a worker alone that catches up, and over eight workers that know each other
//! while the generator sends as fast as it can.

use std::thread;
use std::time::{Duration, Instant};

use balancefleet_e2e::stream::{Draws, Stream};
use balancefleet_e2e::traffic::{Interrupt, Keying, Pace, Sender, create_topic};

use crate::bench::Bench;
use crate::error::BenchError;
use crate::figures::{FLEET_P50, FLEET_P99, Figures, LOCAL_P50, LOCAL_P99};
use crate::http::Http;
use crate::statistics::percentile;
use crate::subject::Ours;
use crate::topic::PARTITIONS;
use crate::wait::wait_until;
use crate::worker::{Task, Worker, free_port};

const FLEET: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn measure(bench: &Bench, ours: Ours) -> Result<Figures, BenchError> {
    let (local, fleet) = (alone(bench, ours)?, fleet(bench, ours)?);
    let values = [(LOCAL_P50, &local, 50), (LOCAL_P99, &local, 99), (FLEET_P50, &fleet, 50), (FLEET_P99, &fleet, 99)];
    Ok(values.into_iter().filter_map(|(quantity, of, percent)| Some((quantity, percentile(of, percent)?))).collect())
}

/// Reads while one worker after the other catches up.
fn alone(bench: &Bench, ours: Ours) -> Result<Vec<f64>, BenchError> {
    let data = bench.data()?;
    let (mut reader, mut latencies, began) = (Reader::new(bench), Vec::new(), Instant::now());
    while began.elapsed() < bench.scale.reads {
        let mut worker = bench.launch.start(&bench.task(ours, &data.topic))?;
        worker.await_metrics("the first record", |metrics| metrics.messages_consumed > 0)?;
        await_answer(&mut reader, &worker.http)?;
        while worker.metrics()?.messages_consumed < data.records {
            for _ in 0..100 {
                latencies.push(reader.read(&worker.http)?);
            }
        }
        worker.process.stop()?;
    }
    Ok(latencies)
}

/// Reads from one of eight workers after the other.
fn fleet(bench: &Bench, ours: Ours) -> Result<Vec<f64>, BenchError> {
    let topic = bench.fresh("bench-rest");
    create_topic(&bench.brokers, &topic, PARTITIONS)?;
    let workers = start_fleet(bench, ours, &topic)?;
    let sender = Sender::new(&bench.brokers, &topic, Keying::Transaction)?;
    let (interrupt, stream) = (Interrupt::default(), bench.stream());
    let latencies = thread::scope(|scope| {
        let endless = 0..u64::MAX / 2;
        let traffic = scope.spawn(|| sender.run(&stream, endless, &Pace::steady(0, 0), &interrupt, None));
        let latencies = read_from_all(&workers, Reader::new(bench), bench.scale.reads);
        interrupt.raise();
        // Whether all of it was sent does not matter: it was load.
        let _ = traffic.join();
        latencies
    });
    for mut worker in workers {
        worker.process.kill()?;
    }
    latencies
}

fn start_fleet(bench: &Bench, ours: Ours, topic: &str) -> Result<Vec<Worker>, BenchError> {
    let task = bench.task(ours, topic);
    let ports = (0..FLEET).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
    let start = |(place, port): (usize, &u16)| {
        let name = format!("{}-{place}", task.name);
        bench.launch.start_at(&Task { name, ..task.clone() }, *port, &ports)
    };
    let workers = ports.iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
    let settled = |workers: &[Worker]| -> Result<(), BenchError> {
        let shares = workers.iter().map(|worker| Ok(worker.metrics()?.assigned_partitions.len()));
        let shares = shares.collect::<Result<Vec<_>, BenchError>>()?;
        if shares.iter().sum::<usize>() == PARTITIONS as usize && shares.iter().all(|share| *share <= 1) {
            return Ok(());
        }
        let state = format!("{shares:?}");
        Err(BenchError::NotInTime { what: "one partition each".into(), patience: PATIENCE, state })
    };
    wait_until("a settled fleet", PATIENCE, Duration::from_millis(200), || settled(&workers))?;
    let mut reader = Reader::new(bench);
    workers.iter().try_for_each(|worker| await_answer(&mut reader, &worker.http))?;
    Ok(workers)
}

fn read_from_all(workers: &[Worker], mut reader: Reader, time: Duration) -> Result<Vec<f64>, BenchError> {
    let (mut latencies, began) = (Vec::new(), Instant::now());
    for worker in workers.iter().cycle() {
        if began.elapsed() >= time {
            break;
        }
        latencies.push(reader.read(&worker.http)?);
    }
    Ok(latencies)
}

/// Until balances are answered at all: the first commit proves the membership.
fn await_answer(reader: &mut Reader, http: &Http) -> Result<(), BenchError> {
    let ask = || reader.read(http);
    wait_until("a balance", PATIENCE, Duration::from_millis(20), ask).map(|_| ())
}

/// Reads customers at random, each read after the answer of the one before.
struct Reader {
    stream: Stream,
    reads: u64,
}

impl Reader {
    fn new(bench: &Bench) -> Self {
        Self { stream: bench.stream(), reads: 0 }
    }

    /// Seconds until the answer.
    fn read(&mut self, http: &Http) -> Result<f64, BenchError> {
        self.reads += 1;
        let customer = Draws::new(1, 9, self.reads).below(u64::from(self.stream.settings().customers));
        let path = format!("/api/Balance/balances/{}", self.stream.customer_id(customer));
        let began = Instant::now();
        match http.get(&path)? {
            // Nothing of that customer was read yet.
            (200 | 404, _) => Ok(began.elapsed().as_secs_f64()),
            (status, body) => Err(BenchError::Api { url: path, status, body }),
        }
    }
}
