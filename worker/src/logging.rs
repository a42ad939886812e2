//! Where log lines go: standard output, as text for people or as one JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Config, LogFormat};

/// The admin client's own lines: brokers that are away are reported once, by whoever waits for them.
const QUIET: &str = "balancefleet_kafka::session=error";
/// PostgreSQL's driver would write customers' rows into the log, whatever level is asked for.
const NEVER: &str = "tokio_postgres=warn";

/// The same for a tool, whose output is a report: only what is wrong, on standard error.
pub(crate) fn start_for_tools() {
    let log = fmt().with_env_filter(EnvFilter::new(format!("{QUIET},warn"))).with_writer(std::io::stderr);
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// Installs the log. The filter was checked with the configuration.
pub(crate) fn start(config: &Config) {
    let filter = EnvFilter::new(format!("{QUIET},{},{NEVER}", config.log_level));
    let log = fmt().with_env_filter(filter).with_ansi(std::io::stdout().is_terminal());
    // A second log in one process is a test's; the first one stays.
    let _ = match config.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}
