//! [`Settings`] → [`Config`], with every check of several settings that needs no network.

use std::io::IsTerminal;

use balancefleet_kafka::{ClientCertificate, Connection, Sasl, Tls};

use super::{
    effective::{Config, LogFormat, StartFrom, StoreKind},
    error::ConfigError,
    settings::Settings,
    sources::Given,
    topic_names::default_changelog_topic,
    value::detail,
};
use crate::{
    domain::{
        exponents::Exponents,
        rules::{LedgerKind, Rules, Signs},
    },
    kafka_clients::try_settings,
    postgres_target::DatabaseTarget,
};

/// Checks and combines `settings`. An error names those that are `given` as they were given.
pub(super) fn validate(settings: Settings, given: &Given) -> Result<Config, ConfigError> {
    let consumer_id = consumer_id(settings.pod_name.as_deref(), settings.pod_uid.as_deref());
    let default_log_format = || if std::io::stdout().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let config = Config {
        connection: connection(&settings, given).map_err(ConfigError::Combination)?,
        changelog_topic: settings
            .changelog_topic
            .clone()
            .unwrap_or_else(|| default_changelog_topic(&settings.group_id, &settings.topic)),
        database: database(&settings, given)?.map(|target| target.named(&consumer_id)),
        http_address: settings.listen_address(),
        topic: settings.topic,
        group_id: settings.group_id,
        start_from: settings.auto_offset_reset,
        session_timeout: settings.session_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        max_poll_interval: settings.max_poll_interval,
        assignor: settings.assignor,
        extra_config: settings.kafka_config.into_iter().collect(),
        rules: Rules {
            ledger: settings.ledger,
            signs: Signs::with_overrides(&settings.signs.into_iter().collect()),
            exponents: Exponents::iso_4217(&settings.minor_units.into_iter().collect()),
        },
        store: settings.store,
        changelog_replication: settings.changelog_replication,
        commit_interval: settings.commit_interval,
        dead_letter_topic: settings.dead_letter_topic,
        peers: settings.peers,
        simulated_work: settings.simulated_work,
        log_format: settings.log_format.unwrap_or_else(default_log_format),
        log_level: settings.log_level,
        consumer_id,
    };
    check_timeouts(&config).and_then(|()| check_start(&config)).map_err(ConfigError::Combination)?;
    try_settings(&config).map_err(ConfigError::Client)?;
    Ok(config)
}

fn connection(settings: &Settings, given: &Given) -> Result<Connection, String> {
    let bootstrap_servers = settings.bootstrap_servers.clone();
    let connection = Connection { bootstrap_servers, tls: tls(settings)?, sasl: sasl(settings)? };
    // The addresses are checked already, so the error is in one of the files.
    connection.check().map_err(|error| format!("of {}: {}", given.names_of_files().join(", "), detail(error)))?;
    Ok(connection)
}

fn tls(settings: &Settings) -> Result<Option<Tls>, String> {
    let ca_pem = settings.tls_ca_file.clone();
    let client = match (settings.tls_certificate_file.clone(), settings.tls_key_file.clone()) {
        (Some(certificate_pem), Some(key_pem)) => Some(ClientCertificate { certificate_pem, key_pem }),
        (None, None) => None,
        _ => {
            return Err("kafka.tls.certificateFile and kafka.tls.keyFile go together".to_owned());
        }
    };
    let has_files = ca_pem.is_some() || client.is_some();
    if settings.tls == Some(false) && has_files {
        return Err("kafka.tls.enabled is false, but TLS files are given: choose one".to_owned());
    }
    Ok(settings.tls.unwrap_or(has_files).then_some(Tls { ca_pem, client }))
}

fn sasl(settings: &Settings) -> Result<Option<Sasl>, String> {
    match (settings.sasl_mechanism, settings.sasl_username_file.clone(), settings.sasl_password_file.clone()) {
        (None, None, None) => Ok(None),
        (Some(mechanism), Some(username), Some(password)) => Ok(Some(Sasl { mechanism, username, password })),
        _ => Err("kafka.sasl.mechanism, kafka.sasl.usernameFile and kafka.sasl.passwordFile go together".to_owned()),
    }
}

fn database(settings: &Settings, given: &Given) -> Result<Option<DatabaseTarget>, ConfigError> {
    let Some(url) = &settings.postgres_url else { return Ok(None) };
    let target = DatabaseTarget::parse(url.trim(), settings.postgres_ca_file.as_deref());
    target.map(Some).map_err(|reason| ConfigError::Unusable {
        name: given.name("balances.postgresUrl"),
        reason: format!("{reason} (its value is not shown)"),
    })
}

fn check_timeouts(config: &Config) -> Result<(), String> {
    let Config { session_timeout, heartbeat_interval, max_poll_interval, .. } = config;
    if heartbeat_interval.is_zero() || *session_timeout < *heartbeat_interval * 3 {
        return Err(format!(
            "kafka.heartbeatInterval ({heartbeat_interval:?}) has to fit three times into kafka.sessionTimeout \
             ({session_timeout:?})"
        ));
    }
    if session_timeout > max_poll_interval {
        return Err(format!(
            "kafka.sessionTimeout ({session_timeout:?}) must not be longer than kafka.maxPollInterval \
             ({max_poll_interval:?})"
        ));
    }
    Ok(())
}

fn check_start(config: &Config) -> Result<(), String> {
    let store = config.store;
    if config.rules.ledger == LedgerKind::Count {
        return Ok(());
    }
    if config.start_from == StartFrom::Latest && store != StoreKind::Changelog {
        return Err(format!(
            "kafka.startFrom latest does not work with balances.store {store}; choose store changelog"
        ));
    }
    check_topics(config)?;
    let has_dead_letters = config.dead_letter_topic.is_some();
    match (store, &config.database) {
        (StoreKind::Replay, _) if has_dead_letters => Err(
            "balances.deadLetterTopic does not work with balances.store replay, which cannot write a record exactly once"
                .to_owned(),
        ),
        (StoreKind::Postgres, None) => Err("balances.store postgres needs balances.postgresUrl (BALANCE_POSTGRES_URL): \
                                            postgres://user:password@host:port/database"
            .to_owned()),
        (StoreKind::Postgres, _) if has_dead_letters => {
            Err("balances.deadLetterTopic does not work with balances.store postgres, which keeps such records in its \
                 table balancefleet.dead_letter: remove it"
                .to_owned())
        }
        (StoreKind::Changelog | StoreKind::Replay, Some(_)) => Err(format!(
            "balances.postgresUrl (BALANCE_POSTGRES_URL) is given, but balances.store is {store}: remove one, or set the \
             other to postgres"
        )),
        _ => Ok(()),
    }
}

/// Checks that the worker does not write to a topic that it reads.
fn check_topics(config: &Config) -> Result<(), String> {
    let dead_letters = config.dead_letter_topic.as_ref().map(|topic| ("balances.deadLetterTopic", topic));
    let changelog =
        (config.store == StoreKind::Changelog).then_some(("balances.changelogTopic", &config.changelog_topic));
    let all: Vec<_> = [Some(("kafka.topic", &config.topic)), changelog, dead_letters].into_iter().flatten().collect();
    for (place, (name, topic)) in all.iter().enumerate() {
        if let Some((other, _)) = all[..place].iter().find(|(_, earlier)| earlier == topic) {
            return Err(format!(
                "{other} and {name} are both topic {topic}: the worker would read what it writes; give each a topic of \
                 its own"
            ));
        }
    }
    Ok(())
}

/// `balance-worker-<host>-<8 hex>`, also the client id: the operator finds the pod of a member by it.
///
/// The host is the pod's name, else the machine's. The 8 digits are those of the pod's UID, which survives a restart of
/// the container, else random.
fn consumer_id(pod_name: Option<&str>, pod_uid: Option<&str>) -> String {
    let host = pod_name.map_or_else(host_name, str::to_owned);
    let digits = pod_uid.and_then(digits_of).unwrap_or_else(|| format!("{:08x}", rand::random::<u32>()));
    format!("balance-worker-{host}-{digits}")
}

fn digits_of(uid: &str) -> Option<String> {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    (digits.len() == 8).then(|| digits.to_ascii_lowercase())
}

fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    read.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_pods_name_and_the_first_digits_of_its_uid() {
        let id = consumer_id(Some("balance-0"), Some("3F2a9c1e-77aa-4d8b-9f60-0c5b8f6a1d2e"));
        assert_eq!(id, "balance-worker-balance-0-3f2a9c1e");
    }

    #[test]
    fn without_a_uid_the_digits_are_random() {
        let [first, second] = [(); 2].map(|()| consumer_id(Some("h"), None));
        assert_ne!(first, second);
        let digits = first.strip_prefix("balance-worker-h-").unwrap();
        assert!(digits.len() == 8 && digits.chars().all(|digit| digit.is_ascii_hexdigit()), "{first}");
    }
}
