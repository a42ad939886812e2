//! Pure. The Service for clients of the REST API: any ready worker answers for the whole fleet.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    kind::ChildKind,
    metadata::{HTTP_PORT, HTTP_PORT_NAME, metadata, selector_labels},
};
use crate::controller::validate::ValidatedGroup;

pub(super) const KIND: ChildKind =
    ChildKind::of::<Service>(str::to_owned, |group, _| Some(serde_json::to_value(service(group))));

fn service(group: &ValidatedGroup) -> Service {
    Service {
        metadata: metadata(group, &group.key.name),
        spec: Some(ServiceSpec {
            selector: Some(selector_labels(&group.key.name)),
            ports: Some(vec![ServicePort {
                name: Some(HTTP_PORT_NAME.to_owned()),
                port: HTTP_PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(HTTP_PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
