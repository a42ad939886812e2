//! Pure. The headless Service by which a worker finds the others, to ask them for balances that it does not hold.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::{
    kind::ChildKind,
    metadata::{HTTP_PORT, HTTP_PORT_NAME, metadata, peers_service_name, selector_labels},
};
use crate::controller::validate::ValidatedGroup;

pub(super) const KIND: ChildKind =
    ChildKind::of::<Service>(peers_service_name, |group, _| Some(serde_json::to_value(peers_service(group))));

fn peers_service(group: &ValidatedGroup) -> Service {
    Service {
        metadata: metadata(group, &peers_service_name(&group.key.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            // A worker that restores one partition is not ready, but no other worker can answer for its other
            // partitions.
            publish_not_ready_addresses: Some(true),
            selector: Some(selector_labels(&group.key.name)),
            ports: Some(vec![ServicePort {
                name: Some(HTTP_PORT_NAME.to_owned()),
                port: HTTP_PORT,
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
