//! Log lines: text for people or JSON for collectors, filtered by one directive.

use tracing_subscriber::{EnvFilter, filter::ParseError, util::SubscriberInitExt};

use crate::args::LogFormat;

/// Why logging could not start.
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
}

/// Sends all events of this process to standard output.
///
/// # Errors
/// When the directive cannot be read, or when it is called twice.
pub fn start(directive: &str, format: LogFormat) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(directive)
        .map_err(|source| LoggingError::Directive { directive: directive.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(true);
    match format {
        LogFormat::Text => builder.finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_level_is_refused_with_its_name_and_an_example() {
        let message = start("loud=very", LogFormat::Text).unwrap_err().to_string();
        assert!(message.contains("LOG_LEVEL `loud=very`") && message.contains("such as `info`"), "{message}");
    }
}
