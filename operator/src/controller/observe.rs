//! Reads: the children and pods from the caches (or by name, where a cache has none), the Secrets that the object
//! names, the newest snapshot of its lag. Nothing here waits for Kafka.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Instant};

use balancefleet_crds::{Assignor, BalanceConsumerGroup};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource, ResourceExt, api::ListParams, core::NamespaceResourceScope, core::PartialObjectMeta,
    runtime::reflector::ObjectRef,
};
use serde::de::DeserializeOwned;

use super::{
    assignor::{Remains, asks_for_remains},
    build::{peers_service_name, selector_labels},
    cache::Cache,
    drift::controlled_by,
    group_conflict::conflicting_group,
    secrets::SecretReading,
    shared::Context,
    validate::{Surroundings, key_of, referenced_secrets},
    workload,
};
use crate::{
    error::{Result, call},
    poller::{GroupKey, Snapshot},
};

/// All that a reconcile knows of an object's surroundings.
pub(super) struct Observed {
    /// Namespace and name.
    pub key: GroupKey,
    /// The children as they are.
    pub live: Live,
    /// The live Deployment, if it belongs to this object: a foreign one says nothing about our workers.
    pub workers: Option<Arc<Deployment>>,
    /// The pods that match the group's selector.
    pub pods: Vec<Arc<PartialObjectMeta<Pod>>>,
    /// The Secrets the object names.
    pub secrets: BTreeMap<String, SecretReading>,
    /// An older object with the same group on the same Kafka.
    pub conflicting_group: Option<GroupKey>,
    /// What is left of the workers, where another assignor may have to wait for the last of them.
    pub remains: Option<Remains>,
    /// What the poller last saw of the group.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// Children that exist under the names that ours have, whoever made them.
#[derive(Default)]
pub(super) struct Live {
    /// The workers.
    pub deployment: Option<Arc<Deployment>>,
    /// For clients.
    pub service: Option<Arc<Service>>,
    /// For the workers among themselves.
    pub peers_service: Option<Arc<Service>>,
    /// The workers' identity.
    pub service_account: Option<Arc<ServiceAccount>>,
    /// For node drains.
    pub pod_disruption_budget: Option<Arc<PodDisruptionBudget>>,
}

/// Gathers what a reconcile needs.
///
/// # Errors
/// When the caches are not filled yet or the API server does not answer.
pub(super) async fn observe(context: &Context, group: &BalanceConsumerGroup) -> Result<Observed> {
    let (shared, caches) = (&context.shared, &context.caches);
    caches.filled().await?;
    shared.initial_sync.wait_all().await?;
    let key = key_of(group);
    let peers = peers_service_name(&key.name);
    let mut live = Live {
        deployment: find(context, &caches.deployments, &key, &key.name).await?,
        service: find(context, &caches.services, &key, &key.name).await?,
        peers_service: find(context, &caches.services, &key, &peers).await?,
        service_account: match group.spec.worker.service_account_name {
            // One that is not desired matters only where it can be ours.
            Some(_) => caches.service_accounts.get(&ObjectRef::new(&key.name).within(&key.namespace)),
            None => find(context, &caches.service_accounts, &key, &key.name).await?,
        },
        pod_disruption_budget: find(context, &caches.pod_disruption_budgets, &key, &key.name).await?,
    };
    let mut secrets = BTreeMap::new();
    for name in referenced_secrets(group) {
        let reading = shared.secrets.get(&(key.namespace.clone(), name.clone())).await?;
        secrets.insert(name, reading);
    }
    let others = shared.all_groups();
    let uid = group.uid().unwrap_or_default();
    let is_ours = |found: &Arc<Deployment>| controlled_by(Some(found.owner_references()), &uid);
    let pods = pods(context, &key);
    let snapshot = shared.lag.snapshot(&key);
    let workers = live.deployment.clone().filter(is_ours);
    let taken = live.deployment.is_some() && workers.is_none();
    let asks = asks_for_remains(group, workers.as_deref(), !pods.is_empty(), snapshot.as_deref());
    let remains = if asks && !taken {
        if workers.is_some() {
            // The cache may be behind, and a Deployment that somebody has just scaled up is none that has no workers.
            live.deployment = read(context, &key, &key.name).await?.map(Arc::new);
        }
        Some(remains(context, &key).await?)
    } else {
        None
    };
    Ok(Observed {
        workers: live.deployment.clone().filter(is_ours),
        live,
        pods,
        remains,
        secrets,
        conflicting_group: conflicting_group(group, others.iter().filter_map(|other| other.0.as_ref().ok()), |group| {
            shared.deployment_of(group).is_some()
        }),
        snapshot,
        key,
    })
}

impl Observed {
    /// What validation needs of it.
    pub(super) fn surroundings<'a>(&'a self, assignor: Assignor, release_image: &'a str) -> Surroundings<'a> {
        Surroundings {
            assignor: Some(assignor),
            secrets: self.secrets.clone(),
            running_image: self.workers.as_deref().and_then(workload::image),
            release_image,
            conflicting_group: self.conflicting_group.clone(),
        }
    }
}

/// From the cache; where it shows nothing, from the API server: the cache holds only children that carry our label, and
/// a child of that name without it must not be overwritten.
async fn find<K>(context: &Context, cache: &Cache<K>, key: &GroupKey, name: &str) -> Result<Option<Arc<K>>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + 'static,
{
    if let Some(child) = cache.get(&ObjectRef::new(name).within(&key.namespace)) {
        return Ok(Some(child));
    }
    Ok(read(context, key, name).await?.map(Arc::new))
}

/// From the API server.
async fn read<K>(context: &Context, key: &GroupKey, name: &str) -> Result<Option<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(context.shared.client.clone(), &key.namespace);
    call(format!("read {} {name}", K::kind(&())), api.get_opt(name)).await
}

/// The pods that have not ended, from the API server: one that the cache does not show yet, or that has ended and is only
/// kept for its log, makes the difference.
async fn remains(context: &Context, key: &GroupKey) -> Result<Remains> {
    let labels: Vec<String> =
        selector_labels(&key.name).iter().map(|(label, value)| format!("{label}={value}")).collect();
    let api: Api<Pod> = Api::namespaced(context.shared.client.clone(), &key.namespace);
    let params = ListParams::default().labels(&labels.join(","));
    let pods = call(format!("list the pods of {key}"), api.list(&params)).await?;
    let runs = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    };
    let mut left: Vec<_> = pods
        .iter()
        .filter(|pod| runs(pod))
        .map(|pod| (pod.name_any(), pod.spec.as_ref().and_then(workload::assignor_of)))
        .collect();
    left.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(Remains { pods: left, at: Instant::now() })
}

fn pods(context: &Context, key: &GroupKey) -> Vec<Arc<PartialObjectMeta<Pod>>> {
    let labels = selector_labels(&key.name);
    context.caches.pods.state_filter(|pod| {
        pod.namespace().as_deref() == Some(&key.namespace)
            && labels.iter().all(|(label, value)| pod.labels().get(label) == Some(value))
    })
}
