//! The compacted topic: its name, its settings, and how it grows with the input.

use std::time::Duration;

use balancefleet_kafka::{Admin, Error, ErrorKind};
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
        TopicResult,
    },
    client::DefaultClientContext,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::{config::Config, consumer::describe};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Kafka takes no longer names.
const MAX_NAME: usize = 249;
/// From so many replicas on, a write has to reach two.
const SAFE_REPLICAS: usize = 3;

/// So many tenths of a second a new topic may take until every broker knows it.
const KNOWN_AFTER: usize = 50;

/// The settings of a changelog. Only the newest value of each customer is needed, and that for ever.
const SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("delete.retention.ms", "60000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.3"),
    ("max.compaction.lag.ms", "600000"),
];

/// Why a topic cannot be the changelog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// It would lose balances, or never shrink.
    #[error(
        "topic {topic} has cleanup.policy={policy}: a changelog needs compact and nothing else, or balances would be deleted; \
         change the topic (kafka-configs --alter --add-config cleanup.policy=compact) or name another one"
    )]
    Policy {
        /// The topic.
        topic: String,
        /// Its policy.
        policy: String,
    },
    /// It may pass, or somebody has to allow it.
    #[error(transparent)]
    Kafka(#[from] Error),
}

/// The name of a group's changelog unless it is configured: no two pairs of group and topic share one.
pub(crate) fn default_topic(group: &str, topic: &str) -> String {
    let digest = Sha256::digest(format!("{group}\0{topic}"));
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let end = format!("-changelog-{digits}");
    let name: String = format!("{group}-{topic}").chars().map(legal).take(MAX_NAME - end.len()).collect();
    name + &end
}

/// See the module.
pub(super) struct Topic {
    pub(super) name: String,
    replication: Option<i32>,
    connection: balancefleet_kafka::Connection,
    runtime: Handle,
}

impl Topic {
    pub(super) fn new(config: &Config, runtime: Handle) -> Self {
        Self {
            name: config.changelog_topic.clone(),
            replication: config.changelog_replication,
            connection: config.connection.clone(),
            runtime,
        }
    }

    /// Looks at the topic; with `make` it is made, or grown, to have `partitions`.
    pub(super) fn prepare(&self, admin: &Admin, partitions: i32, make: bool) -> Result<(), Unfit> {
        match describe(admin, &self.name, TIMEOUT) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::UnknownTopic && make => self.create(partitions)?,
            Err(error) if error.kind() == ErrorKind::UnknownTopic => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // Also after making it: somebody else may have been first, with other settings.
        self.check()?;
        if make { Ok(self.grow_to(admin, partitions)?) } else { Ok(()) }
    }

    /// Adds partitions until there are at least as many as the input has.
    pub(super) fn grow_to(&self, admin: &Admin, partitions: i32) -> Result<(), Error> {
        let found = describe(admin, &self.name, TIMEOUT)?.partition_count;
        if found >= partitions {
            return Ok(());
        }
        tracing::info!(topic = self.name, from = found, to = partitions, "adding partitions to the changelog");
        let more = NewPartitions::new(&self.name, usize::try_from(partitions).unwrap_or_default());
        let client = self.client()?;
        let outcome = self.runtime.block_on(client.create_partitions([&more], &options()));
        // Of several owners of new partitions, one is first.
        self.done(outcome, "adding partitions to", &[Code::InvalidPartitions])
    }

    /// Makes a plain topic of that name with as many partitions, unless there is one.
    pub(super) fn make_beside(&self, admin: &Admin, name: &str, partitions: i32) -> Result<(), Error> {
        match describe(admin, name, TIMEOUT) {
            Err(error) if error.kind() == ErrorKind::UnknownTopic => {}
            known => return known.map(drop),
        }
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(self.replication.unwrap_or(-1)));
        let outcome = self.runtime.block_on(self.client()?.create_topics([&new], &options()));
        self.done(outcome, "creating", &[Code::TopicAlreadyExists])?;
        tracing::info!(topic = name, partitions, "created the dead letter topic");
        Ok(())
    }

    fn create(&self, partitions: i32) -> Result<(), Error> {
        let replication = TopicReplication::Fixed(self.replication.unwrap_or(-1));
        let new = NewTopic::new(&self.name, partitions, replication);
        let new = SETTINGS.iter().fold(new, |new, (key, value)| new.set(key, value));
        let client = self.client()?;
        let outcome = self.runtime.block_on(client.create_topics([&new], &options()));
        // Workers that start together all try.
        self.done(outcome, "creating", &[Code::TopicAlreadyExists])?;
        tracing::info!(topic = self.name, partitions, "created the changelog");
        self.raise_min_insync(&client)
    }

    /// With three replicas or more an acknowledged write shall survive the loss of any one broker.
    fn raise_min_insync(&self, client: &AdminClient<DefaultClientContext>) -> Result<(), Error> {
        let mut replicas = self.replicas(client)?;
        for _ in 0..KNOWN_AFTER {
            if replicas.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            replicas = self.replicas(client)?;
        }
        let unknown = || Error::Transient { what: format!("topic {}", self.name), detail: "just made".to_owned() };
        let replicas = replicas.ok_or_else(unknown)?;
        if replicas < SAFE_REPLICAS {
            return Ok(());
        }
        let settings = AlterConfig::new(ResourceSpecifier::Topic(&self.name)).set("min.insync.replicas", "2");
        let settings = SETTINGS.iter().fold(settings, |settings, (key, value)| settings.set(key, value));
        let altered = self.runtime.block_on(client.alter_configs([&settings], &options()));
        let outcome = altered.map_err(|error| self.error(&error, "configuring"))?;
        match outcome.into_iter().find_map(Result::err) {
            Some((_, code)) => Err(self.error(&KafkaError::AdminOp(code), "configuring")),
            None => Ok(()),
        }
    }

    /// How many replicas there are; `None` while the brokers do not all know the topic yet.
    fn replicas(&self, client: &AdminClient<DefaultClientContext>) -> Result<Option<usize>, Error> {
        let known = client.inner().fetch_metadata(Some(&self.name), TIMEOUT);
        let known = known.map_err(|error| self.error(&error, "describing"))?;
        let partition = known.topics().first().and_then(|topic| topic.partitions().first());
        Ok(partition.map(|partition| partition.replicas().len()))
    }

    fn check(&self) -> Result<(), Unfit> {
        let client = self.client()?;
        let topic = ResourceSpecifier::Topic(&self.name);
        let described = self.runtime.block_on(client.describe_configs([&topic], &options()));
        let entries = described.map_err(|error| self.error(&error, "describing"))?.pop();
        let policy = match entries {
            Some(Ok(entries)) => entries.get("cleanup.policy").and_then(|entry| entry.value.clone()),
            Some(Err(code)) => return Err(self.error(&KafkaError::AdminOp(code), "describing").into()),
            None => None,
        };
        match policy {
            Some(policy) if policy == "compact" => Ok(()),
            policy => Err(Unfit::Policy { topic: self.name.clone(), policy: policy.unwrap_or_default() }),
        }
    }

    fn client(&self) -> Result<AdminClient<DefaultClientContext>, Error> {
        self.connection.client_config().create().map_err(|error| Error::Invalid { detail: error.to_string() })
    }

    fn done(&self, outcome: KafkaResult<Vec<TopicResult>>, doing: &str, harmless: &[Code]) -> Result<(), Error> {
        let outcome = outcome.map_err(|error| self.error(&error, doing))?;
        match outcome.into_iter().find_map(Result::err) {
            Some((_, code)) if !harmless.contains(&code) => Err(self.error(&KafkaError::AdminOp(code), doing)),
            _ => Ok(()),
        }
    }

    fn error(&self, error: &KafkaError, doing: &str) -> Error {
        let what = format!("{doing} the changelog topic {}", self.name);
        let detail = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
        match error.rdkafka_error_code() {
            Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
                Error::Authorization { what, detail }
            }
            Some(Code::OperationTimedOut | Code::RequestTimedOut) => Error::Timeout { what, detail, timeout: TIMEOUT },
            _ => Error::Transient { what, detail },
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_and_topic_has_a_changelog_of_its_own() {
        let name = default_topic("balance-service", "banking.transactions");
        assert!(name.starts_with("balance-service-banking.transactions-changelog-") && name.len() == 55, "{name}");
        let names =
            [("a", "b-c"), ("a-b", "c"), ("a", "b_c"), ("a", "b c")].map(|(group, topic)| default_topic(group, topic));
        for (place, name) in names.iter().enumerate() {
            assert!(names[place + 1..].iter().all(|other| other != name), "{name}");
        }
    }

    #[test]
    fn the_name_is_legal_whatever_the_groups_is() {
        for name in [default_topic("géant / ü", "t"), default_topic(&"g".repeat(300), &"t".repeat(300))] {
            let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(name.len() <= MAX_NAME && name.chars().all(legal), "{name}");
        }
    }
}
