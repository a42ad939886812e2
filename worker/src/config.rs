//! Configuration: a YAML file, over it the environment, over it flags.
//!
//! In go argument and environment texts, out comes one [`Config`] whose every value was checked, or a [`ConfigError`]
//! that names the setting. Nothing is ignored: unknown settings and those this release does not have are errors.

mod effective;
mod error;
mod keys;
mod layers;
mod resolve;
#[cfg(test)]
mod tests;
mod topic_names;
mod value;

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use serde_yaml::{Mapping, Value};

pub(crate) use effective::{Config, LogFormat, RebuildOptions, StartFrom, StoreKind};
pub(crate) use error::ConfigError;
pub(crate) use value::is_host_and_port;

use keys::{Form, KEYS, Key};

/// In the place of a secret.
const HIDDEN: &str = "(hidden)";

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
