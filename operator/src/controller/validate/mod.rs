//! Pure. Turns the object as written and the Secrets as read into a [`ValidatedGroup`], with every default and
//! reference resolved once, or into a [`Problem`]. Children are built from the validated group alone.
//! The raw spec is still read for the choice of the assignor, for a pause, a pin and a dry run, and for the status.

use std::collections::BTreeMap;

use balancefleet_crds::{Assignor, BalanceConsumerGroup, Consumer, Ledger, Scaling, Sign, Store, Worker, reasons};
use balancefleet_kafka::{self as kafka, Connection};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

mod connection;

use super::secrets::SecretReading;
use crate::poller::ObjectKey;
use connection::{database, database_secret, files, login, tls, versions};

pub(super) use connection::qualify;

/// Why the operator cannot run the workers of an object; becomes `Ready=False` and one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// One of [`balancefleet_crds::reasons`].
    pub reason: &'static str,
    /// What happened and what to do next.
    pub message: String,
    /// What may end it: a retry, or only a change of the spec.
    pub remedy: Remedy,
}

/// What ends a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Something outside the object. Nothing announces it, so the operator retries.
    Retry,
    /// A change of the object, which triggers a reconcile.
    SpecChange,
}

/// The validated custom resource, with every default and reference resolved. (Its consumer group is `group_id`.)
#[derive(Debug, Clone)]
pub(super) struct ValidatedGroup {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The reference to the object, with which its children are deleted.
    pub owner: OwnerReference,
    /// Cluster, login and encryption, with the Secrets' contents. The brokers' names resolve from any namespace.
    pub connection: Connection,
    /// The brokers as written: the workers run in the object's namespace.
    pub bootstrap_servers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group in effect.
    pub group_id: String,
    /// The names of the Secrets that the worker mounts.
    pub files: SecretFiles,
    /// How the workers take part in the consumer group, with the assignor in effect.
    pub consumer: Consumer,
    /// Additional librdkafka settings.
    pub extra_config: BTreeMap<String, String>,
    /// What a record means.
    pub ledger: Ledger,
    /// Where balances are stored; `None` with the ledger `Count`.
    pub store: Option<Store>,
    /// The Secret of the PostgreSQL store; `None` with other stores.
    pub database: Option<DatabaseSecret>,
    /// Signs that differ from the defaults.
    pub signs: BTreeMap<String, Sign>,
    /// Decimal places in addition to or instead of the defaults.
    pub minor_units: BTreeMap<String, i32>,
    /// The topic for records that cannot be applied.
    pub dead_letter_topic: Option<String>,
    /// Goals and limits of scaling.
    pub scaling: Scaling,
    /// Settings of the pods.
    pub worker: Worker,
    /// The image in effect.
    pub image: String,
    /// The Secrets that the pods use, each with the resourceVersion that was read; a new version rolls the workers.
    pub secret_versions: BTreeMap<String, String>,
}

/// Which Secrets give which files; `None` if the file does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SecretFiles {
    /// `spec.kafka.tls` is set.
    pub tls: bool,
    /// Has `ca.crt`.
    pub authority: Option<String>,
    /// Has `tls.crt` and `tls.key`.
    pub client_certificate: Option<String>,
    /// Has `username` and `password`; with the mechanism.
    pub login: Option<(kafka::SaslMechanism, String)>,
}

/// The Secret of the PostgreSQL store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DatabaseSecret {
    /// Has `url`.
    pub name: String,
    /// Whether it has `ca.crt` as well.
    pub has_authority: bool,
}

/// What validation needs besides the object.
#[derive(Debug, Clone, Default)]
pub(super) struct ValidationContext<'a> {
    /// The Secrets that [`referenced_secrets`] names.
    pub secrets: BTreeMap<String, SecretReading>,
    /// The assignor in effect. A reconcile always sets it; `None` means the object's own.
    pub assignor: Option<Assignor>,
    /// The image that the operator last set in the existing Deployment.
    pub running_image: Option<&'a str>,
    /// The image of the operator's release.
    pub release_image: &'a str,
    /// An older object with the same group on the same Kafka.
    pub conflicting_group: Option<ObjectKey>,
}

/// The Secrets an object refers to, in its own namespace.
pub(super) fn referenced_secrets(group: &BalanceConsumerGroup) -> Vec<String> {
    let mut names = kafka_secrets(group);
    names.extend(database_secret(group).map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

/// The Secrets an object refers to for Kafka.
pub(super) fn kafka_secrets(group: &BalanceConsumerGroup) -> Vec<String> {
    let files = files(group);
    let mut names: Vec<String> =
        [files.authority, files.client_certificate, files.login.map(|(_, name)| name)].into_iter().flatten().collect();
    names.sort();
    names.dedup();
    names
}

/// Resolves the object.
///
/// # Errors
/// The first problem that keeps the children from being built; running workers stay as they are.
pub(super) fn validate(
    group: &BalanceConsumerGroup,
    context: &ValidationContext<'_>,
) -> Result<ValidatedGroup, Problem> {
    let key = key_of(group);
    let mut owner = group.controller_owner_ref(&()).ok_or_else(|| invalid("the object has no name or uid yet"))?;
    // `kubectl delete --cascade=foreground` then waits until the workers are gone.
    owner.block_owner_deletion = Some(true);
    let spec = &group.spec;
    if let Some(older) = &context.conflicting_group {
        return Err(Problem {
            reason: reasons::GROUP_SHARED,
            message: format!(
                "{older} is older and consumes with the same group `{}` on the same Kafka: give this object another \
                 spec.kafka.groupId, or delete one of them",
                group.effective_group_id()
            ),
            remedy: Remedy::Retry,
        });
    }
    for (setting, value) in &spec.kafka.extra_config {
        kafka::reserved_keys::check(setting, value)
            .map_err(|error| invalid(format!("spec.kafka.extraConfig: {error}")))?;
    }
    let files = files(group);
    let connection = connection(group, &files, &context.secrets)?;
    let image = spec.worker.image.as_deref().or(context.running_image).unwrap_or(context.release_image);
    let balances = spec.balances.clone().unwrap_or_default();
    Ok(ValidatedGroup {
        key,
        owner,
        connection,
        bootstrap_servers: spec.kafka.bootstrap_servers.clone(),
        topic: spec.kafka.topic.clone(),
        group_id: group.effective_group_id(),
        files,
        consumer: Consumer {
            assignor: context.assignor.unwrap_or(spec.kafka.consumer.assignor),
            ..spec.kafka.consumer.clone()
        },
        extra_config: spec.kafka.extra_config.clone(),
        ledger: spec.ledger,
        store: group.effective_store(),
        database: database(group, &context.secrets)?,
        signs: balances.signs,
        minor_units: balances.minor_units,
        dead_letter_topic: balances.dead_letter_topic,
        scaling: spec.scaling.clone(),
        worker: spec.worker.clone(),
        image: image.to_owned(),
        secret_versions: versions(&context.secrets),
    })
}

/// The connection, checked as far as possible without a network. A problem is reported where its cause was written: in
/// the object or in a Secret.
fn connection(
    group: &BalanceConsumerGroup,
    files: &SecretFiles,
    secrets: &BTreeMap<String, SecretReading>,
) -> Result<Connection, Problem> {
    let namespace = key_of(group).namespace;
    let plain = Connection::plaintext(qualify(&group.spec.kafka.bootstrap_servers, &namespace));
    plain.check().map_err(|error| invalid(error.to_string()))?;
    let connection = Connection { tls: tls(files, secrets)?, sasl: login(files, secrets)?, ..plain };
    connection.check().map_err(|error| Problem {
        reason: reasons::SECRET_INCOMPLETE,
        message: with_secrets(&error.to_string(), &kafka_secrets(group)),
        remedy: Remedy::Retry,
    })?;
    Ok(connection)
}

/// The message of a problem, with the names of the Secrets that may hold its cause.
pub(super) fn with_secrets(message: &str, names: &[String]) -> String {
    match names {
        [] => message.to_owned(),
        [name] => format!("{message}; look at Secret `{name}`"),
        names => format!("{message}; look at the Secrets `{}`", names.join("`, `")),
    }
}

/// Namespace and name; the kind is namespaced, so an object from the API server always has both.
pub(super) fn key_of(group: &BalanceConsumerGroup) -> ObjectKey {
    let meta = group.meta();
    ObjectKey { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem { reason: reasons::INVALID_SPEC, message: message.into(), remedy: Remedy::SpecChange }
}

#[cfg(test)]
mod tests;
