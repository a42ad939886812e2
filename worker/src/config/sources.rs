//! Where a setting can come from: its default, the file, the environment, flags; a later one wins.
//!
//! Collects texts by path, each with the name that the user wrote. Their values are parsed when they become
//! [`Settings`].

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::Path,
};

use balancefleet_kafka::reserved_keys;
use clap::{
    Arg, ArgAction, ArgMatches, Command, FromArgMatches,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use serde_yaml::Value;

use super::{
    error::ConfigError,
    settings::{ADDRESS, EXTRA_CONFIG, MAPS, Settings, URLS},
};

/// The prefix of variables that are passed to librdkafka.
const EXTRA_CONFIG_ENV: &str = "KAFKA_CONFIG_";

/// The names that a .NET consumer which this worker replaces uses, beside ours.
const DOTNET: [(&str, &str); 4] = [
    ("Kafka__BootstrapServers", "KAFKA_BOOTSTRAP_SERVERS"),
    ("Kafka__Topic", "KAFKA_TOPIC"),
    ("Kafka__GroupId", "KAFKA_GROUP_ID"),
    ("Kafka__AutoOffsetReset", "KAFKA_AUTO_OFFSET_RESET"),
];

/// Settings of stores and features that this release does not have; refused by name so that nobody relies on them.
pub(super) const NOT_AVAILABLE: [(&str, &str); 1] = [("http.tokenFile", "API_TOKEN_FILE")];

/// Shown in place of a secret.
const HIDDEN: &str = "(hidden)";

#[derive(PartialEq, Eq)]
enum Form {
    Single,
    /// A list in the file, comma-separated elsewhere.
    List,
    /// A map in the file, `name=value,…` elsewhere.
    Map,
}

fn form(arg: &Arg) -> Form {
    match arg.get_action() {
        ArgAction::Append if MAPS.contains(&arg.get_id().as_str()) => Form::Map,
        ArgAction::Append => Form::List,
        _ => Form::Single,
    }
}

/// A given value of a setting: one value, or an item of a list, or `name=value` of a map.
pub(super) struct GivenValue {
    pub(super) text: String,
    /// The name of the setting in errors, as the user wrote it.
    pub(super) name: String,
}

impl GivenValue {
    /// The name in `name=value`.
    fn entry(&self) -> &str {
        self.text.split('=').next().unwrap_or_default().trim()
    }
}

/// The given values of each setting, by path. An empty list or map counts as given.
#[derive(Default)]
pub(super) struct Given(BTreeMap<String, Vec<GivenValue>>);

impl Given {
    /// Reads all sources; a later one overrides an earlier one.
    pub(super) fn read(
        table: &Command,
        path: Option<&Path>,
        variables: &BTreeMap<String, String>,
        matches: &ArgMatches,
    ) -> Result<Self, ConfigError> {
        let mut given = arguments(table, matches, ValueSource::DefaultValue);
        if let Some(path) = path {
            given.overlay(file(table, path)?);
        }
        given.overlay(environment(table, variables)?);
        given.overlay(arguments(table, matches, ValueSource::CommandLine));
        for path in MAPS {
            let mut seen = BTreeSet::new();
            if let Some(twice) = given.values(path).iter().find(|value| !seen.insert(value.entry())) {
                let (name, reason) = (twice.name.clone(), format!("{} is given twice", twice.entry()));
                return Err(ConfigError::Unusable { name, reason });
            }
        }
        Ok(given)
    }

    pub(super) fn values(&self, path: &str) -> &[GivenValue] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    /// The name of a setting in errors.
    pub(super) fn name(&self, path: &str) -> String {
        self.values(path).first().map_or(path, |value| &value.name).to_owned()
    }

    /// What to call the files that are named.
    pub(super) fn names_of_files(&self) -> Vec<&str> {
        let files = self.0.iter().filter(|(path, _)| path.ends_with("File"));
        files.flat_map(|(_, values)| values).map(|value| value.name.as_str()).collect()
    }

    fn insert(&mut self, arg: &Arg, texts: Vec<String>, name: &str) {
        let is_given = |text: &String| form(arg) == Form::Single || !text.is_empty();
        let values = texts.into_iter().filter(is_given).map(|text| GivenValue { text, name: name.to_owned() });
        self.0.insert(arg.get_id().to_string(), values.collect());
    }

    /// Adds a setting from one text, in which commas separate the values of lists and maps.
    fn insert_text(&mut self, arg: &Arg, text: &str, name: &str) {
        let texts = match form(arg) {
            Form::Single => vec![text.to_owned()],
            Form::List | Form::Map => text.split(',').map(|text| text.trim().to_owned()).collect(),
        };
        self.insert(arg, texts, name);
    }

    /// Overrides settings: a setting replaces the one below, a map only the names that it gives.
    fn overlay(&mut self, mut upper: Self) {
        // Of the same layer, our own name of the address wins over .NET's.
        if upper.0.contains_key(ADDRESS) {
            upper.0.remove(URLS);
            self.0.remove(URLS);
        } else if upper.0.contains_key(URLS) {
            self.0.remove(ADDRESS);
        }
        for (path, values) in upper.0 {
            let below = self.0.remove(&path).filter(|_| MAPS.contains(&path.as_str())).unwrap_or_default();
            let is_kept = |below: &GivenValue| values.iter().all(|above| above.entry() != below.entry());
            let mut all: Vec<_> = below.into_iter().filter(is_kept).collect();
            all.extend(values);
            self.0.insert(path, all);
        }
    }

    /// Parses the texts into settings, as if all were flags.
    pub(super) fn parse(&self) -> Result<Settings, ConfigError> {
        let table = Settings::table().mut_args(|arg| arg.env(None::<&'static str>));
        let flags = table.get_arguments().flat_map(|arg| {
            let values = self.values(arg.get_id().as_str());
            values.iter().map(|value| format!("--{}={}", arg.get_long().unwrap_or_default(), value.text))
        });
        let flags: Vec<_> = flags.collect();
        let matches = table.try_get_matches_from(flags);
        let settings = matches.and_then(|matches| Settings::from_arg_matches(&matches));
        settings.map_err(|error| self.as_it_was_given(error))
    }

    /// The error with the name that the user wrote: clap names the flag.
    fn as_it_was_given(&self, error: clap::Error) -> ConfigError {
        let said = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => text.as_str(),
            _ => "",
        };
        let flag = said(ContextKind::InvalidArg).split(' ').next().and_then(|flag| flag.strip_prefix("--"));
        let table = Settings::table();
        let arg = table.get_arguments().find(|arg| arg.get_long() == flag);
        let path = arg.map(|arg| arg.get_id().as_str()).unwrap_or_default();
        let value = said(ContextKind::InvalidValue).to_owned();
        let name = self.values(path).iter().find(|one| one.text == value).map(|one| one.name.clone());
        match (name, error.source().map(ToString::to_string)) {
            (Some(name), Some(reason)) if path == EXTRA_CONFIG => ConfigError::Unusable { name, reason },
            (Some(name), Some(reason)) => ConfigError::Invalid { name, value, reason },
            _ => ConfigError::Flags(error),
        }
    }

    /// The settings in effect as a YAML file that would give them again: every one that has a value, defaults included,
    /// in the order of the table. Most secrets are given as files, whose names are all there is to show; of the others
    /// it shows that there is one.
    pub(super) fn to_yaml(&self, table: &Command) -> String {
        let mut root = Value::default();
        for arg in table.get_arguments() {
            let path = arg.get_id().as_str();
            let Some(values) = self.0.get(path) else { continue };
            let texts = values.iter().map(|value| value.text.as_str());
            let shown = match form(arg) {
                _ if arg.is_hide_env_values_set() => Value::from(HIDDEN),
                Form::Single => texts.map(Value::from).next().unwrap_or_default(),
                Form::List => texts.collect(),
                Form::Map => {
                    let entries = texts.filter_map(|text| text.split_once('='));
                    Value::Mapping(entries.map(|(name, value)| (name.trim().into(), value.trim().into())).collect())
                }
            };
            *path.split('.').fold(&mut root, |section, name| &mut section[name]) = shown;
        }
        serde_yaml::to_string(&root).unwrap_or_default()
    }
}

/// The defaults, or the flags.
fn arguments(table: &Command, matches: &ArgMatches, source: ValueSource) -> Given {
    let mut given = Given::default();
    for arg in table.get_arguments() {
        let id = arg.get_id().as_str();
        if matches.value_source(id) == Some(source) {
            let text = matches.get_one::<String>(id).map(String::as_str).unwrap_or_default();
            given.insert_text(arg, text, &format!("--{}", arg.get_long().unwrap_or_default()));
        }
    }
    given
}

fn environment(table: &Command, variables: &BTreeMap<String, String>) -> Result<Given, ConfigError> {
    let mut given = Given::default();
    for (name, text) in variables {
        let ours = DOTNET.iter().find(|(dotnet, _)| dotnet == name).map_or(name.as_str(), |(_, ours)| ours);
        if let Some(arg) = table.get_arguments().find(|arg| arg.get_env().is_some_and(|env| env == ours)) {
            if ours == name || !variables.contains_key(ours) {
                given.insert_text(arg, text, name);
            }
        } else if NOT_AVAILABLE.iter().any(|(_, env)| env == name) {
            return Err(ConfigError::NotAvailable { name: name.clone() });
        } else if let Some(key) = name.strip_prefix(EXTRA_CONFIG_ENV) {
            let text = format!("{}={text}", reserved_keys::canonical(key));
            given.0.entry(EXTRA_CONFIG.to_owned()).or_default().push(GivenValue { text, name: name.clone() });
        } else if is_ours(name) {
            return Err(ConfigError::Unknown { name: name.clone(), place: "the environment".to_owned() });
        }
    }
    Ok(given)
}

/// Whether a variable must be one of ours: a misspelt `KAFKA_GROUPID` would otherwise join the default group.
///
/// Kubernetes puts variables into every container for every Service of the namespace (`KAFKA_PORT_9092_TCP_ADDR` for
/// one called kafka), and Kafka's own scripts have theirs; both are left alone.
fn is_ours(name: &str) -> bool {
    let prefixed = ["KAFKA_", "Kafka__", "BALANCE_", "WORKER_"].iter().any(|prefix| name.starts_with(prefix));
    let of_a_service = name.ends_with("_PORT")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains("_PORT_") && name.contains(protocol));
    let of_kafkas_scripts = name.ends_with("_OPTS") || ["KAFKA_HOME", "KAFKA_DEBUG", "KAFKA_MODE"].contains(&name);
    prefixed && !of_a_service && !of_kafkas_scripts
}

fn file(table: &Command, path: &Path) -> Result<Given, ConfigError> {
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: place.clone(), source })?;
    let root = serde_yaml::from_str(&text).map_err(|source| ConfigError::Yaml { path: place.clone(), source })?;
    let mut given = Given::default();
    flatten(table, &place, "", &root, &mut given)?;
    Ok(given)
}

/// Reads the setting at `path`, or those below it. A section or a setting without a value gives nothing.
fn flatten(table: &Command, place: &str, path: &str, value: &Value, given: &mut Given) -> Result<(), ConfigError> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
    let is_section = table.get_arguments().any(|arg| arg.get_id().as_str().starts_with(&prefix));
    let arg = table.get_arguments().find(|arg| arg.get_id() == path);
    let is_not_available = NOT_AVAILABLE.iter().any(|(known, _)| *known == path);
    if value.is_null() && (is_section || arg.is_some() || is_not_available) {
        return Ok(());
    }
    let name = format!("{path} ({place})");
    if let Some(arg) = arg {
        let expected = match form(arg) {
            Form::Single => "a single value is expected",
            Form::List => "a list of values is expected",
            Form::Map => "a map of names to values is expected",
        };
        let wrong = || ConfigError::Unusable { name: name.clone(), reason: expected.to_owned() };
        given.insert(arg, texts_of(arg, value).ok_or_else(wrong)?, &name);
        return Ok(());
    }
    if is_not_available {
        return Err(ConfigError::NotAvailable { name });
    }
    let (true, Value::Mapping(section)) = (is_section, value) else {
        return Err(ConfigError::Unknown { name: path.to_owned(), place: place.to_owned() });
    };
    for (name, value) in section {
        let name = scalar_text(name).unwrap_or_default();
        flatten(table, place, &format!("{prefix}{name}"), value, given)?;
    }
    Ok(())
}

fn texts_of(arg: &Arg, value: &Value) -> Option<Vec<String>> {
    match (form(arg), value) {
        (Form::Single, value) => Some(vec![scalar_text(value)?]),
        (Form::List, Value::Sequence(items)) => items.iter().map(scalar_text).collect(),
        (Form::Map, Value::Mapping(entries)) => entries
            .iter()
            .map(|(name, value)| Some(format!("{}={}", scalar_text(name)?, scalar_text(value)?)))
            .collect(),
        _ => None,
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
