//! What must be true before the group is joined: the brokers answer, the topic is there, and the store can work with it.
//!
//! What may pass is waited for, with a line that says what to do; what cannot pass is refused.

use std::time::Duration;

use balancefleet_kafka::{Admin, Error, ErrorKind};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    consumer::describe,
    rules::LedgerKind,
    store::{StoreKind, Unfit, prepare_changelog},
    view::{TopicFacts, View},
};

/// Short enough that a stop is not held up.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Why this worker can never work with this topic.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Balances are folded from every record, and some are gone.
    #[error(
        "topic {topic} is compacted (cleanup.policy={policy}), so it does not keep every record: the replay store needs a \
         topic with cleanup.policy=delete that keeps its records longer than the group lives"
    )]
    Compacted {
        /// The topic.
        topic: String,
        /// Its policy.
        policy: String,
    },
    /// The changelog would not keep what is written to it.
    #[error(transparent)]
    Changelog(Unfit),
    /// The connection's settings cannot work.
    #[error(transparent)]
    Connection(Error),
}

/// Waits until the group can be joined; `None` when `stop` came first.
pub(crate) fn pass(
    config: &Config,
    admin: &Admin,
    view: &View,
    runtime: &Handle,
    stop: &CancellationToken,
) -> Result<Option<TopicFacts>, Refusal> {
    while !stop.is_cancelled() {
        view.tick();
        match check(config, admin, runtime, true)? {
            Ok(facts) => {
                view.set_waiting_for(None);
                return Ok(Some(facts));
            }
            Err(error) => view.set_waiting_for(Some(&error)),
        }
        runtime.block_on(async { tokio::time::timeout(AGAIN, stop.cancelled()).await.ok() });
    }
    Ok(None)
}

/// One look: the topic, why the brokers cannot tell now, or why they need not be asked again. With `make` the store's own
/// topics are made where they are missing.
pub(crate) fn check(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
    make: bool,
) -> Result<Result<TopicFacts, Error>, Refusal> {
    // The group is read only to learn whether that is allowed.
    let group = |facts| admin.committed_offsets(&config.group_id, None, false, TIMEOUT).map(|_| facts);
    let facts = match describe(admin, &config.topic, TIMEOUT).and_then(group) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::Invalid => return Err(Refusal::Connection(error)),
        Err(error) => return Ok(Err(error)),
    };
    if config.rules.ledger == LedgerKind::Balances && config.store == StoreKind::Changelog {
        return match prepare_changelog(config, admin, runtime, facts.partition_count, make) {
            Ok(()) => Ok(Ok(facts)),
            Err(Unfit::Kafka(error)) => Ok(Err(error)),
            Err(unfit) => Err(Refusal::Changelog(unfit)),
        };
    }
    if config.rules.ledger == LedgerKind::Balances {
        match runtime.block_on(cleanup_policy(config)) {
            Some(policy) if policy.contains("compact") => {
                return Err(Refusal::Compacted { topic: config.topic.clone(), policy });
            }
            Some(_) => {}
            None => tracing::warn!(
                topic = config.topic,
                "cannot read the topic's settings: make sure that it is not compacted, or grant DescribeConfigs"
            ),
        }
    }
    Ok(Ok(facts))
}

async fn cleanup_policy(config: &Config) -> Option<String> {
    let client: AdminClient<DefaultClientContext> = config.connection.client_config().create().ok()?;
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let topic = ResourceSpecifier::Topic(&config.topic);
    let described = client.describe_configs([&topic], &options).await.ok()?.pop()?.ok()?;
    described.get("cleanup.policy").and_then(|entry| entry.value.clone())
}
