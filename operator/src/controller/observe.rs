//! Reads the children and pods from the caches (a child that its cache lacks: by name), the Secrets that the object
//! names, and the newest snapshot of its lag. Nothing here waits for Kafka.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use balancefleet_crds::{Assignor, BalanceConsumerGroup};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{DynamicObject, PartialObjectMeta},
};

use super::{
    assignor::{RemainingPods, needs_remaining_pods},
    build::{ChildKind, DEPLOYMENT, selector_labels, selector_text},
    drift::controlled_by,
    group_conflict::conflicting_group,
    secrets::SecretReading,
    shared::Context,
    validate::{ValidationContext, key_of, referenced_secrets},
    workload,
};
use crate::{
    error::{Result, call},
    poller::{ObjectKey, Snapshot},
};

/// Everything that a reconcile knows about an object's surroundings.
pub(super) struct Observed {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The Deployment with the name of ours, whoever created it.
    pub deployment: Option<Arc<DynamicObject>>,
    /// The same Deployment, typed, if it belongs to this object: a foreign one says nothing about our workers.
    pub workers: Option<Arc<Deployment>>,
    /// The pods that match the group's selector.
    pub pods: Vec<Arc<PartialObjectMeta<Pod>>>,
    /// The Secrets the object names.
    pub secrets: BTreeMap<String, SecretReading>,
    /// An older object with the same group on the same Kafka.
    pub conflicting_group: Option<ObjectKey>,
    /// The pods that have not ended; read only where a change of the assignor may have to wait for the last of them.
    pub remaining_pods: Option<RemainingPods>,
    /// What the poller last saw of the group.
    pub snapshot: Option<Arc<Snapshot>>,
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
    let mut deployment = find(context, &DEPLOYMENT, &key).await?;
    let mut secrets = BTreeMap::new();
    for name in referenced_secrets(group) {
        let reading = shared.secrets.get(&(key.namespace.clone(), name.clone())).await?;
        secrets.insert(name, reading);
    }
    let all = shared.all_groups();
    let others = all.iter().filter_map(|other| other.0.as_ref().ok());
    let uid = group.uid().unwrap_or_default();
    let pods = pods(context, &key);
    let snapshot = shared.lag.snapshot(&key);
    let mut workers = own(deployment.as_deref(), &uid)?;
    let taken = deployment.is_some() && workers.is_none();
    let asks = needs_remaining_pods(group, workers.as_deref(), !pods.is_empty(), snapshot.as_deref());
    let remaining_pods = if asks && !taken {
        if workers.is_some() {
            // The cache may be behind: somebody may just have scaled up a Deployment that it shows without replicas.
            deployment = read(context, &DEPLOYMENT, &key).await?;
            workers = own(deployment.as_deref(), &uid)?;
        }
        Some(read_remaining_pods(context, &key).await?)
    } else {
        None
    };
    Ok(Observed {
        deployment,
        workers,
        pods,
        remaining_pods,
        secrets,
        conflicting_group: conflicting_group(group, others, |other| shared.has_workers(other)),
        snapshot,
        key,
    })
}

impl Observed {
    /// What validation needs.
    pub(super) fn validation_context<'a>(
        &'a self,
        assignor: Assignor,
        release_image: &'a str,
    ) -> ValidationContext<'a> {
        ValidationContext {
            assignor: Some(assignor),
            secrets: self.secrets.clone(),
            running_image: self.workers.as_deref().and_then(workload::image),
            release_image,
            conflicting_group: self.conflicting_group.clone(),
        }
    }
}

/// The child with the name of ours, whoever created it. From the cache; if it has none, from the API server: the cache
/// holds only children with our label, and one without it must not be overwritten.
pub(super) async fn find(context: &Context, kind: &ChildKind, key: &ObjectKey) -> Result<Option<Arc<DynamicObject>>> {
    match context.caches.child(kind, key) {
        None => read(context, kind, key).await,
        found => Ok(found),
    }
}

/// Reads the child from the API server.
async fn read(context: &Context, kind: &ChildKind, key: &ObjectKey) -> Result<Option<Arc<DynamicObject>>> {
    let (api, name) = (context.api(kind, &key.namespace), (kind.name)(&key.name));
    Ok(call(format!("read {} {name}", kind.resource.kind), api.get_opt(&name)).await?.map(Arc::new))
}

/// The Deployment, typed, if it belongs to the object with this uid.
fn own(deployment: Option<&DynamicObject>, uid: &str) -> Result<Option<Arc<Deployment>>> {
    let own = deployment.filter(|found| controlled_by(found.owner_references(), uid));
    own.map(|own| workload::from_object(own).map(Arc::new)).transpose()
}

/// The pods that have not ended, from the API server: the cache may not show a new pod yet, and does not say whether a
/// pod has ended and only its log is kept.
async fn read_remaining_pods(context: &Context, key: &ObjectKey) -> Result<RemainingPods> {
    let api: Api<Pod> = Api::namespaced(context.shared.client.clone(), &key.namespace);
    let params = ListParams::default().labels(&selector_text(&key.name));
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
    Ok(RemainingPods { pods: left, at: Instant::now() })
}

fn pods(context: &Context, key: &ObjectKey) -> Vec<Arc<PartialObjectMeta<Pod>>> {
    let labels = selector_labels(&key.name);
    context.caches.pods.state_filter(|pod| {
        pod.namespace().as_deref() == Some(&key.namespace)
            && labels.iter().all(|(label, value)| pod.labels().get(label) == Some(value))
    })
}
