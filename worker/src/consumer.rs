//! The poll thread: the one owner of the group membership and of every assigned partition.
//!
//! In go records, rebalances and the reports of the other threads; out come ledgers (seen through the [`View`]), commits
//! and log lines. Rebalances are carried out here, right after the poll that brought them, never inside a callback.
//!
//! | thread | does | tells the poll thread |
//! |---|---|---|
//! | restore | brings new partitions to where the group has committed | `Restored` |
//! | commit | waits for the coordinator, one commit at a time | `Committed` |
//! | inspector | looks whether the topic is still the same one | `Inspected` |

mod bad_records;
mod batch;
mod client;
mod close;
mod commits;
mod doubts;
mod inspector;
mod partition;
mod rebalance;
mod report;
mod reports;
mod restore;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use balancefleet_kafka::Admin;
use rdkafka::{
    consumer::Consumer as _,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    rules::{LedgerKind, Rules},
    status::Status,
    store::{Count, Offsets, Replay, Store},
    throttle::Throttle,
    view::View,
};
use bad_records::BadRecords;
pub(crate) use client::GroupConsumer;
pub(crate) use client::try_settings;
use client::{Context, group_config, restore_config};
use commits::Commits;
use doubts::{Doubt, Doubts, TopicDoubt};
pub(crate) use inspector::describe;
use partition::{Arrival, Owned};
use report::Report;
use restore::{Assigned, Restorer};

/// How long a quiet poll waits; also how late a report from another thread may be noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// The same while somebody waits for a partition.
const BUSY_WAIT: Duration = Duration::from_millis(5);

/// Errors that come again and again are logged this often.
const SAME_ERROR_EVERY: Duration = Duration::from_secs(30);

/// Why the worker cannot go on. The process ends with an error, and whoever runs it starts it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    /// librdkafka refused the settings.
    #[error("the Kafka consumer cannot be made: {0}; correct the named client setting")]
    Client(KafkaError),
    /// librdkafka gave up for good.
    #[error("the Kafka consumer has failed for good: {0}")]
    Consumer(String),
    /// The client did not take an assignment: what it fetches is no longer known.
    #[error("the Kafka consumer did not carry out a rebalance: {0}")]
    Rebalance(KafkaError),
    /// The operating system gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// See the module.
pub(crate) struct Consumer {
    consumer: Arc<GroupConsumer>,
    view: Arc<View>,
    rules: Arc<Rules>,
    topic: String,
    simulated_work: Duration,
    session_timeout: Duration,

    partitions: BTreeMap<i32, Owned>,
    arrivals: Vec<Arrival>,
    next_epoch: u64,
    bad_records: BadRecords,
    commit_errors: Throttle<&'static str>,

    reports: mpsc::Receiver<Report>,
    /// Reports that arrived while a commit was awaited.
    backlog: VecDeque<Report>,
    commits: Commits,
    restorer: mpsc::Sender<Vec<Assigned>>,
    inspector: mpsc::Sender<u64>,
    /// While it is open nothing is committed.
    topic_doubt: TopicDoubt,
    doubts: Arc<Doubts>,
    /// When the client last had nothing to deliver.
    idle_at: Instant,
    /// Kafka's id of the topic this process works on, from its first assignment on.
    topic_id: Option<String>,
}

impl Consumer {
    /// Makes the client and starts the other threads; nothing is joined yet.
    pub(crate) fn new(config: &Config, admin: Admin, view: Arc<View>) -> Result<Self, Fatal> {
        let consumer: GroupConsumer =
            group_config(config).create_with_context(Context::new()).map_err(Fatal::Client)?;
        let consumer = Arc::new(consumer);
        let rules = Arc::new(config.rules.clone());
        let offsets = Offsets::new(admin.clone(), consumer.clone(), &config.group_id, &config.topic);
        let store: Arc<dyn Store> = match config.rules.ledger {
            LedgerKind::Balances => Arc::new(Replay(offsets)),
            LedgerKind::Count => Arc::new(Count { offsets, start_from: config.start_from }),
        };
        let (reporting, reports) = mpsc::channel();
        let doubts = Arc::new(Doubts::default());
        let restorer = restore::start(Restorer {
            store: store.clone(),
            rules: rules.clone(),
            topic: config.topic.clone(),
            reader_config: restore_config(config),
            reports: reporting.clone(),
        })?;
        Ok(Self {
            consumer,
            view,
            rules,
            topic: config.topic.clone(),
            simulated_work: config.simulated_work,
            session_timeout: config.session_timeout,
            partitions: BTreeMap::new(),
            arrivals: Vec::new(),
            next_epoch: 0,
            bad_records: BadRecords::default(),
            commit_errors: Throttle::new(SAME_ERROR_EVERY),
            commits: Commits::start(store, reporting.clone(), config.session_timeout)?,
            restorer,
            inspector: inspector::start(admin, config.topic.clone(), doubts.clone(), reporting)?,
            reports,
            backlog: VecDeque::new(),
            topic_doubt: TopicDoubt::default(),
            doubts,
            idle_at: Instant::now(),
            topic_id: None,
        })
    }

    /// Joins the group and works until `stop`, then leaves it.
    pub(crate) fn run(mut self, stop: &CancellationToken) -> Result<(), Fatal> {
        let outcome = self.work(stop);
        match &outcome {
            Ok(()) => self.close(),
            Err(_) => self.view.set_status(Status::FatalError),
        }
        // Destroying a consumer may hang (librdkafka#4362), and the process is about to end anyway.
        std::mem::forget(self);
        outcome
    }

    fn work(&mut self, stop: &CancellationToken) -> Result<(), Fatal> {
        self.consumer.subscribe(&[&self.topic]).map_err(Fatal::Client)?;
        tracing::info!(topic = self.topic, group = self.view.identity().group_id, "Subscribed to topic {}", self.topic);
        self.view.set_status(Status::Running);
        while !stop.is_cancelled() {
            self.turn()?;
        }
        Ok(())
    }

    /// One round: reports, a commit if it is time, records, rebalances.
    fn turn(&mut self) -> Result<(), Fatal> {
        self.view.tick();
        while let Some(report) = self.next_report() {
            self.take(report)?;
        }
        self.activate_ready()?;
        self.commit_if_due();
        let consumer = self.consumer.clone();
        match consumer.poll(self.wait()) {
            Some(polled) => self.batch(&consumer, polled)?,
            None => self.had_nothing_to_deliver(),
        }
        while let Some(rebalance) = consumer.context().next_rebalance() {
            self.rebalance(rebalance)?;
        }
        Ok(())
    }

    fn wait(&self) -> Duration {
        if self.arrivals.is_empty() && !self.commits.is_running() { IDLE_WAIT } else { BUSY_WAIT }
    }

    /// A poll gave nothing; one that brings a rebalance says nothing about records.
    fn had_nothing_to_deliver(&mut self) {
        if !self.consumer.context().has_rebalance() {
            self.idle_at = Instant::now();
        }
    }

    /// Deals with one thing that was polled; whether a record was processed.
    fn polled(&mut self, polled: KafkaResult<BorrowedMessage<'_>>) -> Result<bool, Fatal> {
        match polled {
            Ok(record) => return Ok(self.process(&record)),
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                let detail = self.consumer.client().fatal_error().map(|(_, detail)| detail);
                return Err(Fatal::Consumer(detail.unwrap_or_else(|| code.to_string())));
            }
            Err(error) => self.doubt(error.rdkafka_error_code()),
        }
        Ok(false)
    }

    /// After an error nothing is committed before the topic is known to be the same.
    fn doubt(&mut self, code: Option<Code>) {
        if matches!(code, Some(Code::AutoOffsetReset | Code::OffsetOutOfRange)) {
            let positions = self.positions();
            self.doubts.raise(positions);
        }
        self.inspect();
    }

    /// The error of the client does not name the partition, hence all active ones.
    fn positions(&mut self) -> Vec<Doubt> {
        let doubt = |owned: &mut Owned| {
            let (partition, epoch) = (owned.partition, owned.epoch);
            owned.active().map(|active| Doubt { partition, epoch, next_offset: active.next_offset() })
        };
        self.partitions.values_mut().filter_map(doubt).collect()
    }

    fn inspect(&mut self) {
        // The thread ends only with the process.
        let _ = self.inspector.send(self.topic_doubt.raise());
    }

    /// Commits progress in its turn, and without progress often enough to prove the membership.
    fn commit_if_due(&mut self) {
        let now = Instant::now();
        if self.topic_doubt.is_open() || !self.commits.is_due(now) {
            return;
        }
        let mut progress: Vec<_> = self.partitions.values().filter_map(|owned| owned.progress(false)).collect();
        if progress.is_empty() && self.commits.is_proof_due(now) {
            progress = self.partitions.values().filter_map(|owned| owned.progress(true)).collect();
        }
        if !progress.is_empty() {
            self.commits.send(progress);
        }
    }
}
