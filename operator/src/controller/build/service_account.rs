//! Pure. The workers' identity. It has no rights, because no worker talks to Kubernetes.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{kind::ChildKind, metadata::metadata};
use crate::controller::validate::ValidatedGroup;

pub(super) const KIND: ChildKind = ChildKind::of::<ServiceAccount>(str::to_owned, |group, _| {
    group.worker.service_account_name.is_none().then(|| serde_json::to_value(service_account(group)))
});

fn service_account(group: &ValidatedGroup) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(group, &group.key.name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
