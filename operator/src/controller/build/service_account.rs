//! Pure. The workers' identity: it can do nothing, since no worker talks to Kubernetes.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::metadata;
use crate::controller::validate::ValidatedGroup;

/// None when the object brings its own ServiceAccount.
pub(super) fn service_account(group: &ValidatedGroup) -> Option<ServiceAccount> {
    group.worker.service_account_name.is_none().then(|| ServiceAccount {
        metadata: metadata(group, &group.key.name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}
