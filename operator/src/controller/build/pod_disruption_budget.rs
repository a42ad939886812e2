//! Pure. The PodDisruptionBudget: node drains evict one worker at a time. Scaling down does not ask it.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    kind::ChildKind,
    metadata::{metadata, selector},
};
use crate::controller::validate::ValidatedGroup;

pub(super) const KIND: ChildKind = ChildKind::of::<PodDisruptionBudget>(str::to_owned, |group, _| {
    Some(serde_json::to_value(pod_disruption_budget(group)))
});

fn pod_disruption_budget(group: &ValidatedGroup) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(group, &group.key.name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(group)),
            // Without it, workers that never became ready (a broken image, an absent Kafka) would block every drain.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
