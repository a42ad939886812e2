//! The object itself and its effective values once defaults are applied. The columns of `kubectl get` are in
//! [`crate::columns`].
//!
//! What else a new field needs depends on who uses it (the workers, the scaling decision, the pod): see "A field of the
//! custom resource" in `docs/architecture.md`.

use kube::{CustomResource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::balances::{Balances, Ledger, Store};
use crate::kafka::KafkaSpec;
use crate::scaling::Scaling;
use crate::status::BalanceConsumerGroupStatus;
use crate::worker::Worker;

/// Desired state: the topic to consume, what its records mean, and how many workers may share the work. Durations are
/// whole numbers with units, such as `500ms`, `90s`, `2m` or `1h30m`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "balancefleet.io",
    version = "v1alpha1",
    kind = "BalanceConsumerGroup",
    plural = "balanceconsumergroups",
    shortname = "bcg",
    category = "balancefleet",
    namespaced,
    status = "BalanceConsumerGroupStatus",
    derive = "PartialEq",
    doc = "A fleet of Kafka consumers that keeps exact balances. The operator runs the workers, one per pod, in a \
           Deployment named like this object and scales them by lag, up to the number of partitions. \
           Required fields: spec.kafka.bootstrapServers and spec.kafka.topic.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct BalanceConsumerGroupSpec {
    /// The Kafka cluster, the topic to consume and the consumer group.
    pub kafka: KafkaSpec,
    /// What the workers keep of each partition, its ledger. `Balances` (default): every record is a transaction, and
    /// the ledger holds the balances of the partition's customers. `Count`: records of any content are processed and
    /// counted, and no balances are kept. Immutable.
    #[serde(default)]
    pub ledger: Ledger,
    /// Where balances are stored and how transactions change them. All fields have defaults. Not allowed with
    /// `ledger: Count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balances: Option<Balances>,
    /// Fixed number of replicas, whatever the lag; `0` suspends the fleet. Default: unset, the operator scales.
    /// `kubectl scale` sets this field; return to automatic scaling with
    /// `kubectl patch bcg NAME --type=merge -p '{"spec":{"replicas":null}}'`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub replicas: Option<i32>,
    /// How the operator chooses the number of replicas while `replicas` is not set.
    #[serde(default)]
    pub scaling: Scaling,
    /// Settings of the worker pods.
    #[serde(default)]
    pub worker: Worker,
    /// If true, the operator changes nothing and only reports status. Default `false`.
    #[serde(default)]
    pub paused: bool,
}

impl BalanceConsumerGroup {
    /// The effective consumer group: `spec.kafka.groupId`, else the object's name.
    pub fn effective_group_id(&self) -> String {
        self.spec.kafka.group_id.clone().unwrap_or_else(|| self.name_any())
    }

    /// The effective store; `None` if the ledger keeps no balances.
    pub fn effective_store(&self) -> Option<Store> {
        match self.spec.ledger {
            Ledger::Count => None,
            Ledger::Balances => {
                let written = self.spec.balances.as_ref().and_then(|balances| balances.store.clone());
                Some(written.unwrap_or_default())
            }
        }
    }
}
