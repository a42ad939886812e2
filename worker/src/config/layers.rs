//! The three layers a setting can come from: file, environment, flags; a later one wins.
//!
//! In go texts, out come texts under the paths of [`KEYS`]; what they mean is decided in [`super::resolve`].

use std::{collections::BTreeMap, path::Path};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use serde_yaml::Value;

use super::{
    effective::RebuildOptions,
    error::ConfigError,
    keys::{EXTRA_CONFIG, EXTRA_CONFIG_ENV, Form, KEYS, Key, NOT_AVAILABLE},
};

/// What somebody gave for a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// The text; for maps `name=value` lines, for lists one item per line.
    pub(crate) text: String,
    /// What to call the setting in an error: as the person wrote it.
    pub(crate) name: String,
    /// 0 file, 1 environment, 2 flag.
    pub(crate) layer: u8,
    /// The same as `name` for single entries of a map that have one of their own.
    pub(crate) entries: BTreeMap<String, String>,
}

impl Given {
    fn new(text: String, name: String, layer: u8) -> Self {
        Self { text, name, layer, entries: BTreeMap::new() }
    }

    /// What to call an entry of a map in an error.
    pub(crate) fn name_of(&self, entry: &str) -> &str {
        self.entries.get(entry).unwrap_or(&self.name)
    }
}

/// Settings by path.
pub(crate) type Settings = BTreeMap<&'static str, Given>;

/// Lays `upper` over `lower`: a setting replaces the one below, a map only the names it gives.
pub(crate) fn overlay(lower: &mut Settings, upper: Settings) {
    for (path, mut given) in upper {
        let below = lower.get(path).filter(|_| KEYS.iter().any(|key| key.path == path && key.form == Form::Map));
        if let Some(below) = below {
            let entry_of = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
            let replaced: Vec<_> = given.text.lines().map(entry_of).collect();
            let kept: Vec<_> = below.text.lines().filter(|line| !replaced.contains(&entry_of(line))).collect();
            let names =
                kept.iter().map(|line| entry_of(line)).map(|entry| (entry.clone(), below.name_of(&entry).to_owned()));
            given.entries.extend(names);
            given.text = kept.into_iter().chain(given.text.lines()).collect::<Vec<_>>().join("\n");
        }
        lower.insert(path, given);
    }
}

/// The flags, made of the table.
pub(crate) fn command() -> Command {
    let command = Command::new("balance-worker")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Computes exact balances from a topic of transactions and serves them over REST.")
        .after_help("The environment overrides the file, and flags override both. Durations: 500ms, 90s, 2m, 1h30m.")
        .subcommand(
            Command::new("audit").about(
                "Re-read the topic and check every stored balance against it; read-only, workers may keep running",
            ),
        )
        .subcommand(
            Command::new("rebuild")
                .about("Recompute stored balances from the topic with the current settings; stop the workers first")
                .arg(switch("yes", "Do not ask for confirmation"))
                .arg(switch("recount", "Also count records that were refused while their currency was unknown"))
                .arg(switch(
                    "from-base",
                    "Where the store has nothing, start at the base recorded with the group's offset, even if the \
                     topic starts before it. Only for a group that started at the end of the topic (startFrom: Latest) \
                     and has lost its store",
                ))
                .arg(switch(
                    "another-topic",
                    "Replace balances of another topic with the same name: a deleted one, or another cluster's",
                ))
                .arg(
                    Arg::new("lose")
                        .long("lose")
                        .value_name("COUNT")
                        .value_parser(clap::value_parser!(u64))
                        // Refused by name, and not as another flag.
                        .allow_negative_numbers(true)
                        .help("Give up transactions that the topic lacks: the exact number that a first run names"),
                ),
        )
        .arg(Arg::new("config").long("config").value_name("FILE").global(true).help("YAML file with settings"))
        .arg(switch("print-config", "Print the effective settings, with secrets hidden, then exit"))
        .arg(switch("print-openapi", "Print the OpenAPI document of the REST API, then exit"))
        .arg(switch("check", "Check brokers, login, topic, group and store, then exit"));
    KEYS.iter().fold(command, |command, key| command.arg(argument(key)))
}

/// What the flags of `rebuild` say.
pub(crate) fn rebuild_options(flags: &ArgMatches) -> RebuildOptions {
    RebuildOptions {
        is_agreed: flags.get_flag("yes"),
        from_base: flags.get_flag("from-base"),
        another_topic: flags.get_flag("another-topic"),
        lose: flags.get_one("lose").copied(),
        recount: flags.get_flag("recount"),
    }
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn argument(key: &Key) -> Arg {
    let environment = key.env.first().map(|name| format!(" [env: {name}]")).unwrap_or_default();
    let default = key.default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
    let help = format!("{}{environment}{default}", key.help);
    Arg::new(key.path).global(true).long(key.flag).value_name("VALUE").allow_hyphen_values(true).help(help)
}

/// The settings given as flags.
pub(crate) fn flags(matches: &ArgMatches) -> Settings {
    let given = |key: &&Key| matches.value_source(key.path) == Some(ValueSource::CommandLine);
    let read = |key: &'static Key| {
        let text = matches.get_one::<String>(key.path)?;
        Some((key.path, Given::new(lines(key.form, text), format!("--{}", key.flag), 2)))
    };
    KEYS.iter().filter(given).filter_map(read).collect()
}

/// The settings among the environment's variables.
pub(crate) fn environment(variables: &BTreeMap<String, String>) -> Result<Settings, ConfigError> {
    let mut settings = Settings::new();
    let (mut extra, mut names) = (Vec::new(), BTreeMap::new());
    for name in variables.keys() {
        if NOT_AVAILABLE.iter().any(|(_, env)| env == name) {
            return Err(ConfigError::NotAvailable { name: name.clone() });
        }
        match name.strip_prefix(EXTRA_CONFIG_ENV) {
            Some(key) => {
                let key = key.to_lowercase().replace('_', ".");
                extra.push(format!("{key}={}", variables[name]));
                names.insert(key, name.clone());
            }
            None if is_ours(name) && !is_known(name) => {
                return Err(ConfigError::Unknown { name: name.clone(), place: "the environment".to_owned() });
            }
            None => {}
        }
    }
    for key in KEYS {
        if let Some(name) = key.env.iter().find(|name| variables.contains_key(**name)) {
            settings.insert(key.path, Given::new(lines(key.form, &variables[*name]), (*name).to_owned(), 1));
        }
    }
    if !extra.is_empty() {
        let given = Given::new(extra.join("\n"), format!("{EXTRA_CONFIG_ENV}…"), 1);
        settings.insert(EXTRA_CONFIG, Given { entries: names, ..given });
    }
    Ok(settings)
}

fn is_known(name: &str) -> bool {
    KEYS.iter().any(|key| key.env.contains(&name))
}

/// Whether a variable must be one of ours: a misspelt `KAFKA_GROUPID` would otherwise join the default group.
///
/// Kubernetes puts variables into every container for every Service of the namespace (`KAFKA_PORT_9092_TCP_ADDR` for one
/// called kafka), and Kafka's own scripts have theirs; both are left alone.
fn is_ours(name: &str) -> bool {
    let prefixed = ["KAFKA_", "Kafka__", "BALANCE_", "WORKER_"].iter().any(|prefix| name.starts_with(prefix));
    let of_a_service = name.ends_with("_PORT")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains("_PORT_") && name.contains(protocol));
    let of_kafkas_scripts = name.ends_with("_OPTS") || ["KAFKA_HOME", "KAFKA_DEBUG", "KAFKA_MODE"].contains(&name);
    prefixed && !of_a_service && !of_kafkas_scripts
}

/// The settings of a YAML file.
pub(crate) fn file(path: &Path) -> Result<Settings, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: shown.clone(), source })?;
    let root: Value =
        serde_yaml::from_str(&text).map_err(|source| ConfigError::Yaml { path: shown.clone(), source })?;
    let mut settings = Settings::new();
    flatten("", &root, &shown, &mut settings)?;
    Ok(settings)
}

fn flatten(path: &str, value: &Value, place: &str, settings: &mut Settings) -> Result<(), ConfigError> {
    if value.is_null() {
        return Ok(());
    }
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        settings.insert(key.path, Given::new(text_of(key, value)?, format!("{path} ({place})"), 0));
        return Ok(());
    }
    if NOT_AVAILABLE.iter().any(|(known, _)| *known == path) {
        return Err(ConfigError::NotAvailable { name: format!("{path} ({place})") });
    }
    let is_section = path.is_empty() || KEYS.iter().any(|key| key.path.starts_with(&format!("{path}.")));
    let (true, Value::Mapping(section)) = (is_section, value) else {
        return Err(ConfigError::Unknown { name: path.to_owned(), place: place.to_owned() });
    };
    for (name, value) in section {
        let name = scalar_text(name).unwrap_or_default();
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        flatten(&path, value, place, settings)?;
    }
    Ok(())
}

fn text_of(key: &Key, value: &Value) -> Result<String, ConfigError> {
    let wrong = |expected: &str| {
        let (name, reason) = (key.path.to_owned(), format!("{expected} is expected"));
        if key.path == EXTRA_CONFIG {
            return ConfigError::ExtraConfig { name, reason };
        }
        if key.is_secret {
            return ConfigError::Hidden { name, reason };
        }
        let value = serde_yaml::to_string(value).unwrap_or_default().trim_end().to_owned();
        ConfigError::Invalid { name, value, reason }
    };
    let items: Option<Vec<String>> = match (key.form, value) {
        (Form::Scalar, value) => return scalar_text(value).ok_or_else(|| wrong("a single value")),
        (Form::List, Value::Sequence(items)) => items.iter().map(scalar_text).collect(),
        (Form::Map, Value::Mapping(entries)) => entries
            .iter()
            .map(|(name, value)| Some(format!("{}={}", scalar_text(name)?, scalar_text(value)?)))
            .collect(),
        _ => None,
    };
    let expected = if key.form == Form::List { "a list of values" } else { "a map of names to values" };
    items.map(|items| items.join("\n")).ok_or_else(|| wrong(expected))
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Lists and maps are kept one item per line: a value in the file may itself have a comma.
fn lines(form: Form, text: &str) -> String {
    if form == Form::Scalar { text.to_owned() } else { text.split(',').map(str::trim).collect::<Vec<_>>().join("\n") }
}
