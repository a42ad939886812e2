//! Configuration: a YAML file, over it the environment, over it flags.
//!
//! In go argument and environment texts, out comes one [`Config`] whose every value was checked, or a [`ConfigError`]
//! that names the setting. Nothing is ignored: unknown settings and those this release does not have are errors.

mod error;
mod keys;
mod layers;
mod resolve;
#[cfg(test)]
mod tests;
mod value;

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::Path, time::Duration};

use balancefleet_kafka::Connection;
use serde_yaml::{Mapping, Value};

pub(crate) use error::ConfigError;

use keys::{Form, KEYS, Key};

use crate::{
    rules::{LedgerKind, Rules},
    store::{DatabaseTarget, StoreKind},
};

/// In the place of a secret.
const HIDDEN: &str = "(hidden)";

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) connection: Connection,
    pub(crate) topic: String,
    pub(crate) group_id: String,
    /// Where a group without progress begins.
    pub(crate) start_from: StartFrom,
    /// A silent member is out after this.
    pub(crate) session_timeout: Duration,
    /// How often a member reports.
    pub(crate) heartbeat_interval: Duration,
    /// A member that does not poll is out after this.
    pub(crate) max_poll_interval: Duration,
    pub(crate) assignor: Assignor,
    /// librdkafka settings from outside, none of them reserved.
    pub(crate) extra_config: BTreeMap<String, String>,
    pub(crate) rules: Rules,
    pub(crate) store: StoreKind,
    pub(crate) changelog_topic: String,
    /// Replicas of a changelog that has to be made; `None` for the brokers' own default.
    pub(crate) changelog_replication: Option<i32>,
    pub(crate) database: Option<DatabaseTarget>,
    /// Progress waits no longer than this for its commit; `None` for what suits the load.
    pub(crate) commit_interval: Option<Duration>,
    /// Where records go that cannot be applied.
    pub(crate) dead_letter_topic: Option<String>,
    pub(crate) http_address: SocketAddr,
    pub(crate) peers: Vec<String>,
    /// A pause per newly processed message.
    pub(crate) simulated_work: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
    /// `balance-worker-<host>-<8 hex>`.
    pub(crate) consumer_id: String,
}

impl Config {
    /// The database, if balances are kept in one.
    pub(crate) fn database_in_use(&self) -> Option<&DatabaseTarget> {
        self.database
            .as_ref()
            .filter(|_| self.rules.ledger == LedgerKind::Balances && self.store == StoreKind::Postgres)
    }
}

/// Where a group without progress begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartFrom {
    Earliest,
    Latest,
}

/// How the group shares out its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assignor {
    /// Moves only what must move; the rest goes on.
    CooperativeSticky,
    /// Stops all, shares out ranges.
    Range,
    /// Stops all, deals one by one.
    RoundRobin,
}

impl Assignor {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What a person has said of a rebuild beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RebuildOptions {
    /// It need not be asked for.
    pub(crate) is_agreed: bool,
    /// Where the store has nothing, the ledger begins where the metadata of the group's offset says, although the log
    /// begins before.
    pub(crate) from_base: bool,
    /// The balances may be replaced by those of another topic of the same name.
    pub(crate) another_topic: bool,
    /// So many transactions are given up with it.
    pub(crate) lose: Option<u64>,
    /// Records count also where they were refused because their currency was unknown then.
    pub(crate) recount: bool,
}

#[derive(Debug)]
pub(crate) enum Command {
    Run(Box<Config>),
    Check(Box<Config>),
    /// Compare what is stored with what the input gives.
    Audit(Box<Config>),
    /// Make what is stored anew.
    Rebuild {
        config: Box<Config>,
        options: RebuildOptions,
    },
    /// Print this and exit: the settings in effect, as a file that would give them again.
    Print(String),
    /// Print the OpenAPI document of the REST API and exit.
    PrintOpenApi,
}

/// Reads all layers. `arguments` begin with the program's name.
pub(crate) fn load(
    arguments: impl IntoIterator<Item = OsString>,
    variables: &BTreeMap<String, String>,
) -> Result<Command, ConfigError> {
    let matches = layers::command().try_get_matches_from(arguments)?;
    if matches.get_flag("print-openapi") {
        return Ok(Command::PrintOpenApi); // true of every worker, whatever its settings
    }
    let mut settings = match matches.get_one::<String>("config") {
        Some(path) => layers::file(Path::new(path))?,
        None => layers::Settings::new(),
    };
    layers::overlay(&mut settings, layers::environment(variables)?);
    layers::overlay(&mut settings, layers::flags(&matches));
    let config = resolve::resolve(&settings)?;
    let config = Box::new(config);
    Ok(match matches.subcommand() {
        _ if matches.get_flag("print-config") => Command::Print(yaml(&settings)),
        _ if matches.get_flag("check") => Command::Check(config),
        Some(("audit", _)) => Command::Audit(config),
        Some(("rebuild", flags)) => Command::Rebuild { config, options: layers::rebuild_options(flags) },
        _ => Command::Run(config),
    })
}

/// The settings in effect as a YAML file that would give them again: every one that has a value, defaults included, in the
/// order of the table. Most secrets are given as files, whose names are all there is to show; of the others it shows that
/// there is one.
fn yaml(settings: &layers::Settings) -> String {
    let mut root = Mapping::new();
    for key in KEYS {
        let text = settings.get(key.path).map(|given| given.text.as_str()).or(key.default);
        if let Some(text) = text {
            insert_yaml(&mut root, key.path, yaml_value(key, text));
        }
    }
    serde_yaml::to_string(&root).unwrap_or_default()
}

fn yaml_value(key: &Key, text: &str) -> Value {
    if key.is_secret {
        return Value::from(HIDDEN);
    }
    let lines = text.lines().filter(|line| !line.is_empty());
    match key.form {
        Form::Scalar => Value::from(text),
        Form::List => Value::Sequence(lines.map(Value::from).collect()),
        Form::Map => Value::Mapping(
            lines
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (Value::from(name.trim()), Value::from(value.trim())))
                .collect(),
        ),
    }
}

fn insert_yaml(section: &mut Mapping, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            section.insert(Value::from(path), value);
        }
        Some((name, rest)) => {
            let inner = section.entry(Value::from(name)).or_insert_with(|| Value::Mapping(Mapping::new()));
            if let Value::Mapping(inner) = inner {
                insert_yaml(inner, rest, value);
            }
        }
    }
}
