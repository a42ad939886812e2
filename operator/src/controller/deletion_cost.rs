//! Which workers leave first when the replicas are reduced: those without a partition, then those with the fewest
//! partitions, and among these the one with the least lag. The rank of a pod is its deletion cost, an annotation that
//! Kubernetes reads. It is only a preference, so a failed write is not an error.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde_json::json;

use super::{managed_fields::FIELD_MANAGER, members::pod_of, shared::Shared};
use crate::{
    error::Error,
    poller::{MemberLag, ObjectKey},
};

const ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Pods whose annotation has to change, with its new value. All pods of the group are ranked, new ones too: a pod
/// without the annotation has the cost 0 and would leave first.
fn rank<'a>(
    pods: impl IntoIterator<Item = &'a PartialObjectMeta<Pod>>,
    members: &[MemberLag],
) -> Vec<(String, String)> {
    let mut pods: Vec<_> = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    pods.sort_by_key(|pod| {
        let name = pod.name_any();
        let member = members.iter().find(|member| pod_of(&member.client_id) == Some(&name));
        (member.map_or(0, |member| member.partitions.len()), member.and_then(|member| member.lag).unwrap_or(0), name)
    });
    let ranked = pods.into_iter().zip(1..).map(|(pod, rank)| (pod, rank.to_string()));
    ranked
        .filter(|(pod, rank)| pod.annotations().get(ANNOTATION) != Some(rank))
        .map(|(pod, rank)| (pod.name_any(), rank))
        .collect()
}

/// Writes the deletion costs of a group's pods. Stops at the first write that the API server does not answer.
pub(super) async fn write<'a>(
    shared: &Shared,
    key: &ObjectKey,
    pods: impl IntoIterator<Item = &'a PartialObjectMeta<Pod>>,
    members: &[MemberLag],
) {
    for (pod, rank) in rank(pods, members) {
        let action = format!("write the deletion cost of pod {pod}");
        let api: Api<Pod> = Api::namespaced(shared.client.clone(), &key.namespace);
        let request = async move {
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patch = Patch::Merge(json!({"metadata": {"annotations": {ANNOTATION: rank}}}));
            api.patch_metadata(&pod, &params, &patch).await
        };
        if let Err(error) = shared.writer.write_child(key, action, false, request).await {
            tracing::debug!(%error, "cannot write a deletion cost: Kubernetes may remove another worker than the idlest");
            if matches!(error, Error::Timeout { .. }) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, rank: Option<&str>) -> PartialObjectMeta<Pod> {
        let mut pod = PartialObjectMeta::<Pod>::default();
        pod.metadata.name = Some(name.into());
        pod.metadata.annotations = rank.map(|rank| [(ANNOTATION.to_owned(), rank.to_owned())].into());
        pod
    }

    fn member(pod: &str, partitions: &[i32], lag: i64) -> MemberLag {
        MemberLag {
            client_id: format!("balance-worker-{pod}-0123abcd"),
            partitions: partitions.to_vec(),
            lag: Some(lag),
        }
    }

    #[test]
    fn idle_workers_leave_first_then_the_fewest_then_the_coldest_partitions() {
        let pods = [pod("two", None), pod("hot", None), pod("cold", None), pod("idle", None), pod("unknown", None)];
        let members =
            [member("two", &[0, 1], 0), member("hot", &[2], 900), member("cold", &[3], 10), member("idle", &[], 0)];
        let order: Vec<String> = rank(&pods, &members).into_iter().map(|(name, _)| name).collect();
        assert_eq!(order, ["idle", "unknown", "cold", "hot", "two"]);
    }

    #[test]
    fn a_rank_that_is_right_is_not_written_again() {
        let pods = [pod("a", Some("1")), pod("b", Some("1"))];
        assert_eq!(rank(&pods, &[]), [("b".to_owned(), "2".to_owned())]);
    }
}
