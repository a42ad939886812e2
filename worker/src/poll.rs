//! The poll thread: the one owner of the group membership and of every assigned partition.
//!
//! Its input is records (in batches, from a queue of their own), rebalances and the reports of the other threads. Its
//! output is ledgers (seen through the [`View`]), commits and log lines. It carries out a rebalance right after the
//! poll that delivered it, never inside a callback.
//!
//! | thread | does | reports |
//! |---|---|---|
//! | restore | brings new partitions to where the group has committed | `Restored` |
//! | commit | waits for the coordinator, one commit at a time | `Committed` |
//! | topic monitor | checks that the topic is still the same one | `Inspected` |

mod active;
mod backpressure;
mod batch;
pub(crate) mod cleanup_policy_checker;
mod close;
mod commits;
mod delayed_restores;
pub(crate) mod messages;
pub(crate) mod partition;
mod pending_assignment;
mod pending_validation;
mod rebalance;
mod reports;
mod send_commits;
mod spare_memory;
#[cfg(test)]
pub(crate) mod test_support;
mod topic_monitor;
mod truncation;
mod validation;
mod wakeups;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use balancefleet_kafka::{Admin, ErrorKind, RecordQueue};
use rdkafka::{Message as _, consumer::Consumer as _, error::KafkaError};
use tokio::runtime::Handle;

use crate::{
    config::{Config, StoreKind},
    domain::{
        rules::{LedgerKind, Rules},
        transaction::BadRecord,
    },
    kafka_clients::{Context, GroupConsumer, group_consumer, restore_config},
    partition_failure::PartitionFailure,
    restore::{self, RestoreRequest, Restorer},
    status::Status,
    stop::Stop,
    store::{ApplyMode, Changelog, CommitError, Count, Offsets, Postgres, Replay, Store},
    throttle::{SAME_ERROR_EVERY, Throttle},
    view::View,
};
use cleanup_policy_checker::CleanupPolicyChecker;
use commits::Commits;
use delayed_restores::DelayedRestores;
use messages::{Report, Reporter};
use partition::AssignedPartition;
use pending_assignment::PendingAssignment;
use spare_memory::SpareMemory;
use truncation::TruncationWatch;
use wakeups::FetchWakeups;

/// The longest wait for records; a stop may be noticed that late.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// The shortest wait that the client supports.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The pause between two attempts to open the store.
const OPEN_AGAIN: Duration = Duration::from_millis(500);

/// One kind of bad record of one partition is logged this often.
const SAME_BAD_RECORD_EVERY: Duration = Duration::from_secs(60);

/// Why the worker cannot continue. The process exits with an error, so that Kubernetes restarts it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error("the Kafka consumer cannot be made: {0}; correct the named client setting")]
    Client(KafkaError),
    #[error("the Kafka consumer has failed for good: {0}")]
    Consumer(String),
    #[error("the records of a partition cannot be taken: {0}")]
    Records(#[from] balancefleet_kafka::Error),
    /// Records come by the record queue alone. Applied here, this one could overtake others of its partition.
    #[error("the record of partition {0} at offset {1} came beside the others")]
    Stray(i32, i64),
    /// The client refused an assignment, so it is unknown what it fetches.
    #[error("the Kafka consumer did not carry out a rebalance: {0}")]
    Rebalance(KafkaError),
    #[error("the store cannot go on: {0}")]
    Store(String),
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

pub(crate) struct PollLoop {
    consumer: Arc<GroupConsumer>,
    admin: Admin,
    /// The consumer's records; everything else comes by a poll of the consumer.
    records: Arc<RecordQueue<Context>>,
    view: Arc<View>,
    rules: Arc<Rules>,
    topic: String,
    simulated_work: Duration,
    session_timeout: Duration,

    apply_mode: ApplyMode,
    /// Whether bad records are kept for the store.
    dead_letters_enabled: bool,

    partitions: BTreeMap<i32, AssignedPartition>,
    pending_assignments: Vec<PendingAssignment>,
    next_assignment_number: u64,
    bad_records: Throttle<(i32, BadRecord)>,
    commit_errors: Throttle<&'static str>,
    fetch_errors: Throttle<ErrorKind>,

    reports: mpsc::Receiver<Report>,
    /// Reports that arrived while a commit was awaited.
    deferred_reports: VecDeque<Report>,
    store: Arc<dyn Store>,
    commits: Commits,
    spare_memory: SpareMemory,
    restorer: mpsc::Sender<Vec<RestoreRequest>>,
    delayed_restores: DelayedRestores,
    topic_monitor: mpsc::Sender<()>,
    /// Whether fetching is paused (back-pressure).
    is_paused: bool,
    truncation_watch: Arc<TruncationWatch>,
    fetch_wakeups: FetchWakeups,
    /// Whether it was logged that some positions cannot be validated.
    has_logged_missing_epochs: bool,
    /// When the client last had nothing to deliver.
    idle_at: Instant,
    /// Kafka's id of the topic this process works on.
    topic_id: String,
    /// Partitions handed back after a stop was ordered. Their revocation is answered by leaving the group.
    unanswered_revocation: Option<Vec<i32>>,
    stop: Stop,
}

impl PollLoop {
    /// Creates the client and starts the other threads; the group is not joined yet. `topic_id` was looked up before
    /// anything else.
    pub(crate) fn new(
        config: &Config,
        topic_id: &str,
        admin: Admin,
        view: Arc<View>,
        runtime: &Handle,
        stop: Stop,
    ) -> Result<Self, Fatal> {
        let consumer = Arc::new(group_consumer(config).map_err(Fatal::Client)?);
        let rules = Arc::new(config.rules.clone());
        let offsets = || Offsets::new(admin.clone(), consumer.clone(), &config.group_id, &config.topic);
        let store: Arc<dyn Store> = match (config.rules.ledger, config.store) {
            (LedgerKind::Balances, StoreKind::Postgres) => {
                // Without one, the configuration was refused.
                let target = config.database_in_use().ok_or_else(|| Fatal::Store("it has no database".to_owned()))?;
                Arc::new(Postgres::new(config, topic_id, target, admin.clone(), consumer.clone(), runtime))
            }
            (LedgerKind::Count, _) => Arc::new(Count { offsets: offsets(), start_from: config.start_from }),
            (LedgerKind::Balances, StoreKind::Replay) => Arc::new(Replay(offsets())),
            (LedgerKind::Balances, StoreKind::Changelog) => {
                Arc::new(Changelog::new(config, topic_id, admin.clone(), consumer.clone()))
            }
        };
        let records = Arc::new(RecordQueue::new(consumer.clone(), &config.topic)?);
        let (sender, reports) = mpsc::channel();
        let reporter = Reporter { reports: sender, records: records.clone() };
        let truncation_watch = Arc::new(TruncationWatch::default());
        let restorer = restore::start(Restorer {
            store: store.clone(),
            rules: rules.clone(),
            topic: config.topic.clone(),
            log: config.changelog_topic.clone(),
            cleanup_policy: CleanupPolicyChecker::start(config, admin.clone(), view.clone())?,
            reader_config: restore_config(config),
            reporter: reporter.clone(),
        })?;
        Ok(Self {
            records,
            consumer,
            admin: admin.clone(),
            view,
            rules,
            topic: config.topic.clone(),
            simulated_work: config.simulated_work,
            session_timeout: config.session_timeout,
            apply_mode: store.apply_mode(),
            dead_letters_enabled: config.dead_letter_topic.is_some() || config.database_in_use().is_some(),
            partitions: BTreeMap::new(),
            pending_assignments: Vec::new(),
            next_assignment_number: 0,
            bad_records: Throttle::new(SAME_BAD_RECORD_EVERY),
            commit_errors: Throttle::new(SAME_ERROR_EVERY),
            fetch_errors: Throttle::new(SAME_ERROR_EVERY),
            commits: Commits::start(store.clone(), reporter.clone(), config.session_timeout, config.commit_interval)?,
            spare_memory: SpareMemory::new(),
            store,
            restorer,
            delayed_restores: DelayedRestores::new(config.heartbeat_interval),
            topic_monitor: topic_monitor::start(
                admin,
                config.topic.clone(),
                restore_config(config),
                truncation_watch.clone(),
                reporter,
            )?,
            reports,
            deferred_reports: VecDeque::new(),
            is_paused: false,
            truncation_watch,
            fetch_wakeups: FetchWakeups::default(),
            has_logged_missing_epochs: false,
            idle_at: Instant::now(),
            topic_id: topic_id.to_owned(),
            unanswered_revocation: None,
            stop,
        })
    }

    /// Joins the group, works until a stop is ordered, then leaves the group.
    pub(crate) fn run(mut self) -> Result<(), Fatal> {
        let outcome = self.work();
        match &outcome {
            Ok(()) => self.close(),
            Err(_) => self.abandon(),
        }
        // Destroying a consumer may hang (librdkafka#4362), and the process is about to end anyway.
        std::mem::forget(self);
        outcome
    }

    fn work(&mut self) -> Result<(), Fatal> {
        while let Err(error) = self.store.open() {
            self.view.mark_alive();
            match error {
                CommitError::Fatal(reason) => return Err(Fatal::Store(reason)),
                transient if self.stop.is_ordered() => {
                    tracing::debug!(error = %transient, "stopped before the store was ready");
                    return Ok(());
                }
                transient => tracing::warn!(error = %transient, "the store is not ready yet; trying again"),
            }
            std::thread::sleep(OPEN_AGAIN);
        }
        self.consumer.subscribe(&[&self.topic]).map_err(Fatal::Client)?;
        tracing::info!(
            topic = self.topic,
            group = self.view.worker_info().group_id,
            "Subscribed to topic {}",
            self.topic
        );
        self.view.set_status(Status::Running);
        while !self.stop.is_ordered() {
            self.poll_once()?;
        }
        Ok(())
    }

    /// One round: reports, a commit if it is time, records, rebalances.
    fn poll_once(&mut self) -> Result<(), Fatal> {
        self.view.mark_alive();
        while let Some(report) = self.next_report() {
            self.handle(report)?;
        }
        self.start_delayed_restores();
        self.activate_ready()?;
        self.validate()?;
        self.commit_if_due();
        self.apply_backpressure()?;
        self.wake_fetchers_if_due()?;
        self.batch(self.wait())
    }

    /// Handles everything that the client delivers besides records.
    fn events(&mut self) -> Result<(), Fatal> {
        let (consumer, records) = (self.consumer.clone(), self.records.clone());
        loop {
            // Polled even when there is nothing: a client that is not polled leaves its group.
            match consumer.poll(Duration::ZERO) {
                None => {}
                Some(Err(error)) => self.handle_client_error(&error)?,
                Some(Ok(record)) => return Err(Fatal::Stray(record.partition(), record.offset())),
            }
            while let Some(rebalance) = consumer.context().next_rebalance() {
                self.rebalance(&rebalance)?;
            }
            if !records.has_events() {
                return Ok(());
            }
        }
    }

    /// How long to wait for records. Any other event ends the wait; only commits, fetch wake-ups and validations have a
    /// due time of their own.
    fn wait(&self) -> Duration {
        let (now, is_dirty) = (Instant::now(), self.partitions.values().any(AssignedPartition::is_dirty));
        let commit = self.commits.due_in(true, false, now).filter(|_| is_dirty);
        let due_in = [commit, self.fetch_wakeups.due_in(now), self.validation_due_in()].into_iter().flatten().min();
        due_in.unwrap_or(IDLE_WAIT).clamp(SHORTEST_WAIT, IDLE_WAIT)
    }

    fn wake_fetchers_if_due(&mut self) -> Result<(), Fatal> {
        if !self.fetch_wakeups.is_due(Instant::now()) {
            return Ok(());
        }
        let fetched: Vec<_> =
            self.partitions.values().filter(|owned| owned.is_fetched).map(|owned| owned.partition).collect();
        if fetched.is_empty() { Ok(()) } else { Ok(self.records.wake_fetchers(&fetched)?) }
    }

    /// The client delivered no record. If an event waits, that says nothing: its records may wait behind a rebalance.
    fn had_nothing_to_deliver(&mut self) {
        if !self.records.has_events() {
            self.idle_at = Instant::now();
        }
    }

    /// The id of the topic that the client fetches, if it is not the topic of this process. It is known once the client
    /// has no more events, before the first of those records is used.
    fn new_topic_id(&self) -> Option<String> {
        let id = self.consumer.context().topic_id();
        // The client knows no id before its first fetch.
        let has_fetched = || self.view.counting().messages_consumed.load(Ordering::Relaxed) > 0;
        match id {
            Some(id) => Some(id).filter(|id| *id != self.topic_id),
            None => has_fetched().then(|| "not known".to_owned()),
        }
    }

    fn fail_if_topic_recreated(&mut self) -> Result<(), Fatal> {
        let Some(found) = self.new_topic_id() else { return Ok(()) };
        let all: Vec<_> = self.partitions.keys().copied().collect();
        self.fail(&all, &PartitionFailure::TopicRecreated { expected: self.topic_id.clone(), found })
    }

    /// After an error the topic may have been recreated.
    fn handle_client_error(&mut self, error: &KafkaError) -> Result<(), Fatal> {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            let detail = self.consumer.client().fatal_error().map(|(_, detail)| detail);
            return Err(Fatal::Consumer(detail.unwrap_or_else(|| code.to_string())));
        }
        self.inspect_topic();
        Ok(())
    }

    /// Asks the topic monitor to inspect the topic now.
    fn inspect_topic(&mut self) {
        // The thread ends only with the process.
        let _ = self.topic_monitor.send(());
    }
}
