//! The librdkafka clients of a worker: their settings, and what their callbacks keep for the poll thread.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use balancefleet_kafka::{GroupMetadata, TopicWatch};
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use crate::{
    config::Config,
    throttle::{SAME_ERROR_EVERY, Throttle},
};

/// The consumer that is a member of the group.
pub(crate) type GroupConsumer = BaseConsumer<Context>;

/// A consumer that can become a member of the group.
pub(crate) fn group_consumer(config: &Config) -> KafkaResult<GroupConsumer> {
    let mut client = group_config(config);
    let watch = TopicWatch::new(&mut client, &config.topic);
    client.create_with_context(Context {
        rebalances: Mutex::default(),
        error_log: ClientErrorLog::of("Kafka client"),
        watch,
    })
}

/// The member of the group; it commits and starts nowhere by itself.
pub(crate) fn group_config(config: &Config) -> ClientConfig {
    let mut client = common(config);
    let millis = |duration: Duration| duration.as_millis().to_string();
    client
        .set("group.id", &config.group_id)
        .set("client.id", &config.consumer_id)
        .set("partition.assignment.strategy", config.assignor.name())
        .set("session.timeout.ms", millis(config.session_timeout))
        .set("heartbeat.interval.ms", millis(config.heartbeat_interval))
        .set("max.poll.interval.ms", millis(config.max_poll_interval));
    client
}

/// The reader that restores partitions. It never joins the group; under any other name it might not be allowed in.
pub(crate) fn restore_config(config: &Config) -> ClientConfig {
    let mut client = common(config);
    client
        .set("group.id", &config.group_id)
        .set("client.id", format!("{}-restore", config.consumer_id))
        // Larger answers than near the head: with the default the last records of a restore take half a second.
        .set("fetch.message.max.bytes", "4194304");
    client
}

/// The producer of the store that writes balances to Kafka. Its id is this worker's own: a restarted process ends the
/// transaction that it left open, and nobody ever ends another one's.
pub(crate) fn transaction_config(config: &Config) -> ClientConfig {
    let mut client = config.connection.client_config();
    client
        .set("client.id", format!("{}-changelog", config.consumer_id))
        .set("transactional.id", format!("{}-{}", config.group_id, config.consumer_id))
        .set("reconnect.backoff.max.ms", "2000")
        .set("linger.ms", "0")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "200000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        // Connections in use carry a membership check more often; see `TransactionalProducer::send_offsets`.
        .set("connections.max.idle.ms", (config.session_timeout * 3).as_millis().to_string())
        .set("enable.metrics.push", "false");
    client
}

/// Whether librdkafka takes the settings: some it refuses only together, when a client is made of them.
pub(crate) fn try_settings(config: &Config) -> KafkaResult<()> {
    for mut client in [group_config(config), restore_config(config)] {
        // Without brokers and a group it meets nobody and has nothing to leave.
        client.remove("bootstrap.servers");
        client.remove("group.id");
        client.create::<BaseConsumer>()?;
    }
    Ok(())
}

fn common(config: &Config) -> ClientConfig {
    let mut client = config.connection.client_config();
    // These may be replaced from outside, unlike those below.
    client.set("enable.metrics.push", "false").set("reconnect.backoff.max.ms", "2000");
    for (key, value) in &config.extra_config {
        client.set(key, value);
    }
    client
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An offset that is not in the log must be reported, never replaced by another one.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        // A partition that has just come waits for the request under way; at rest these requests are most of the work.
        .set("fetch.wait.max.ms", "100")
        // With the default of a second, a full queue stalls its partitions (librdkafka#3662).
        .set("fetch.queue.backoff.ms", "2")
        // More is not faster, and what waits is out of the processor's caches when its turn comes. It bounds what is
        // asked for at once, too.
        .set("queued.max.messages.kbytes", "4096")
        .set("topic.metadata.refresh.interval.ms", "10000");
    client
}

/// What the group asks of this member.
#[derive(Debug)]
pub(crate) struct Rebalance {
    pub(crate) kind: RebalanceKind,
    /// Sorted.
    pub(crate) partitions: Vec<i32>,
    /// The membership in which it was asked.
    pub(crate) membership: Option<GroupMetadata>,
}

/// See [`Rebalance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebalanceKind {
    Assign,
    Revoke,
    /// Already gone: the group did not wait. The client may fail to notice, so nothing but the log relies on it.
    Lost,
}

/// Takes rebalances from librdkafka; the poll thread carries them out right after the poll that brought them.
///
/// librdkafka has paused every partition by then, and waits for the assignment to change.
pub(crate) struct Context {
    rebalances: Mutex<VecDeque<Rebalance>>,
    error_log: ClientErrorLog,
    watch: TopicWatch,
}

impl Context {
    /// The id of the topic under which records are fetched, once there are any.
    pub(crate) fn topic_id(&self) -> Option<String> {
        self.watch.id()
    }

    /// The oldest rebalance not yet carried out.
    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().pop_front()
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, asked: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let membership = GroupMetadata::capture(consumer);
        let is_member = membership.as_ref().is_some_and(GroupMetadata::is_member);
        let kind = match asked {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => RebalanceKind::Assign,
            // The flag alone is not enough: an assignment that is under way takes it back (librdkafka#5604).
            _ if consumer.assignment_lost() || !is_member => RebalanceKind::Lost,
            _ => RebalanceKind::Revoke,
        };
        let mut partitions: Vec<_> = list.elements().iter().map(|element| element.partition()).collect();
        partitions.sort_unstable();
        self.rebalances.lock().push_back(Rebalance { kind, partitions, membership });
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if !self.watch.heard(level, message) {
            log_client(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.error_log.note(&error, reason);
    }
}

/// Logs the errors that a client reports, each kind once in a while.
pub(crate) struct ClientErrorLog {
    who: &'static str,
    /// By the number of the error's code.
    seen: Mutex<Throttle<i32>>,
}

impl ClientErrorLog {
    pub(crate) fn of(who: &'static str) -> Self {
        Self { who, seen: Mutex::new(Throttle::new(SAME_ERROR_EVERY)) }
    }

    fn note(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if code == RDKafkaErrorCode::PartitionEOF {
            return; // asked for, and no trouble
        }
        if let Some(suppressed) = self.seen.lock().admit(code as i32, Instant::now()) {
            tracing::warn!(%code, reason, suppressed, "the {} reports a problem and goes on trying", self.who);
        }
    }
}

/// librdkafka's own lines say in detail what [`ClientContext::error`] says in short, hence one level lower.
fn log_client(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::info!(target: "librdkafka", facility, "{message}");
        }
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use balancefleet_kafka::reserved_keys::refusal;

    use super::*;
    use crate::config::{self, Command};

    #[test]
    fn nothing_that_was_accepted_from_outside_is_overridden_in_silence() {
        let Ok(Command::Run(mut config)) = config::load(["balance-worker".into()], &BTreeMap::new()) else { panic!() };
        for (key, value) in [("enable.metrics.push", "true"), ("reconnect.backoff.max.ms", "7000")] {
            config.extra_config.insert(key.to_owned(), value.to_owned());
        }
        for client in [group_config(&config), restore_config(&config)] {
            for (key, value) in client.config_map() {
                let is_replaced = config.extra_config.get(key).is_some_and(|given| given == value);
                assert!(is_replaced || refusal(key).is_some(), "{key} = {value}");
            }
        }
        assert_eq!(try_settings(&config), Ok(()));
    }
}
