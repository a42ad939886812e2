//! `spec.kafka`: the cluster, the topic, the consumer group, and how the client behaves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::schema;

/// The Kafka cluster, the topic to consume and the consumer group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSpec {
    /// Bootstrap brokers as `host:port`, separated by commas without spaces.
    #[schemars(length(min = 1, max = 2048))]
    pub bootstrap_servers: String,
    /// Topic to consume. Immutable, because offsets mean nothing for another topic.
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    /// Consumer group. Default: the object's name. The effective value is immutable, because progress belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub group_id: Option<String>,
    /// Encrypts the connection to the brokers. `tls: {}` trusts the public certificate authorities. Default: not
    /// encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Authenticates to the brokers with a user name and password. Default: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// How the workers take part in the consumer group.
    #[serde(default)]
    pub consumer: Consumer,
    /// Additional librdkafka settings for the worker's client, by their librdkafka names, for example
    /// `client.dns.lookup: use_all_dns_ips`. At most 32. Settings that exact balances depend on, that have a field of
    /// their own, or that carry a secret are refused by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::client_settings")]
    pub extra_config: BTreeMap<String, String>,
}

/// Encryption of the connection to the brokers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Secret in the same namespace whose key `ca.crt` holds the certificate authorities to trust, in PEM form.
    /// Default: the public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// Secret in the same namespace with the keys `tls.crt` and `tls.key`, presented to brokers that ask for a client
    /// certificate. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<SecretRef>,
}

/// Login to the brokers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sasl {
    /// SASL mechanism: `Plain`, `ScramSha256` or `ScramSha512`, as configured on the brokers.
    pub mechanism: SaslMechanism,
    /// Secret in the same namespace with the keys `username` and `password`.
    pub credentials_secret_ref: SecretRef,
}

/// SASL mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

/// A Secret in the object's own namespace, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// How the workers take part in the consumer group. With the defaults, the partitions of a stopped worker are
/// reassigned at once, and those of a dead worker after 10 seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Consumer {
    /// A worker that sends no heartbeat for this long is considered dead, and its partitions are reassigned. Default
    /// `10s`; at least `6s` (the brokers' minimum) and three times `heartbeatInterval`; at most `maxPollInterval` and
    /// `1h`.
    pub session_timeout: Duration,
    /// Time between heartbeats to the group coordinator. Default `500ms`; more than 0 and at most a third of
    /// `sessionTimeout`.
    pub heartbeat_interval: Duration,
    /// A worker that processes longer than this without polling for more records is considered stuck and loses its
    /// partitions. Default `60s`; at least `sessionTimeout`, at most `24h`.
    pub max_poll_interval: Duration,
    /// How partitions are assigned. `CooperativeSticky` (default) moves only partitions that must move; `Range` and
    /// `RoundRobin` stop every worker at each rebalance and exist for comparison. Workers with different assignors
    /// cannot share a group, so a change takes effect only when no worker is left: see `assignorChange`.
    pub assignor: Assignor,
    /// What to do when `assignor` changes while workers run. Default: they keep their current assignor, and the
    /// condition `AssignorChangePending` says what to do. `Recreate`: all workers are stopped, and started again once
    /// the group has no members; meanwhile nothing is processed and balance reads are not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor_change: Option<AssignorChange>,
    /// Where a group without any progress starts: at the `Earliest` (default) or `Latest` record. With balances,
    /// `Latest` needs the store `changelog`.
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

/// How partitions are assigned to the members of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Assignor {
    #[default]
    CooperativeSticky,
    Range,
    RoundRobin,
}

impl Assignor {
    /// All assignors.
    pub const ALL: [Self; 3] = [Self::CooperativeSticky, Self::Range, Self::RoundRobin];

    /// The name in the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "CooperativeSticky",
            Self::Range => "Range",
            Self::RoundRobin => "RoundRobin",
        }
    }

    /// The protocol name by which the members of a group agree on it.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The assignor with this [`protocol_name`](Self::protocol_name); `None` if workers do not have it.
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

/// Where a group without any progress starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum StartFrom {
    #[default]
    Earliest,
    Latest,
}
