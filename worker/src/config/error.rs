//! What can be wrong with a configuration.

/// Names the setting and what to write instead. The process ends: a wrong setting is never guessed around.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Not a flag, or a flag without its value; also how `--help` and `--version` come out.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    #[error("the configuration file {path} cannot be read: {source}")]
    File { path: String, source: std::io::Error },
    #[error("the configuration file {path} is not YAML: {source}")]
    Yaml { path: String, source: serde_yaml::Error },
    #[error("unknown setting {name} in {place}: correct or remove it; --help lists what there is")]
    Unknown {
        /// As it was written.
        name: String,
        /// The file, or the environment.
        place: String,
    },
    #[error("{name} is not available in this release: remove it")]
    NotAvailable { name: String },
    #[error("{name} = {value:?} does not work: {reason}")]
    Invalid { name: String, value: String, reason: String },
    /// A setting whose value is not shown: it may be a secret, or is not a single text.
    #[error("{name} does not work: {reason}")]
    Unusable { name: String, reason: String },
    /// Settings that librdkafka accepts one by one, but not together.
    #[error("the Kafka client does not take the settings: {0}; correct the one it names")]
    Client(rdkafka::error::KafkaError),
    /// Settings that exclude or need each other.
    #[error("{0}")]
    Combination(String),
}
