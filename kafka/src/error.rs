//! What can go wrong with a Kafka cluster: a bounded number of error kinds, each of which can become a condition of an
//! object and tells a user what to do.

use std::time::Duration;

/// The bounded classification of every [`Error`]: safe as a metric label or a condition reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// No broker could be connected to: wrong address, nothing listens, no route, name does not resolve.
    Unreachable,
    /// The broker refused the login.
    Authentication,
    /// The TLS handshake failed: unknown authority, wrong host name, expired or missing certificate.
    Tls,
    /// Logged in, but not allowed to do this.
    Authorization,
    /// The topic or the partition does not exist (or may not be described).
    UnknownTopic,
    /// The log does not hold the offset to read.
    OutOfRange,
    /// A coordinator or a leader is moving: the next call is likely to succeed.
    Transient,
    /// No answer in time, although brokers could be reached.
    Timeout,
    /// The settings or arguments cannot work; librdkafka refused them before any network was used.
    Invalid,
    /// Everything else; the message has Kafka's own words.
    Other,
}

impl ErrorKind {
    /// The kind as a word, for conditions, events and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Authentication => "Authentication",
            Self::Tls => "Tls",
            Self::Authorization => "Authorization",
            Self::UnknownTopic => "UnknownTopic",
            Self::OutOfRange => "OutOfRange",
            Self::Transient => "Transient",
            Self::Timeout => "Timeout",
            Self::Invalid => "Invalid",
            Self::Other => "Other",
        }
    }
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed call. `detail` has librdkafka's or the broker's own words and never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// See [`ErrorKind::Unreachable`].
    #[error(
        "no Kafka broker can be reached ({detail}): check the bootstrap servers, that something listens there, and whether that listener wants TLS or a login"
    )]
    Unreachable {
        /// The last connection error.
        detail: String,
    },
    /// See [`ErrorKind::Authentication`].
    #[error("Kafka refused the login ({detail}): check SASL mechanism, username and password")]
    Authentication {
        /// The broker's refusal.
        detail: String,
    },
    /// See [`ErrorKind::Tls`].
    #[error("the TLS handshake with Kafka failed ({detail}): check the authority, the client certificate and the port")]
    Tls {
        /// OpenSSL's words.
        detail: String,
    },
    /// See [`ErrorKind::Authorization`].
    #[error("Kafka does not allow this user to {operation} ({detail}): grant {needs}")]
    Authorization {
        /// What was refused, with its object: "read topic payments".
        operation: String,
        /// The rights that allow it.
        needs: &'static str,
        /// Kafka's words.
        detail: String,
    },
    /// See [`ErrorKind::UnknownTopic`].
    #[error("Kafka does not know {what}: create it or correct its name")]
    UnknownTopic {
        /// The topic or partition.
        what: String,
    },
    /// See [`ErrorKind::OutOfRange`].
    #[error(
        "partition {partition} of topic {topic} cannot be read from offset {offset} ({detail}): its records were deleted by retention, or the log was cut off or recreated"
    )]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition's number.
        partition: i32,
        /// The next offset to read.
        offset: i64,
        /// librdkafka's words.
        detail: String,
    },
    /// See [`ErrorKind::Transient`].
    #[error("Kafka cannot answer for {what} right now ({detail}): try again shortly")]
    Transient {
        /// What was asked for.
        what: String,
        /// Kafka's words.
        detail: String,
    },
    /// See [`ErrorKind::Timeout`].
    #[error(
        "Kafka gave no answer about {what} within {timeout:?} ({detail}): the brokers are up but slow or overloaded"
    )]
    Timeout {
        /// What was asked for.
        what: String,
        /// How long the call waited.
        timeout: Duration,
        /// librdkafka's words.
        detail: String,
    },
    /// See [`ErrorKind::Invalid`].
    #[error("the Kafka connection cannot be used: {detail}")]
    Invalid {
        /// Which setting or argument, and why.
        detail: String,
    },
    /// See [`ErrorKind::Other`].
    #[error("Kafka answered about {what}: {detail}")]
    Other {
        /// What was asked for.
        what: String,
        /// Kafka's words.
        detail: String,
    },
}

impl Error {
    /// The bounded classification.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::Authentication { .. } => ErrorKind::Authentication,
            Self::Tls { .. } => ErrorKind::Tls,
            Self::Authorization { .. } => ErrorKind::Authorization,
            Self::UnknownTopic { .. } => ErrorKind::UnknownTopic,
            Self::OutOfRange { .. } => ErrorKind::OutOfRange,
            Self::Transient { .. } => ErrorKind::Transient,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Other { .. } => ErrorKind::Other,
        }
    }

    /// Whether the same call may succeed later without any change.
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unreachable | ErrorKind::Transient | ErrorKind::Timeout)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { detail: detail.into() }
    }
}

/// The name of a partition in error messages.
pub(crate) fn partition_name(topic: &str, partition: i32) -> String {
    format!("partition {partition} of topic {topic}")
}
