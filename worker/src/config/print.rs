//! The settings in effect as a YAML file that would give them again.
//!
//! Most secrets are given as files, so their names are all there is to show; of the others it shows that there is one.

use serde_yaml::{Mapping, Value};

use super::{
    keys::{Form, KEYS, Key},
    layers::Settings,
};

/// Every setting that has a value, defaults included, in the order of the table.
pub(super) fn yaml(settings: &Settings) -> String {
    let mut root = Mapping::new();
    for key in KEYS {
        let text = settings.get(key.path).map(|given| given.text.as_str()).or(key.default);
        if let Some(text) = text {
            insert(&mut root, key.path, value(key, text));
        }
    }
    serde_yaml::to_string(&root).unwrap_or_default()
}

/// In the place of a secret.
const HIDDEN: &str = "(hidden)";

fn value(key: &Key, text: &str) -> Value {
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

fn insert(section: &mut Mapping, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            section.insert(Value::from(path), value);
        }
        Some((name, rest)) => {
            let inner = section.entry(Value::from(name)).or_insert_with(|| Value::Mapping(Mapping::new()));
            if let Value::Mapping(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
