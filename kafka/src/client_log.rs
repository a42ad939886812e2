//! librdkafka's log lines in our log.

/// Logs one line. librdkafka's errors are logged as warnings: the failed call reports what they mean.
pub(crate) fn line(level: i32, facility: &str, text: &str) {
    match level {
        ..=4 => tracing::warn!(facility, "{text}"),
        5 | 6 => tracing::info!(facility, "{text}"),
        _ => tracing::debug!(facility, "{text}"),
    }
}
