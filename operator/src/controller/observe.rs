//! Reads: the children and pods from the caches (or by name, where a cache has none), the Secrets that the object
//! names, the newest snapshot of its lag. Nothing here waits for Kafka.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use balancefleet_crds::BalanceConsumerGroup;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource, ResourceExt, core::NamespaceResourceScope, core::PartialObjectMeta, runtime::reflector::ObjectRef,
};
use serde::de::DeserializeOwned;

use super::{
    build::{peers_service_name, selector_labels},
    cache::Cache,
    context::Context,
    drift::controlled_by,
    secrets::SecretReading,
    twins::older_twin,
    validate::{Surroundings, key_of, referenced_secrets},
};
use crate::{
    error::{Result, call},
    lag::{GroupKey, Snapshot},
};

/// All that a pass knows of an object's surroundings.
pub(super) struct Observed {
    /// Namespace and name.
    pub key: GroupKey,
    /// The children as they are.
    pub live: Live,
    /// The live Deployment, if it is this object's: a stranger's says nothing about our workers.
    pub workers: Option<Arc<Deployment>>,
    /// The pods that match the group's selector.
    pub pods: Vec<Arc<PartialObjectMeta<Pod>>>,
    /// The Secrets the object names.
    pub secrets: BTreeMap<String, SecretReading>,
    /// An older object with the same group on the same Kafka.
    pub older_twin: Option<GroupKey>,
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

/// Gathers what a pass needs.
///
/// # Errors
/// When the caches are not filled yet or the API server does not answer.
pub(super) async fn observe(context: &Context, group: &BalanceConsumerGroup) -> Result<Observed> {
    let (common, caches) = (&context.common, &context.caches);
    caches.filled().await?;
    common.first_lists.all().await?;
    let key = key_of(group);
    let peers = peers_service_name(&key.name);
    let live = Live {
        deployment: find(context, &caches.deployments, &key, &key.name).await?,
        service: find(context, &caches.services, &key, &key.name).await?,
        peers_service: find(context, &caches.services, &key, &peers).await?,
        service_account: match group.spec.worker.service_account_name {
            // One that we do not want is looked for only where it can be ours.
            Some(_) => caches.service_accounts.get(&ObjectRef::new(&key.name).within(&key.namespace)),
            None => find(context, &caches.service_accounts, &key, &key.name).await?,
        },
        pod_disruption_budget: find(context, &caches.pod_disruption_budgets, &key, &key.name).await?,
    };
    let mut secrets = BTreeMap::new();
    for name in referenced_secrets(group) {
        let reading = common.secrets.get(&(key.namespace.clone(), name.clone())).await?;
        secrets.insert(name, reading);
    }
    let others = common.all_groups();
    let uid = group.uid().unwrap_or_default();
    let is_ours = |found: &Arc<Deployment>| controlled_by(Some(found.owner_references()), &uid);
    Ok(Observed {
        workers: live.deployment.clone().filter(is_ours),
        live,
        pods: pods(context, &key),
        secrets,
        older_twin: older_twin(group, others.iter().filter_map(|other| other.0.as_ref().ok()), |group| {
            common.deployment_of(group).is_some()
        }),
        snapshot: common.lag.snapshot(&key),
        key,
    })
}

impl Observed {
    /// What validation needs of it.
    pub(super) fn surroundings<'a>(&'a self, release_image: &'a str) -> Surroundings<'a> {
        Surroundings {
            secrets: self.secrets.clone(),
            running_image: self.workers.as_deref().and_then(super::workload::image),
            release_image,
            older_twin: self.older_twin.clone(),
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
    let api: Api<K> = Api::namespaced(context.common.client.clone(), &key.namespace);
    Ok(call(format!("read {} {name}", K::kind(&())), api.get_opt(name)).await?.map(Arc::new))
}

fn pods(context: &Context, key: &GroupKey) -> Vec<Arc<PartialObjectMeta<Pod>>> {
    let labels = selector_labels(&key.name);
    context.caches.pods.state_filter(|pod| {
        pod.namespace().as_deref() == Some(&key.namespace)
            && labels.iter().all(|(label, value)| pod.labels().get(label) == Some(value))
    })
}
