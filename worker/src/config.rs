//! Configuration: a YAML file, over it the environment, over it flags.
//!
//! Arguments and environment become one [`Config`] whose every value is checked, or a [`ConfigError`] that names the
//! setting. Nothing is ignored: unknown settings and those that this release does not have are errors.

mod effective;
mod error;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod topic_names;
mod validate;
mod value;

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};

pub(crate) use effective::{Config, LogFormat, RebuildOptions, StartFrom, StoreKind};
pub(crate) use error::ConfigError;
pub(crate) use value::is_host_and_port;

use settings::Settings;
use sources::Given;

#[derive(Debug)]
pub(crate) enum Command {
    Run(Box<Config>),
    Check(Box<Config>),
    /// Ask the worker that listens on this address.
    Healthcheck(SocketAddr),
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

/// The command line without the flags of the settings.
#[derive(Parser)]
#[command(
    name = "balance-worker",
    version,
    about = "Computes exact balances from a topic of transactions and serves them over REST.",
    after_help = "The environment overrides the file, and flags override both. Durations: 500ms, 90s, 2m, 1h30m."
)]
struct CommandLine {
    /// YAML file with settings
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective settings, with secrets hidden, then exit
    #[arg(long)]
    print_config: bool,
    /// Print the OpenAPI document of the REST API, then exit
    #[arg(long)]
    print_openapi: bool,
    /// Check brokers, login, topic, group and store, then exit
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    tool: Option<Tool>,
}

#[derive(Subcommand)]
enum Tool {
    /// Ask the worker on this machine whether it is ready, say so in a sentence, and exit 0 or 1 within 3 s
    Healthcheck,
    /// Re-read the topic and check every stored balance against it; read-only, workers may keep running
    Audit,
    /// Recompute stored balances from the topic with the current settings; stop the workers first
    Rebuild(RebuildOptions),
}

/// Reads all layers. `arguments` begin with the program's name.
pub(crate) fn load(
    arguments: impl IntoIterator<Item = OsString>,
    variables: &BTreeMap<String, String>,
) -> Result<Command, ConfigError> {
    let table = Settings::table();
    let command = CommandLine::command().args(table.get_arguments().cloned().map(flag));
    let matches = command.try_get_matches_from(arguments)?;
    let line = CommandLine::from_arg_matches(&matches)?;
    if line.print_openapi {
        return Ok(Command::PrintOpenApi); // true of every worker, whatever its settings
    }
    let given = Given::read(&table, line.config.as_deref(), variables, &matches)?;
    let config = || validate::validate(given.parse()?, &given).map(Box::new);
    Ok(match line.tool {
        _ if line.print_config => config().map(|_| Command::Print(given.to_yaml(&table)))?,
        _ if line.check => Command::Check(config()?),
        // It runs every few seconds beside a worker with the same settings, which has validated them.
        Some(Tool::Healthcheck) => Command::Healthcheck(given.parse()?.listen_address()),
        Some(Tool::Audit) => Command::Audit(config()?),
        Some(Tool::Rebuild(options)) => Command::Rebuild { config: config()?, options },
        None => Command::Run(config()?),
    })
}

/// The flag of a setting. It takes any text, once: what is wrong with one is said in the same words wherever it comes
/// from, and no secret is repeated.
fn flag(setting: Arg) -> Arg {
    let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
    let variable = setting.get_env().map(|name| format!(" [env: {}]", name.display())).unwrap_or_default();
    let text = setting.env(None::<&'static str>).value_parser(value_parser!(String)).action(ArgAction::Set);
    text.help(help + &variable).global(true).value_name("VALUE").allow_hyphen_values(true)
}
