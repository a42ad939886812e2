//! Everything a measurement needs: where things are, how large it is to be, and what was made so far.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use balancefleet_e2e::oracle::Topic;
use balancefleet_e2e::stream::Stream;
use balancefleet_e2e::traffic::Keying;

use crate::error::BenchError;
use crate::java::Java;
use crate::peer::Peer;
use crate::progress::progress;
use crate::scenario::memory::Customers;
use crate::subject::{Ours, Subject};
use crate::topic::{self, Data};
use crate::wait::wait_until;
use crate::worker::{Launch, Task};

/// The slowest subject takes a minute for two million records.
const PATIENCE: Duration = Duration::from_secs(300);

/// How large the run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) records: u64,
    pub(crate) rounds: u32,
    /// A worker joins and leaves so often in a round.
    pub(crate) moves: usize,
    /// Of one measurement of the latency.
    pub(crate) latency: Duration,
    /// Of one measurement of a worker that has nothing to do.
    pub(crate) idle: Duration,
    /// Of one measurement of reads.
    pub(crate) reads: Duration,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        records: 2_000_000,
        rounds: 3,
        moves: 4,
        latency: Duration::from_secs(30),
        idle: Duration::from_secs(60),
        reads: Duration::from_secs(15),
    };
    /// Says whether everything works, not how fast it is.
    pub(crate) const QUICK: Self = Self {
        records: 200_000,
        rounds: 1,
        moves: 1,
        latency: Duration::from_secs(6),
        idle: Duration::from_secs(10),
        reads: Duration::from_secs(5),
    };
}

/// See the module.
pub(crate) struct Bench {
    pub(crate) brokers: String,
    pub(crate) launch: Launch,
    pub(crate) java: Java,
    /// This program, which is the peer `bare` as well.
    pub(crate) program: PathBuf,
    pub(crate) scale: Scale,
    /// In the topic.
    pub(crate) customers: u32,
    pub(crate) compression: String,
    pub(crate) logs: PathBuf,
    /// State of peers; away with the run.
    pub(crate) scratch: tempfile::TempDir,
    /// Read by everybody, never written again.
    pub(crate) data: OnceCell<Data>,
    /// The same again, for scenarios that write into it.
    pub(crate) moving: OnceCell<Data>,
    /// For the scenario that counts the bytes of a customer.
    pub(crate) of_customers: OnceCell<Customers>,
    /// Groups that have processed the whole topic.
    pub(crate) finished: RefCell<HashMap<Subject, String>>,
    pub(crate) names: RefCell<u32>,
}

impl Bench {
    /// The transactions that topics are loaded with.
    pub(crate) fn stream(&self) -> Stream {
        topic::stream(self.customers)
    }

    /// The topic everybody reads, loaded when first asked for.
    pub(crate) fn data(&self) -> Result<&Data, BenchError> {
        self.loaded(&self.data, "bench")
    }

    /// A topic of the same content that may be added to.
    pub(crate) fn moving(&self) -> Result<&Data, BenchError> {
        self.loaded(&self.moving, "bench-moving")
    }

    fn loaded<'a>(&self, cell: &'a OnceCell<Data>, topic: &str) -> Result<&'a Data, BenchError> {
        if let Some(data) = cell.get() {
            return Ok(data);
        }
        progress(&format!("loading {} transactions into {topic}", self.scale.records));
        let data = topic::load(
            &self.brokers,
            topic,
            &self.stream(),
            self.scale.records,
            Keying::Transaction,
            &self.compression,
        )?;
        progress(&format!("{topic} holds {} bytes a transaction", data.bytes / data.records.max(1)));
        // Kept at once: were the topic loaded again, it would hold everything twice.
        let data = cell.get_or_init(|| data);
        // A broker that has never served the topic is slow to do so: that must not be the first subject's figure.
        let mut reader = Command::new(&self.program);
        reader.args(["bare", &self.brokers, topic]);
        Peer::start(&self.fresh("warm-up"), &mut reader, &self.logs)?.run(data)?;
        Ok(data)
    }

    /// A name that nothing else of this run has.
    pub(crate) fn fresh(&self, name: &str) -> String {
        let mut number = self.names.borrow_mut();
        *number += 1;
        format!("{name}-{number:03}")
    }

    /// A worker's task in a group of its own.
    pub(crate) fn task(&self, ours: Ours, topic: &str) -> Task {
        let group = self.fresh(&Subject::Worker(ours).slug());
        Task { name: group.clone(), topic: topic.to_owned(), group, ours }
    }

    /// Waits until the group has committed all that the topic holds.
    pub(crate) fn await_committed(&self, topic: &str, group: &str) -> Result<(), BenchError> {
        let topic = Topic::new(&self.brokers, topic);
        let ends = topic.ends()?;
        let what = format!("all offsets committed by {group}");
        wait_until(&what, PATIENCE, Duration::from_millis(10), || match topic.committed(group) {
            Ok(committed) if committed == ends => Ok(()),
            Ok(committed) => Err(format!("{committed:?} of {ends:?}")),
            Err(error) => Err(error.to_string()),
        })
    }
}
