//! The object itself and the values in effect once its defaults are applied. What `kubectl get` shows is in
//! [`crate::columns`].

use kube::{CustomResource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::balances::{Balances, Ledger, Store};
use crate::kafka::KafkaSpec;
use crate::scaling::Scaling;
use crate::status::BalanceConsumerGroupStatus;
use crate::worker::Worker;

/// What is wanted: a topic to consume, what its records mean, and how many workers may share the work.
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
    doc = "A fleet of Kafka consumers that keeps exact balances. The operator runs one worker per pod in a Deployment \
           of this object's name and keeps their number right for the lag, up to the number of partitions. \
           Smallest useful object: spec.kafka.bootstrapServers and spec.kafka.topic.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct BalanceConsumerGroupSpec {
    /// Which topic of which Kafka cluster is read, as which consumer group.
    pub kafka: KafkaSpec,
    /// What a record means. `Balances` (default): a transaction that changes its customer's balance. `Count`: anything;
    /// records are processed and counted, no balances are kept. It cannot change.
    #[serde(default)]
    pub ledger: Ledger,
    /// Where balances are kept and how transactions become balances. Everything in it has a default. Refused with the
    /// ledger `Count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balances: Option<Balances>,
    /// Set: exactly this many workers, whatever the lag; 0 suspends. Not set (default): the operator decides. This is
    /// what `kubectl scale` writes; back to automatic with
    /// `kubectl patch bcg NAME --type=merge -p '{"spec":{"replicas":null}}'`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub replicas: Option<i32>,
    /// How the number of workers is chosen while `replicas` is not set.
    #[serde(default)]
    pub scaling: Scaling,
    /// The worker pods.
    #[serde(default)]
    pub worker: Worker,
    /// While true the operator changes nothing and only reports. Default false.
    #[serde(default)]
    pub paused: bool,
}

impl BalanceConsumerGroup {
    /// The consumer group in effect: `spec.kafka.groupId`, else the object's name.
    pub fn effective_group_id(&self) -> String {
        self.spec.kafka.group_id.clone().unwrap_or_else(|| self.name_any())
    }

    /// The store in effect, or none where the ledger keeps no balances.
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
