//! What a worker asks of the cluster beyond reading: making topics, adding partitions, looking at settings.
//!
//! Blocking, for threads that may wait. Every refusal names the operation and the right that allows it.

use std::{collections::BTreeMap, time::Duration};

use balancefleet_kafka::{Connection, Error};
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigResourceResult, ConfigSource, NewPartitions,
        NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    metadata::{MetadataPartition, MetadataTopic},
};
use tokio::runtime::Handle;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Settings by their names; those without a value are left out.
pub(crate) type Settings = BTreeMap<String, String>;

/// Of a topic.
pub(crate) struct TopicSettings {
    /// Those that it was given itself.
    pub(crate) own: Settings,
    /// With the cluster's defaults.
    pub(crate) in_effect: Settings,
}

/// Of the partition of a topic that has fewest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replicas {
    pub(crate) all: usize,
    pub(crate) least_in_sync: usize,
}

pub(crate) struct Cluster {
    client: AdminClient<DefaultClientContext>,
    runtime: Handle,
}

/// What is about to be done, for errors.
#[derive(Clone, Copy)]
struct AdminOperation<'a> {
    verb: &'a str,
    object: &'a str,
    needs: &'static str,
}

impl Cluster {
    /// # Errors
    /// The settings of the connection cannot work.
    pub(crate) fn connect(connection: &Connection, runtime: Handle) -> Result<Self, Error> {
        let client =
            connection.client_config().create().map_err(|error| Error::Invalid { detail: error.to_string() })?;
        Ok(Self { client, runtime })
    }

    /// Makes a topic; false when somebody else was first.
    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: Option<i32>,
        settings: &[(&str, &str)],
    ) -> Result<bool, Error> {
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(replication.unwrap_or(-1)));
        let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
        let topics = [new];
        let outcome = self.runtime.block_on(self.client.create_topics(&topics, &options()));
        let operation =
            AdminOperation { verb: "create", object: &topic(name), needs: "Create on that topic or on the cluster" };
        match only(outcome) {
            Ok(_) => Ok(true),
            Err(KafkaError::AdminOp(Code::TopicAlreadyExists)) => Ok(false),
            Err(error) => Err(operation.error(&error)),
        }
    }

    /// Adds partitions until there are `partitions`; it is no error when there are already.
    pub(crate) fn grow_topic(&self, name: &str, partitions: i32) -> Result<(), Error> {
        let more = [NewPartitions::new(name, usize::try_from(partitions).unwrap_or_default())];
        let outcome = self.runtime.block_on(self.client.create_partitions(&more, &options()));
        let operation =
            AdminOperation { verb: "add partitions to", object: &topic(name), needs: "Alter on that topic" };
        match only(outcome) {
            Ok(_) | Err(KafkaError::AdminOp(Code::InvalidPartitions)) => Ok(()),
            Err(error) => Err(operation.error(&error)),
        }
    }

    /// Replaces the settings of a topic: those not named fall back to the cluster's defaults.
    pub(crate) fn configure_topic(&self, name: &str, settings: &[(&str, &str)]) -> Result<(), Error> {
        let all = AlterConfig::new(ResourceSpecifier::Topic(name));
        let all = [settings.iter().fold(all, |all, (key, value)| all.set(key, value))];
        let outcome = self.runtime.block_on(self.client.alter_configs(&all, &options()));
        let operation = AdminOperation { verb: "configure", object: &topic(name), needs: "AlterConfigs on that topic" };
        only(outcome).map(drop).map_err(|error| operation.error(&error))
    }

    pub(crate) fn topic_settings(&self, name: &str) -> Result<TopicSettings, Error> {
        let operation = AdminOperation {
            verb: "look at the settings of",
            object: &topic(name),
            needs: "DescribeConfigs on that topic",
        };
        let entries = self.entries(&ResourceSpecifier::Topic(name), operation)?;
        let own = entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        Ok(TopicSettings { own: with_values(own), in_effect: with_values(&entries) })
    }

    /// The settings of any one broker.
    pub(crate) fn broker_settings(&self) -> Result<Settings, Error> {
        let operation = AdminOperation {
            verb: "look at the settings of",
            object: "the brokers",
            needs: "DescribeConfigs on the cluster",
        };
        let known = self.client.inner().fetch_metadata(None, TIMEOUT).map_err(|error| operation.error(&error))?;
        let Some(broker) = known.brokers().first() else {
            return Err(Error::Transient { what: "its brokers".to_owned(), detail: "none is known".to_owned() });
        };
        self.entries(&ResourceSpecifier::Broker(broker.id()), operation).map(|entries| with_values(&entries))
    }

    /// What a topic's partitions have at least; `None` while the brokers do not all know it yet.
    pub(crate) fn replicas(&self, name: &str) -> Result<Option<Replicas>, Error> {
        let operation = AdminOperation { verb: "describe", object: &topic(name), needs: "Describe on that topic" };
        let known = self.client.inner().fetch_metadata(Some(name), TIMEOUT).map_err(|error| operation.error(&error))?;
        let partitions = known.topics().first().map(MetadataTopic::partitions).unwrap_or_default();
        let least = |count: fn(&MetadataPartition) -> usize| partitions.iter().map(count).min();
        let all = least(|partition| partition.replicas().len());
        let in_sync = least(|partition| partition.isr().len());
        Ok(all.zip(in_sync).map(|(all, least_in_sync)| Replicas { all, least_in_sync }))
    }

    fn entries(
        &self,
        resource: &ResourceSpecifier<'_>,
        operation: AdminOperation<'_>,
    ) -> Result<Vec<ConfigEntry>, Error> {
        let outcome = self.runtime.block_on(self.client.describe_configs([resource], &options()));
        let described = outcome.map_err(|error| operation.error(&error))?;
        parse_configs(resource, described, operation)
    }
}

fn parse_configs(
    resource: &ResourceSpecifier<'_>,
    mut described: Vec<ConfigResourceResult>,
    operation: AdminOperation<'_>,
) -> Result<Vec<ConfigEntry>, Error> {
    match described.pop() {
        // The client keeps the reason to itself. Every broker and every topic has settings.
        Some(Ok(found)) if found.entries.is_empty() => Err(no_configs(resource, operation)),
        Some(Ok(found)) => Ok(found.entries),
        Some(Err(code)) => Err(operation.error(&KafkaError::AdminOp(code))),
        None => Err(operation.error(&KafkaError::AdminOp(Code::Unknown))),
    }
}

fn with_values<'a>(entries: impl IntoIterator<Item = &'a ConfigEntry>) -> Settings {
    entries.into_iter().filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?))).collect()
}

/// Nobody told any settings: a broker that has yet to hear of a new topic, or may not tell.
fn no_configs(resource: &ResourceSpecifier<'_>, operation: AdminOperation<'_>) -> Error {
    let AdminOperation { verb, object, needs } = operation;
    match resource {
        ResourceSpecifier::Broker(_) => Error::Authorization {
            operation: format!("{verb} {object}"),
            needs,
            detail: "no settings were told".to_owned(),
        },
        _ => Error::Transient {
            what: object.to_owned(),
            detail: format!("no settings were told: too new for the broker that was asked, or {needs} is missing"),
        },
    }
}

impl AdminOperation<'_> {
    fn error(self, error: &KafkaError) -> Error {
        let Self { verb, object, needs } = self;
        let code = match error {
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        let detail = code.map_or_else(|| error.to_string(), |code| code.to_string());
        let operation = format!("{verb} {object}");
        match code {
            Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
                Error::Authorization { operation, needs, detail }
            }
            Some(Code::OperationTimedOut | Code::RequestTimedOut) => {
                Error::Timeout { what: object.to_owned(), detail, timeout: TIMEOUT }
            }
            Some(
                Code::InvalidReplicationFactor
                | Code::InvalidTopic
                | Code::InvalidConfig
                | Code::PolicyViolation
                | Code::InvalidReplicaAssignment
                | Code::InvalidRequest
                | Code::UnsupportedVersion,
            ) => Error::Other { what: format!("the request to {operation}"), detail },
            _ => Error::Transient { what: object.to_owned(), detail },
        }
    }
}

fn topic(name: &str) -> String {
    format!("topic {name}")
}

/// The outcome of a request about one thing.
fn only<T, N>(outcome: KafkaResult<Vec<Result<T, (N, Code)>>>) -> KafkaResult<Option<T>> {
    match outcome?.pop() {
        Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
        Some(Ok(one)) => Ok(Some(one)),
        None => Ok(None),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

#[cfg(test)]
mod tests {
    use balancefleet_kafka::ErrorKind;
    use rdkafka::admin::{ConfigResource, OwnedResourceSpecifier};

    use super::*;

    fn nothing_about(resource: &ResourceSpecifier<'_>, specifier: OwnedResourceSpecifier) -> ErrorKind {
        let operation =
            AdminOperation { verb: "look at the settings of", object: "it", needs: "DescribeConfigs on it" };
        parse_configs(resource, vec![Ok(ConfigResource { specifier, entries: Vec::new() })], operation)
            .unwrap_err()
            .kind()
    }

    #[test]
    fn no_settings_are_no_answer() {
        // A broker that does not know a new topic yet will.
        let topic = nothing_about(&ResourceSpecifier::Topic("t"), OwnedResourceSpecifier::Topic("t".to_owned()));
        assert_eq!(topic, ErrorKind::Transient);
        let broker = nothing_about(&ResourceSpecifier::Broker(1), OwnedResourceSpecifier::Broker(1));
        assert_eq!(broker, ErrorKind::Authorization);
    }
}
