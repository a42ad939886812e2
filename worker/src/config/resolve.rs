//! Texts → [`Config`], with every check that needs no network.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use balancefleet_kafka::{ClientCertificate, Connection, Error, Sasl, Tls, reserved_keys};

use super::{
    effective::{Assignor, Config, LogFormat, StartFrom, StoreKind},
    error::ConfigError,
    keys::{EXTRA_CONFIG, KEYS},
    layers::{Given, Settings},
    topic_names::{default_changelog_topic, topic_name},
    value,
};
use crate::{
    domain::{
        exponents::Exponents,
        rules::{LedgerKind, Rules, Signs},
    },
    kafka_clients::try_settings,
    postgres_target::DatabaseTarget,
};

/// Longer pauses would outlast the time a worker has to stop.
const MAX_SIMULATED_WORK: Duration = Duration::from_secs(1);

/// The longest librdkafka takes for session timeout and heartbeat interval, and for the poll interval.
const MAX_SESSION: Duration = Duration::from_secs(3600);
const MAX_POLL: Duration = Duration::from_secs(24 * 3600);
/// Later commits would make a crash dear and lag look large.
const MAX_COMMIT: Duration = Duration::from_secs(60);

/// Checks and combines `settings`; absent ones have the defaults of the table.
pub(super) fn resolve(settings: &Settings) -> Result<Config, ConfigError> {
    let read = Reader(settings);
    let ledger = read.parsed("ledger", |text| {
        value::choice(text, &[("balances", LedgerKind::Balances), ("count", LedgerKind::Count)])
    })?;
    let (topic, group_id) = (read.parsed("kafka.topic", name)?, read.parsed("kafka.groupId", name)?);
    let changelog_topic = read.optional("balances.changelogTopic", topic_name)?;
    let config = Config {
        connection: connection(&read)?,
        changelog_topic: changelog_topic.unwrap_or_else(|| default_changelog_topic(&group_id, &topic)),
        topic,
        group_id,
        start_from: read.parsed("kafka.startFrom", |text| {
            value::choice(text, &[("earliest", StartFrom::Earliest), ("latest", StartFrom::Latest)])
        })?,
        session_timeout: read.parsed("kafka.sessionTimeout", |text| value::duration_up_to(MAX_SESSION, text))?,
        heartbeat_interval: read.parsed("kafka.heartbeatInterval", |text| value::duration_up_to(MAX_SESSION, text))?,
        max_poll_interval: read.parsed("kafka.maxPollInterval", |text| value::duration_up_to(MAX_POLL, text))?,
        assignor: read.parsed("kafka.assignor", assignor)?,
        extra_config: extra_config(&read)?,
        rules: Rules {
            ledger,
            signs: Signs::labs(&read.parsed_or_default("balances.signs", value::signs)?),
            exponents: Exponents::iso_4217(&read.parsed_or_default("balances.minorUnits", value::minor_units)?),
        },
        store: read.parsed("balances.store", store)?,
        changelog_replication: read.optional("balances.changelogReplication", replication)?,
        database: database(&read)?,
        commit_interval: read.optional("balances.commitInterval", |text| value::duration_up_to(MAX_COMMIT, text))?,
        dead_letter_topic: read.optional("balances.deadLetterTopic", topic_name)?,
        http_address: http_address(&read)?,
        peers: read.list("http.peers", peer)?,
        simulated_work: read.parsed("simulatedWork", |text| value::duration_up_to(MAX_SIMULATED_WORK, text))?,
        log_format: log_format(&read)?,
        log_level: read.parsed("log.level", log_level)?,
        consumer_id: consumer_id(read.text("pod.name"), read.text("pod.uid")),
    };
    let config = Config { database: config.database.map(|target| target.named(&config.consumer_id)), ..config };
    check_timeouts(&config)?;
    check_start(&config)?;
    try_settings(&config).map_err(ConfigError::Client)?;
    Ok(config)
}

/// Looks settings up by path and names them in errors as the person wrote them.
struct Reader<'a>(&'a Settings);

impl<'a> Reader<'a> {
    fn given(&self, path: &str) -> Option<&'a Given> {
        self.0.get(path)
    }

    fn text(&self, path: &str) -> Option<&'a str> {
        let default = KEYS.iter().find(|key| key.path == path).and_then(|key| key.default);
        self.given(path).map(|given| given.text.as_str()).or(default)
    }

    fn parse<T>(
        &self,
        path: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(text).map_err(|reason| ConfigError::Invalid {
            name: self.given(path).map_or(path, |given| &given.name).to_owned(),
            value: text.to_owned(),
            reason,
        })
    }

    fn parsed<T>(&self, path: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        self.parse(path, self.text(path).unwrap_or_default(), parse)
    }

    fn optional<T>(&self, path: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, ConfigError> {
        self.text(path).map(|text| self.parse(path, text, parse)).transpose()
    }

    fn parsed_or_default<T: Default>(
        &self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.text(path).map_or_else(|| Ok(T::default()), |text| self.parse(path, text, parse))
    }

    fn list<T>(&self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, ConfigError> {
        let lines = self.text(path).into_iter().flat_map(str::lines).filter(|line| !line.is_empty());
        lines.map(|line| self.parse(path, line, &parse)).collect()
    }

    /// The content of the file a setting names.
    fn file(&self, path: &str) -> Result<Option<String>, ConfigError> {
        let Some(given) = self.given(path) else { return Ok(None) };
        let content = std::fs::read_to_string(&given.text).map_err(|source| ConfigError::Secret {
            name: given.name.clone(),
            path: given.text.clone(),
            source,
        })?;
        Ok(Some(content))
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn peer(text: &str) -> Result<String, String> {
    if value::is_host_and_port(text) { Ok(text.to_owned()) } else { Err("write host:port for each".to_owned()) }
}

fn assignor(text: &str) -> Result<Assignor, String> {
    let choices = [Assignor::CooperativeSticky, Assignor::Range, Assignor::RoundRobin].map(|one| (one.name(), one));
    value::choice(text, &choices)
}

fn store(text: &str) -> Result<StoreKind, String> {
    value::choice(
        text,
        &[("changelog", StoreKind::Changelog), ("postgres", StoreKind::Postgres), ("replay", StoreKind::Replay)],
    )
}

fn replication(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(-1) => Ok(-1),
        Ok(replicas @ 1..=100) => Ok(replicas),
        _ => Err("write a number of replicas, or -1 for the brokers' default".to_owned()),
    }
}

fn log_format(read: &Reader<'_>) -> Result<LogFormat, ConfigError> {
    use std::io::IsTerminal;
    let default = if std::io::stdout().is_terminal() { "text" } else { "json" };
    let text = read.text("log.format").unwrap_or(default);
    read.parse("log.format", text, |text| value::choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]))
}

fn log_level(text: &str) -> Result<String, String> {
    let filter = tracing_subscriber::EnvFilter::try_new(text);
    filter.map(|_| text.to_owned()).map_err(|_| "write error, warn, info, debug or trace".to_owned())
}

fn http_address(read: &Reader<'_>) -> Result<SocketAddr, ConfigError> {
    let layer = |path| read.given(path).map(|given| given.layer);
    // Of the same layer, our own name wins over .NET's.
    if layer("http.urls") > layer("http.address") {
        return read.parsed("http.urls", value::urls);
    }
    read.parsed("http.address", value::address)
}

/// Values are never repeated in errors: somebody may have put a secret here.
fn extra_config(read: &Reader<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(given) = read.given(EXTRA_CONFIG) else { return Ok(BTreeMap::new()) };
    let wrong = |key: &str, reason: String| ConfigError::ExtraConfig { name: given.name_of(key).to_owned(), reason };
    let mut map = BTreeMap::new();
    for line in given.text.lines().filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())).ok_or_else(|| {
            wrong("", "every entry is key=value, and no value has a comma or a line break".to_owned())
        })?;
        reserved_keys::check(key, value).map_err(|error| wrong(key, detail(error)))?;
        if map.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(wrong(key, format!("{key} is given twice")));
        }
    }
    Ok(map)
}

/// What is wrong, without the words around it.
fn detail(error: Error) -> String {
    match error {
        Error::Invalid { detail } => detail,
        other => other.to_string(),
    }
}

fn connection(read: &Reader<'_>) -> Result<Connection, ConfigError> {
    let bootstrap_servers = read.parsed("kafka.bootstrapServers", |servers| {
        Connection::plaintext(servers).check().map(|()| servers.to_owned()).map_err(detail)
    })?;
    let connection = Connection { bootstrap_servers, tls: tls(read)?, sasl: sasl(read)? };
    // The servers are right; what else is wrong is in a file.
    connection.check().map_err(|error| {
        let files = KEYS.iter().filter(|key| key.path.ends_with("File"));
        let names: Vec<_> = files.filter_map(|key| read.given(key.path)).map(|given| given.name.as_str()).collect();
        ConfigError::Combination(format!("of {}: {}", names.join(", "), detail(error)))
    })?;
    Ok(connection)
}

fn tls(read: &Reader<'_>) -> Result<Option<Tls>, ConfigError> {
    let ca_pem = read.file("kafka.tls.caFile")?;
    let client = match (read.file("kafka.tls.certificateFile")?, read.file("kafka.tls.keyFile")?) {
        (Some(certificate_pem), Some(key_pem)) => Some(ClientCertificate { certificate_pem, key_pem }),
        (None, None) => None,
        _ => {
            return Err(ConfigError::Combination("kafka.tls.certificateFile and kafka.tls.keyFile go together".into()));
        }
    };
    let has_files = ca_pem.is_some() || client.is_some();
    let enabled = read.given("kafka.tls.enabled").map(|_| read.parsed("kafka.tls.enabled", value::flag)).transpose()?;
    if enabled == Some(false) && has_files {
        return Err(ConfigError::Combination("kafka.tls.enabled is false, but TLS files are given: choose one".into()));
    }
    Ok(enabled.unwrap_or(has_files).then_some(Tls { ca_pem, client }))
}

fn sasl(read: &Reader<'_>) -> Result<Option<Sasl>, ConfigError> {
    let mechanism = read.given("kafka.sasl.mechanism");
    match (mechanism, read.file("kafka.sasl.usernameFile")?, read.file("kafka.sasl.passwordFile")?) {
        (None, None, None) => Ok(None),
        (Some(_), Some(username), Some(password)) => {
            let mechanism = read.parsed("kafka.sasl.mechanism", |text| {
                text.parse().map_err(|error: balancefleet_kafka::Error| error.to_string())
            })?;
            Ok(Some(Sasl { mechanism, username, password }))
        }
        _ => Err(ConfigError::Combination(
            "kafka.sasl.mechanism, kafka.sasl.usernameFile and kafka.sasl.passwordFile go together".into(),
        )),
    }
}

fn database(read: &Reader<'_>) -> Result<Option<DatabaseTarget>, ConfigError> {
    let authorities = read.file("balances.postgresCaFile")?;
    let Some(url) = read.given("balances.postgresUrl") else { return Ok(None) };
    let target = DatabaseTarget::parse(url.text.trim(), authorities.as_deref());
    target.map(Some).map_err(|reason| ConfigError::Hidden { name: url.name.clone(), reason })
}

fn check_timeouts(config: &Config) -> Result<(), ConfigError> {
    let Config { session_timeout, heartbeat_interval, max_poll_interval, .. } = config;
    if heartbeat_interval.is_zero() || *session_timeout < *heartbeat_interval * 3 {
        return Err(ConfigError::Combination(format!(
            "kafka.heartbeatInterval ({heartbeat_interval:?}) has to fit three times into kafka.sessionTimeout \
             ({session_timeout:?})"
        )));
    }
    if session_timeout > max_poll_interval {
        return Err(ConfigError::Combination(format!(
            "kafka.sessionTimeout ({session_timeout:?}) must not be longer than kafka.maxPollInterval ({max_poll_interval:?})"
        )));
    }
    Ok(())
}

fn check_start(config: &Config) -> Result<(), ConfigError> {
    if config.rules.ledger == LedgerKind::Count {
        return Ok(());
    }
    if config.start_from == StartFrom::Latest && config.store != StoreKind::Changelog {
        return Err(ConfigError::Combination(format!(
            "kafka.startFrom latest does not work with balances.store {}; choose store changelog",
            config.store
        )));
    }
    check_topics(config)?;
    if config.store == StoreKind::Replay && config.dead_letter_topic.is_some() {
        return Err(ConfigError::Combination(
            "balances.deadLetterTopic does not work with balances.store replay, which cannot write a record exactly once"
                .into(),
        ));
    }
    match (config.store == StoreKind::Postgres, &config.database) {
        (true, None) => Err(ConfigError::Combination(
            "balances.store postgres needs balances.postgresUrl (BALANCE_POSTGRES_URL): postgres://user:password@host:port/database"
                .into(),
        )),
        (false, Some(_)) => Err(ConfigError::Combination(format!(
            "balances.postgresUrl (BALANCE_POSTGRES_URL) is given, but balances.store is {}: remove one, or set the other to \
             postgres",
            config.store
        ))),
        (true, _) if config.dead_letter_topic.is_some() => Err(ConfigError::Combination(
            "balances.deadLetterTopic does not work with balances.store postgres, which keeps such records in its table \
             balancefleet.dead_letter: remove it"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// What the worker writes must not be what it reads.
fn check_topics(config: &Config) -> Result<(), ConfigError> {
    let dead_letters = config.dead_letter_topic.as_ref().map(|topic| ("balances.deadLetterTopic", topic));
    let changelog =
        (config.store == StoreKind::Changelog).then_some(("balances.changelogTopic", &config.changelog_topic));
    let all: Vec<_> = [Some(("kafka.topic", &config.topic)), changelog, dead_letters].into_iter().flatten().collect();
    for (place, (name, topic)) in all.iter().enumerate() {
        if let Some((other, _)) = all[..place].iter().find(|(_, earlier)| earlier == topic) {
            return Err(ConfigError::Combination(format!(
                "{other} and {name} are both topic {topic}: the worker would read what it writes; give each a topic of its own"
            )));
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
