//! A fleet under traffic, with a reader, on the three brokers: where faults happen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use balancefleet_e2e::brokers::{Brokers, Use};
use balancefleet_e2e::oracle::{Offsets, Topic};
use balancefleet_e2e::proxy::Proxy;

use crate::harness::{Stream, Worker, eventually, free_port};
use crate::reader::{Reader, Seen};
use crate::traffic::{Load, Traffic};

/// What nothing that works should need, even on a busy machine: a killed worker's session and its transaction's
/// time-out.
pub(crate) const SOON: Duration = Duration::from_secs(120);
/// The session of every worker, unless a test says otherwise.
pub(crate) const SESSION: Duration = Duration::from_secs(6);
/// Workers that ended are kept so long, for their logs.
const FALLEN: usize = 8;
const PLACES: usize = 8;

/// See the module. Places are numbered from 0.
pub(crate) struct Scene {
    pub(crate) traffic: Traffic,
    reader: Reader,
    settings: Vec<(String, String)>,
    ports: Vec<u16>,
    workers: BTreeMap<usize, Worker>,
    proxies: BTreeMap<usize, Proxy>,
    fallen: Vec<Worker>,
    pub(crate) figures: Figures,
    // After all that uses it, because it deletes its topics; before the brokers, which the next test may stop.
    pub(crate) stream: Stream,
    pub(crate) brokers: Brokers,
}

/// What happened to the fleet, and what the workers counted; of one that was killed as far as was asked before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) starts: u64,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) freezes: u64,
    pub(crate) rebalances: u64,
    pub(crate) commits: u64,
    pub(crate) commit_failures: u64,
}

/// The store under test.
pub(crate) fn store() -> String {
    std::env::var("BALANCE_STORE").unwrap_or_else(|_| "changelog".to_owned())
}

/// Whether commits are Kafka's transactions; says so when a test has nothing to test.
pub(crate) fn commits_in_transactions() -> bool {
    let does = store() == "changelog";
    if !does {
        eprintln!("nothing to test: the {} store has no transactions in Kafka", store());
    }
    does
}

/// Whether bad records are put aside; says so when a test has nothing to test.
pub(crate) fn puts_bad_records_aside() -> bool {
    let does = store() != "replay";
    if !does {
        eprintln!("nothing to test: the replay store passes bad records over");
    }
    does
}

impl Scene {
    /// Six partitions, traffic, a reader; no worker yet.
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &[], Load::default(), Use::Shared)
    }

    /// The same with settings of the workers, another load, and the brokers to itself if it is to disturb them.
    pub(crate) fn with(name: &str, settings: &[(&str, &str)], load: Load, using: Use) -> Self {
        let brokers = Brokers::take(using).unwrap();
        let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), name, 6);
        stream.make(&[]);
        let ports: Vec<_> = (0..PLACES).map(|_| free_port()).collect();
        let peers: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let given = settings.iter().find(|(key, _)| *key == "BALANCE_STORE").map(|(_, store)| (*store).to_owned());
        let store = given.unwrap_or_else(store);
        let mut all = vec![("WORKER_PEERS".to_owned(), peers.join(",")), ("BALANCE_STORE".to_owned(), store.clone())];
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Self {
            traffic: Traffic::start(&stream, load),
            reader: Reader::start(&stream, ports.clone(), store != "replay"),
            stream,
            settings: all,
            ports,
            workers: BTreeMap::new(),
            proxies: BTreeMap::new(),
            fallen: Vec::new(),
            figures: Figures::default(),
            brokers,
        }
    }

    /// Starts the worker of a place (again), behind the proxy of the place if there is one.
    pub(crate) fn start(&mut self, place: usize) {
        let pod = format!("w{place}");
        let mut settings: Vec<_> = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        settings.push(("POD_NAME", &pod));
        if let Some(proxy) = self.proxies.get(&place) {
            settings.push(("KAFKA_BOOTSTRAP_SERVERS", proxy.bootstrap()));
        }
        let worker = Worker::start(&self.stream, self.ports[place], &settings);
        self.workers.insert(place, worker);
        self.figures.starts += 1;
    }

    /// Places a proxy before the worker of a place, which is to be started.
    pub(crate) fn place_proxy(&mut self, place: usize) -> &Proxy {
        let first = self.stream.bootstrap.split(',').next().unwrap();
        self.proxies.entry(place).or_insert_with(|| Proxy::start(first).unwrap())
    }

    pub(crate) fn proxy(&self, place: usize) -> &Proxy {
        &self.proxies[&place]
    }

    pub(crate) fn worker(&self, place: usize) -> &Worker {
        &self.workers[&place]
    }

    /// The places that have a worker.
    pub(crate) fn places(&self) -> Vec<usize> {
        self.workers.keys().copied().collect()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, place: usize) {
        let mut worker = self.take(place);
        worker.kill();
        self.figures.kills += 1;
        self.bury(worker);
    }

    /// Asks a worker to stop, which takes less than three seconds and ends well, whatever happens around it. Gives its
    /// log.
    #[track_caller]
    pub(crate) fn stop(&mut self, place: usize) -> String {
        let mut worker = self.take(place);
        // Until then it handles no signals, and SIGTERM ends it as it ends any program.
        worker.await_log("balance-worker starts");
        let (status, took) = worker.stop();
        assert_eq!(status.code(), Some(0), "{}", worker.log());
        // A busy machine adds to the worker's own three seconds.
        assert!(took < Duration::from_secs(5), "ending took {took:?}: {}", worker.log());
        self.figures.stops += 1;
        let log = worker.log();
        self.bury(worker);
        log
    }

    /// Workers that were asked to stop have to end well by now.
    #[track_caller]
    pub(crate) fn forget(&mut self, places: &[usize]) {
        for place in places {
            let mut worker = self.take(*place);
            assert_eq!(worker.await_end().code(), Some(0), "{}", worker.log());
            self.figures.stops += 1;
            self.bury(worker);
        }
    }

    pub(crate) fn freeze(&mut self, place: usize) {
        self.worker(place).signal("STOP");
        self.figures.freezes += 1;
    }

    pub(crate) fn thaw(&self, place: usize) {
        self.worker(place).signal("CONT");
    }

    fn take(&mut self, place: usize) -> Worker {
        let worker = self.workers.remove(&place).unwrap();
        self.figures.count(&worker);
        worker
    }

    fn bury(&mut self, worker: Worker) {
        self.fallen.push(worker);
        if self.fallen.len() > FALLEN {
            self.fallen.remove(0);
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.reader.seen()
    }

    /// Waits until the fleet has dealt with every record there is now, and every answer on the way was right.
    #[track_caller]
    pub(crate) fn await_fresh(&self) {
        self.await_fresh_within(SOON);
    }

    #[track_caller]
    pub(crate) fn await_fresh_within(&self, within: Duration) {
        let (ends, began) = (self.ends(), Instant::now());
        eventually(within, || {
            let Seen { as_of, wrong, refusals, .. } = self.seen();
            if let Some(wrong) = wrong {
                panic!("{wrong}; {}", self.summary());
            }
            if is_at_least(&as_of, &ends) {
                return Ok(());
            }
            // What the workers say themselves, shortly before it is given up.
            let is_over_soon = began.elapsed() + Duration::from_millis(500) > within;
            let readiness = if is_over_soon { self.readiness() } else { String::new() };
            Err(format!("{as_of:?}, not {ends:?}; {refusals} refusals{readiness}"))
        });
    }

    fn readiness(&self) -> String {
        self.workers.iter().map(|(place, worker)| format!("\nworker {place}: {:?}", worker.get("/readyz"))).collect()
    }

    /// Waits until each of these workers has partitions, and together they have all.
    #[track_caller]
    pub(crate) fn await_shares(&self, places: &[usize]) {
        eventually(SOON, || {
            let mut all = Vec::new();
            for place in places {
                let partitions =
                    self.worker(*place).partitions().map_err(|error| format!("worker {place}: {error}"))?;
                if partitions.is_empty() {
                    return Err(format!("worker {place} has nothing"));
                }
                all.extend(partitions);
            }
            all.sort_unstable();
            let is_complete = all == (0..self.stream.partitions).collect::<Vec<_>>();
            if is_complete { Ok(()) } else { Err(format!("they have {all:?}")) }
        });
    }

    /// Asked again while brokers come and go, and while not all of them know the topic yet.
    #[track_caller]
    fn ends(&self) -> Offsets {
        eventually(SOON, || self.topic().ends().map_err(|error| error.to_string()))
    }

    fn topic(&self) -> Topic {
        Topic::new(&self.stream.bootstrap, &self.stream.topic)
    }

    /// Ends the traffic and looks at everything: what each worker says, what is committed, and what a new fleet of one
    /// makes of it.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Self {
        self.traffic.stop();
        let ends = self.ends();
        for place in self.places() {
            self.await_answer(place, &ends);
        }
        eventually(SOON, || {
            let committed = self.topic().committed(&self.stream.group).map_err(|error| error.to_string())?;
            if committed == ends { Ok(()) } else { Err(format!("committed is {committed:?}, not {ends:?}")) }
        });
        for place in self.places() {
            self.stop(place);
        }
        // What is durable is all that it has: it neither processes nor remembers anything.
        self.start(0);
        self.await_answer(0, &ends);
        assert_eq!(self.worker(0).count("messagesConsumed"), Ok(0), "committed records are processed again");
        self.figures.count(&self.workers[&0]);
        self.reader.stop();
        let Seen { wrong, answers, .. } = self.seen();
        assert_eq!(wrong, None);
        assert!(answers > 0);
        for (place, proxy) in &self.proxies {
            assert_eq!(proxy.trouble(), None, "the proxy of worker {place}");
        }
        self
    }

    #[track_caller]
    fn await_answer(&self, place: usize, ends: &Offsets) {
        let deadline = Instant::now() + SOON;
        loop {
            let answer = self.reader.ask(self.ports[place]);
            if let Some(wrong) = self.seen().wrong {
                panic!("{wrong}; {}", self.summary());
            }
            match answer {
                Ok(as_of) if as_of == *ends => return,
                other => assert!(Instant::now() < deadline, "worker {place}: {other:?}, not {ends:?}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Everything that was counted, in words.
    pub(crate) fn summary(&self) -> String {
        let Seen { answers, customers, differing, lost, doubled, refusals, silences, .. } = self.seen();
        let Figures { starts, kills, stops, freezes, rebalances, commits, commit_failures } = &self.figures;
        format!(
            "{} records sent, {} compared; {answers} answers with {customers} balances compared: {differing} differing, \
             {lost} transactions lost, {doubled} doubled; {refusals} refusals, {silences} without an answer; workers: \
             {starts} starts, {kills} kills, {stops} stops, {freezes} halts, {rebalances} rebalances, {commits} commits, \
             {commit_failures} commits failed",
            self.traffic.sent(),
            self.reader.with_fold(|fold| fold.records),
        )
    }

    /// Asks no more: what the oracle reads is about to change.
    pub(crate) fn stop_reading(&mut self) {
        self.reader.stop();
    }

    /// What was refused of the input, by partition and offset, up to the last answer.
    pub(crate) fn refused(&self) -> Vec<(i32, i64)> {
        self.reader.with_fold(|fold| fold.refused.iter().copied().collect())
    }
}

impl Figures {
    /// Adds what a worker has counted; nothing, if it does not answer.
    fn count(&mut self, worker: &Worker) {
        let Ok((200, text)) = worker.get("/metrics") else { return };
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("balancefleet_{name}_total ")));
            line.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        self.rebalances += value("rebalance_events");
        self.commits += value("commits");
        self.commit_failures += value("commit_failures");
    }
}

fn is_at_least(as_of: &Offsets, ends: &Offsets) -> bool {
    ends.iter().all(|(partition, end)| as_of.get(partition).is_some_and(|as_of| as_of >= end))
}
