//! Log lines: text for users or JSON for collectors, with one filter that can be changed at runtime.

use std::sync::Arc;

use tracing_subscriber::{EnvFilter, filter::ParseError, reload, util::SubscriberInitExt};

use crate::args::LogFormat;

/// Why logging could not start, or its level not change.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("LOG_LEVEL `{directive}` is not a filter such as `info` or `info,balancefleet_operator=debug`: {source}")]
    Directive {
        /// What was given.
        directive: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Another subscriber is there already.
    #[error("logging is already set up: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// The subscriber is gone.
    #[error("the log level cannot be changed any more: {0}")]
    Reload(#[from] reload::Error),
}

/// Changes the filter of the running process. Cloning shares.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl LogLevel {
    /// Changes the filter.
    ///
    /// # Errors
    /// When the directive cannot be read; the old one stays.
    pub fn set(&self, directive: &str) -> Result<(), LoggingError> {
        (self.0)(parse(directive)?)?;
        tracing::info!(directive, "log level changed");
        Ok(())
    }
}

/// Sends all events of this process to standard output.
///
/// # Errors
/// When the directive cannot be read, or when it is called twice.
pub fn start(directive: &str, format: LogFormat) -> Result<LogLevel, LoggingError> {
    let filter = parse(directive)?;
    let builder = tracing_subscriber::fmt();
    // The builder's type depends on the format, so the two branches repeat the same calls.
    match format {
        LogFormat::Text => {
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init()?;
            Ok(LogLevel(Arc::new(move |filter| handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init()?;
            Ok(LogLevel(Arc::new(move |filter| handle.reload(filter))))
        }
    }
}

fn parse(directive: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::try_new(directive).map_err(|source| LoggingError::Directive { directive: directive.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_level_is_refused_with_its_name_and_an_example() {
        let message = parse("loud=very").unwrap_err().to_string();
        assert!(message.contains("LOG_LEVEL `loud=very`") && message.contains("such as `info`"), "{message}");
    }

    #[test]
    fn a_level_changes_while_running() {
        let level = start("error", LogFormat::Json).unwrap();
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        level.set("debug").unwrap();
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        assert!(level.set("loud=very").is_err());
    }
}
