//! Joins the group as its only member while a tool changes the group's state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use balancefleet_kafka::{Admin, GroupMetadata};
use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer as _, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
};

use super::tools::OpsError;
use crate::{
    config::Config,
    kafka_clients::{GroupConsumer, group_consumer},
    leave_group::leave,
};

/// The longest wait for an assignment: a group without members gives it within seconds.
const JOIN_WITHIN: Duration = Duration::from_secs(60);
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// A consumer that can join the group.
pub(super) fn consumer(config: &Config) -> Result<Arc<GroupConsumer>, OpsError> {
    let consumer = Arc::new(group_consumer(config).map_err(|error| settings(&error))?);
    // Destroying a consumer may hang (librdkafka#4362), and the process is about to end.
    std::mem::forget(consumer.clone());
    Ok(consumer)
}

fn settings(error: &KafkaError) -> OpsError {
    OpsError::Impossible(format!("the Kafka client: {error}"))
}

/// Joins the group, works under that membership, and leaves.
///
/// If another member joins meanwhile, the group moves to another generation, in which commits under this membership are
/// refused.
pub(super) fn as_only_member<T>(
    consumer: &GroupConsumer,
    config: &Config,
    admin: &Admin,
    partitions: i32,
    work: impl FnOnce(GroupMetadata) -> Result<T, OpsError>,
) -> Result<T, OpsError> {
    consumer.subscribe(&[&config.topic]).map_err(|error| settings(&error))?;
    let outcome = join(consumer, partitions).and_then(|membership| {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| stay(consumer, &is_over));
            let outcome = work(membership);
            is_over.store(true, Ordering::Relaxed);
            outcome
        })
    });
    leave(consumer, admin, &config.group_id, false, Instant::now() + LEAVE_WITHIN);
    outcome
}

/// Waits until the group has given all partitions to this member.
fn join(consumer: &GroupConsumer, partitions: i32) -> Result<GroupMetadata, OpsError> {
    let deadline = Instant::now() + JOIN_WITHIN;
    while Instant::now() < deadline {
        drop(consumer.poll(POLL));
        let Some(rebalance) = consumer.context().next_rebalance() else { continue };
        accept(consumer).map_err(|error| OpsError::Impossible(format!("the group cannot be joined: {error}")))?;
        let is_all = rebalance.partitions == (0..partitions).collect::<Vec<_>>();
        let membership = rebalance.membership.filter(|membership| is_all && membership.is_member());
        return membership.ok_or_else(|| {
            OpsError::Impossible(
                "other workers have joined the group: stop them first, for example with spec.replicas: 0".to_owned(),
            )
        });
    }
    Err(OpsError::Impossible(format!("the group could not be joined within {JOIN_WITHIN:?}: look at the brokers")))
}

/// Polls in the background: a member that does not poll is removed from the group.
fn stay(consumer: &GroupConsumer, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        drop(consumer.poll(POLL));
        while let Some(rebalance) = consumer.context().next_rebalance() {
            tracing::warn!(?rebalance, "somebody else has joined the group");
            if let Err(error) = accept(consumer) {
                tracing::warn!(%error, "the client does not take an assignment");
            }
        }
    }
}

/// Nothing is ever fetched through the group.
fn accept(consumer: &GroupConsumer) -> KafkaResult<()> {
    let nothing = TopicPartitionList::new();
    if matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
        consumer.incremental_assign(&nothing)
    } else {
        consumer.assign(&nothing)
    }
}
