//! Pure. The worker's environment: the whole configuration of a pod, in one stable order.

use std::collections::BTreeMap;

use balancefleet_crds::{Changelog, Ledger, Sign, StartFrom, Store};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};

use super::metadata::{HTTP_PORT, peers_service_name};
use crate::controller::validate::ValidatedGroup;

pub(super) const CA_DIRECTORY: &str = "/etc/balancefleet/kafka-ca";
pub(super) const CERTIFICATE_DIRECTORY: &str = "/etc/balancefleet/kafka-certificate";
pub(super) const LOGIN_DIRECTORY: &str = "/etc/balancefleet/kafka-login";
/// The variable with the assignor's protocol name; it tells the assignor of a pod, and of a Deployment without our
/// annotation.
pub(crate) const ASSIGNOR_VARIABLE: &str = "KAFKA_ASSIGNOR";
pub(super) const DATABASE_DIRECTORY: &str = "/etc/balancefleet/database";

/// The operator's variables in a fixed order, then the user's in theirs.
pub(super) fn environment(group: &ValidatedGroup) -> Vec<EnvVar> {
    let mut variables = vec![field("POD_NAME", "metadata.name"), field("POD_UID", "metadata.uid")];
    variables.extend(kafka(group));
    variables.extend(security(group));
    variables.extend(ledger(group));
    variables.extend(http(group));
    let ours = variables.len();
    for own in &group.worker.env {
        // An installed CRD that is older than the operator may not refuse all of our names.
        if !variables[..ours].iter().any(|variable| variable.name == own.name) {
            variables.push(literal(&own.name, &own.value));
        }
    }
    variables
}

fn kafka(group: &ValidatedGroup) -> Vec<EnvVar> {
    let consumer = &group.consumer;
    let mut variables = vec![
        literal("KAFKA_BOOTSTRAP_SERVERS", &group.bootstrap_servers),
        literal("KAFKA_TOPIC", &group.topic),
        literal("KAFKA_GROUP_ID", &group.group_id),
        literal("KAFKA_AUTO_OFFSET_RESET", start_from(consumer.start_from)),
        literal("KAFKA_SESSION_TIMEOUT", consumer.session_timeout),
        literal("KAFKA_HEARTBEAT_INTERVAL", consumer.heartbeat_interval),
        literal("KAFKA_MAX_POLL_INTERVAL", consumer.max_poll_interval),
        literal(ASSIGNOR_VARIABLE, consumer.assignor.protocol_name()),
    ];
    for (key, value) in &group.extra_config {
        variables.push(literal(&format!("KAFKA_CONFIG_{}", key.replace('.', "_").to_uppercase()), value));
    }
    variables
}

fn security(group: &ValidatedGroup) -> Vec<EnvVar> {
    let files = &group.files;
    let mut variables = Vec::new();
    if files.tls {
        variables.push(literal("KAFKA_TLS_ENABLED", true));
    }
    if files.authority.is_some() {
        variables.push(literal("KAFKA_TLS_CA_FILE", format!("{CA_DIRECTORY}/ca.crt")));
    }
    if files.client_certificate.is_some() {
        variables.push(literal("KAFKA_TLS_CERTIFICATE_FILE", format!("{CERTIFICATE_DIRECTORY}/tls.crt")));
        variables.push(literal("KAFKA_TLS_KEY_FILE", format!("{CERTIFICATE_DIRECTORY}/tls.key")));
    }
    if let Some((mechanism, _)) = &files.login {
        variables.push(literal("KAFKA_SASL_MECHANISM", mechanism));
        variables.push(literal("KAFKA_SASL_USERNAME_FILE", format!("{LOGIN_DIRECTORY}/username")));
        variables.push(literal("KAFKA_SASL_PASSWORD_FILE", format!("{LOGIN_DIRECTORY}/password")));
    }
    variables
}

fn ledger(group: &ValidatedGroup) -> Vec<EnvVar> {
    let mut variables = vec![literal(
        "WORKER_LEDGER",
        match group.ledger {
            Ledger::Balances => "balances",
            Ledger::Count => "count",
        },
    )];
    if let Some(kept) = &group.store {
        variables.extend(store(kept));
    }
    if let Some(database) = &group.database {
        variables.push(from_secret("BALANCE_POSTGRES_URL", &database.name, "url"));
        if database.has_authority {
            variables.push(literal("BALANCE_POSTGRES_CA_FILE", format!("{DATABASE_DIRECTORY}/ca.crt")));
        }
    }
    if let Some(topic) = &group.dead_letter_topic {
        variables.push(literal("BALANCE_DEAD_LETTER_TOPIC", topic));
    }
    if !group.signs.is_empty() {
        variables.push(literal("BALANCE_SIGNS", pairs(&group.signs, |sign| sign_name(*sign))));
    }
    if !group.minor_units.is_empty() {
        variables.push(literal("BALANCE_MINOR_UNITS", pairs(&group.minor_units, i32::to_string)));
    }
    variables.push(literal("SIMULATED_WORK", group.worker.simulated_work));
    variables
}

/// Only what the object sets: the worker has the defaults.
fn store(store: &Store) -> Vec<EnvVar> {
    let mut variables = vec![literal("BALANCE_STORE", store.kind().name())];
    let Changelog { topic, replication_factor, commit_interval } = match store {
        Store::Changelog(changelog) => changelog,
        // The database's variables come from its Secret, above; `replay` has no settings.
        Store::Postgres(_) | Store::Replay(_) => return variables,
    };
    variables.extend(topic.as_ref().map(|name| literal("BALANCE_CHANGELOG_TOPIC", name)));
    variables.extend(replication_factor.map(|replicas| literal("BALANCE_CHANGELOG_REPLICATION", replicas)));
    variables.extend(commit_interval.map(|interval| literal("BALANCE_COMMIT_INTERVAL", interval)));
    variables
}

fn http(group: &ValidatedGroup) -> Vec<EnvVar> {
    let peers = peers_service_name(&group.key.name);
    vec![
        literal("HTTP_ADDRESS", format!("0.0.0.0:{HTTP_PORT}")),
        literal("WORKER_PEERS", format!("{peers}.{}.svc:{HTTP_PORT}", group.key.namespace)),
        literal("LOG_FORMAT", "json"),
    ]
}

fn sign_name(sign: Sign) -> &'static str {
    match sign {
        Sign::Credit => "credit",
        Sign::Debit => "debit",
        Sign::Ignore => "ignore",
    }
}

fn start_from(start: StartFrom) -> &'static str {
    match start {
        StartFrom::Earliest => "earliest",
        StartFrom::Latest => "latest",
    }
}

fn pairs<V, T: std::fmt::Display>(map: &BTreeMap<String, V>, word: impl Fn(&V) -> T) -> String {
    map.iter().map(|(key, value)| format!("{key}={}", word(value))).collect::<Vec<_>>().join(",")
}

fn literal(name: &str, value: impl std::fmt::Display) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(format!("{value}")), ..EnvVar::default() }
}

/// A variable that the kubelet reads from the Secret, so that no other object holds the value.
fn from_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() }),
        ..EnvVar::default()
    }
}

fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: path.to_owned(), ..ObjectFieldSelector::default() }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}
