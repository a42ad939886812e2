//! The program as a tool that ends by itself: `--check`, `audit`, `rebuild`.

use std::process::{Command, Stdio};

use super::{Stream, database_url};

const POSTGRES: (&str, &str) = ("BALANCE_STORE", "postgres");
const DATABASE: &str = "BALANCE_POSTGRES_URL";

/// The program with the settings that the stream's workers have.
pub(crate) fn program(stream: &Stream, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_balance-worker"));
    command
        .args(arguments)
        .env("KAFKA_BOOTSTRAP_SERVERS", &stream.bootstrap)
        .env("KAFKA_TOPIC", &stream.topic)
        .env("KAFKA_GROUP_ID", &stream.group)
        .env("KAFKA_SESSION_TIMEOUT", "6s")
        .envs(settings.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Its exit code and everything it has printed.
pub(crate) fn run(stream: &Stream, arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut program = program(stream, arguments, settings);
    let names_database = settings.iter().any(|(name, _)| *name == DATABASE);
    if settings.contains(&POSTGRES) && !names_database {
        program.env(DATABASE, database_url());
    }
    let output = program.output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}
