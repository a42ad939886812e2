//! Workers that know each other, and the balances they give together.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Oracle, SOON, Stream, Traffic, Worker, eventually, free_port, oracle::Account};

/// Workers of one group, each by its place.
pub(crate) struct Fleet<'a> {
    stream: &'a Stream,
    ports: Vec<u16>,
    settings: Vec<(String, String)>,
    workers: BTreeMap<usize, Worker>,
}

/// A fleet of at most `size` workers; none runs yet.
pub(crate) fn fleet<'a>(stream: &'a Stream, size: usize, settings: &[(&str, &str)]) -> Fleet<'a> {
    let ports: Vec<_> = (0..size).map(|_| free_port()).collect();
    let peers = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    settings.push(("WORKER_PEERS".to_owned(), peers));
    Fleet { stream, ports, settings, workers: BTreeMap::new() }
}

/// Sends `count` more transactions, lets one worker fold them, and stops it in good order.
pub(crate) fn folded(stream: &Stream, traffic: &mut Traffic, count: u64, settings: &[(&str, &str)]) {
    traffic.send(stream, count);
    let mut fleet = fleet(stream, 1, settings);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    eventually(SOON, || stream.is_committed());
    assert_eq!(fleet.take(0).stop().0.code(), Some(0));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    as_of: BTreeMap<i32, i64>,
    balances: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    customer_id: String,
    balance: Box<RawValue>,
    transaction_count: u64,
    last_transaction_id: String,
}

impl Fleet<'_> {
    /// Starts the worker of a place (again).
    pub(crate) fn start(&mut self, place: usize) {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let pod = format!("w{place}");
        let settings = [&settings[..], &[("POD_NAME", pod.as_str())]].concat();
        self.workers.insert(place, Worker::start(self.stream, self.ports[place], &settings));
    }

    pub(crate) fn start_all(&mut self, places: std::ops::Range<usize>) {
        places.for_each(|place| self.start(place));
    }

    pub(crate) fn get(&self, place: usize) -> &Worker {
        &self.workers[&place]
    }

    pub(crate) fn size(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values()
    }

    /// Brings a running worker (back) into the fleet.
    pub(crate) fn put(&mut self, place: usize, worker: Worker) {
        self.workers.insert(place, worker);
    }

    /// Takes a worker out of the fleet, running.
    pub(crate) fn take(&mut self, place: usize) -> Worker {
        self.workers.remove(&place).unwrap()
    }

    /// How many partitions each worker has, most first, once all are shared out and work.
    #[track_caller]
    pub(crate) fn await_shares(&self, expected: &[usize]) {
        eventually(SOON, || {
            let mut all = Vec::new();
            let mut shares = Vec::new();
            for worker in self.workers.values() {
                let partitions = worker.partitions()?;
                shares.push(partitions.len());
                all.extend(partitions);
            }
            shares.sort_unstable_by(|one, other| other.cmp(one));
            all.sort_unstable();
            let complete = all == (0..self.stream.partitions).collect::<Vec<_>>();
            if complete && shares == expected { Ok(()) } else { Err(format!("shares are {shares:?} of {all:?}")) }
        });
    }

    /// Waits until every worker gives exactly the oracle's balances for all records there are.
    #[track_caller]
    pub(crate) fn await_balances(&self, oracle: &Oracle, within: Duration) {
        let ends = self.stream.ends();
        for worker in self.workers.values() {
            let answer = eventually(within, || {
                let (status, body) = worker.get("/api/Balance/balances")?;
                let answer: Answer =
                    serde_json::from_str(&body).map_err(|error| format!("{status} {error}: {body}"))?;
                if answer.as_of == ends { Ok(answer) } else { Err(format!("as of {:?}, not {ends:?}", answer.as_of)) }
            });
            oracle.compare(answer.balances.into_iter().map(|row| {
                let account = Account {
                    cents: cents(row.balance.get()),
                    count: row.transaction_count,
                    last_transaction_id: row.last_transaction_id,
                };
                (row.customer_id, account)
            }));
        }
    }
}

/// Plain text arithmetic: the test has no use for the code it tests.
fn cents(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
    assert_eq!(fraction.len(), 2, "{text} has not two decimals");
    format!("{whole}{fraction}").parse().unwrap()
}
