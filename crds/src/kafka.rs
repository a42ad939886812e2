//! `spec.kafka`: which topic of which cluster is read, as which group, and how the client behaves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::schema;

/// Which topic of which Kafka cluster is read, as which consumer group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSpec {
    /// Brokers to start from, `host:port`, several separated by commas.
    #[schemars(length(min = 1, max = 2048))]
    pub bootstrap_servers: String,
    /// The topic to consume. It cannot change: its offsets mean nothing for another topic.
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    /// The consumer group. Default: the object's name. Its effective value cannot change, since progress belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub group_id: Option<String>,
    /// Encrypt the connection. `tls: {}` trusts the public certificate authorities. Default: no encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Log in to the brokers with a user name and a password. Default: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// How the workers take part in the group.
    #[serde(default)]
    pub consumer: Consumer,
    /// Further librdkafka settings of the worker's client, by their librdkafka names, for example
    /// `client.dns.lookup: use_all_dns_ips`. Settings that exact balances depend on, that have a field of their own,
    /// or that carry a secret are refused by name. At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::client_settings")]
    pub extra_config: BTreeMap<String, String>,
}

/// Encryption of the connection to the brokers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Secret of this namespace whose key `ca.crt` holds the certificate authorities to trust, in PEM form.
    /// Default: the public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// Secret of this namespace whose keys `tls.crt` and `tls.key` are shown to brokers that ask for a client
    /// certificate. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<SecretRef>,
}

/// Login to the brokers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sasl {
    /// How the password is proved: `Plain`, `ScramSha256` or `ScramSha512`, as the brokers are configured.
    pub mechanism: SaslMechanism,
    /// Secret of this namespace with the keys `username` and `password`.
    pub credentials_secret_ref: SecretRef,
}

/// The ways of logging in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

/// The name of a Secret in the object's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// How the workers take part in the group. The defaults hand a stopped worker's partitions over at once and a dead
/// worker's after 10 seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Consumer {
    /// A worker that is silent for this long is dead and its partitions move. Default 10s; at least 6s (the brokers'
    /// own minimum), at least three heartbeats, at most `maxPollInterval` and 1h.
    pub session_timeout: Duration,
    /// Time between two signs of life. Default 500ms.
    pub heartbeat_interval: Duration,
    /// A worker that processes for longer than this without asking for more is stuck and loses its partitions.
    /// Default 60s, at most 24h.
    pub max_poll_interval: Duration,
    /// How partitions are dealt out: `CooperativeSticky` (default) moves only what must move; `Range` and `RoundRobin`
    /// stop every worker at each change and are there for comparison. Workers with different assignors cannot be members
    /// of one group, so a change takes effect when no worker is left: see `assignorChange`.
    pub assignor: Assignor,
    /// What happens when `assignor` changes while workers run. Default: they go on with the one they have, and the
    /// condition `AssignorChangePending` says what to do. `Recreate`: all of them are stopped, and started again when the
    /// group has no members; meanwhile nothing is processed and balance reads are not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor_change: Option<AssignorChange>,
    /// Where a group without any progress begins: `Earliest` (default) or `Latest` record. With
    /// balances, `Latest` needs the store `changelog`.
    pub start_from: StartFrom,
}

impl Default for Consumer {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_millis(500),
            max_poll_interval: Duration::from_secs(60),
            assignor: Assignor::default(),
            assignor_change: None,
            start_from: StartFrom::default(),
        }
    }
}

/// How partitions are dealt out to the members of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Assignor {
    #[default]
    CooperativeSticky,
    Range,
    RoundRobin,
}

impl Assignor {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::CooperativeSticky, Self::Range, Self::RoundRobin];

    /// The word in the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "CooperativeSticky",
            Self::Range => "Range",
            Self::RoundRobin => "RoundRobin",
        }
    }

    /// The name under which the members of a group agree on it.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The one of that [`protocol_name`](Self::protocol_name); `None` for one that workers do not have.
    pub fn from_protocol_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.protocol_name() == name)
    }
}

impl std::fmt::Display for Assignor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a changed assignor reaches a running fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum AssignorChange {
    Recreate,
}

/// Where a group without any progress begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum StartFrom {
    #[default]
    Earliest,
    Latest,
}
