//! What can be wrong with a configuration.

/// Names the setting and what to write instead. The process ends: a wrong setting is never guessed around.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a flag, or a flag without its value; also how `--help` and `--version` come out.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    File {
        /// Where it should be.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("the configuration file {path} is not YAML: {source}")]
    Yaml {
        /// Which file.
        path: String,
        /// Where it breaks.
        source: serde_yaml::Error,
    },
    /// Nobody knows this name.
    #[error("unknown setting {name} in {place}: correct or remove it; --help lists what there is")]
    Unknown {
        /// As it was written.
        name: String,
        /// The file, or the environment.
        place: String,
    },
    /// A setting that would do nothing yet.
    #[error("{name} is not available in this release: remove it")]
    NotAvailable {
        /// As it was written.
        name: String,
    },
    /// A known setting with a value that does not work.
    #[error("{name} = {value:?} does not work: {reason}")]
    Invalid {
        /// As it was written.
        name: String,
        /// The value.
        value: String,
        /// What is wrong, what would be right.
        reason: String,
    },
    /// A client setting that cannot be passed on. Its value is not repeated: it may be a secret.
    #[error("{name} does not work: {reason}")]
    ExtraConfig {
        /// As it was written.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A setting that is a secret: its value is not repeated.
    #[error("{name} does not work: {reason} (its value is not shown)")]
    Hidden {
        /// As it was written.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings that librdkafka takes one by one, but not together.
    #[error("the Kafka client does not take the settings: {0}; correct the one it names")]
    Client(rdkafka::error::KafkaError),
    /// Settings that exclude or need each other.
    #[error("{0}")]
    Combination(String),
    /// A file named by a setting.
    #[error("{name} names the file {path}, which cannot be read: {source}")]
    Secret {
        /// The setting.
        name: String,
        /// The file.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
}
