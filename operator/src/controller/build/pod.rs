//! Pure. The worker pod: restricted security, probes, Secrets as files, and the settings of `spec.worker`.

use std::collections::BTreeMap;

use balancefleet_crds::{ImagePullPolicy, Resources, SecretRef};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, HTTPGetAction, KeyToPath, LocalObjectReference, PodSecurityContext,
        PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
        Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::{
    environment,
    metadata::{HTTP_PORT, HTTP_PORT_NAME, labels},
};
use crate::controller::{quantity::is_more, validate::ValidatedGroup};

/// The name of the worker's container.
pub(super) const CONTAINER: &str = "worker";
/// The memory limit of a worker, if the object sets none.
const MEMORY_LIMIT: &str = "512Mi";
/// The Secrets the pods mount, each with the resourceVersion last read: a new one makes a new template.
const SECRETS_ANNOTATION: &str = "balancefleet.io/secret-versions";

pub(super) fn template(group: &ValidatedGroup) -> PodTemplateSpec {
    let worker = &group.worker;
    let mut labels_of_pod = worker.pod_labels.clone();
    // Ours last, so that the selector matches whatever labels a user sets.
    labels_of_pod.extend(labels(group));
    let mut annotations = worker.pod_annotations.clone();
    if !group.secret_versions.is_empty() {
        let versions = group.secret_versions.iter().map(|(name, version)| format!("{name}={version}"));
        annotations.insert(SECRETS_ANNOTATION.to_owned(), versions.collect::<Vec<_>>().join(","));
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels_of_pod),
            annotations: some_map(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(group)),
    }
}

fn spec(group: &ValidatedGroup) -> PodSpec {
    let worker = &group.worker;
    let account = worker.service_account_name.as_ref().unwrap_or(&group.key.name);
    PodSpec {
        containers: vec![container(group)],
        service_account_name: Some(account.clone()),
        automount_service_account_token: Some(false),
        // With links on, a Service named `kafka` would put `KAFKA_PORT=tcp://…` among the worker's own settings.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(seconds(worker.termination_grace_period)),
        security_context: Some(PodSecurityContext {
            // No user id: OpenShift assigns one per namespace; other clusters use the image's own.
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        volumes: some(mounts(group).into_iter().map(SecretMount::volume).collect()),
        image_pull_secrets: some(worker.image_pull_secrets.iter().map(pull_secret).collect()),
        node_selector: some_map(worker.node_selector.clone()),
        tolerations: some(worker.tolerations.clone()),
        affinity: worker.affinity.clone(),
        topology_spread_constraints: some(worker.topology_spread_constraints.clone()),
        priority_class_name: worker.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

fn container(group: &ValidatedGroup) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(group.image.clone()),
        image_pull_policy: group.worker.image_pull_policy.map(pull_policy),
        env: Some(environment::environment(group)),
        ports: Some(vec![ContainerPort {
            name: Some(HTTP_PORT_NAME.to_owned()),
            container_port: HTTP_PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        liveness_probe: Some(probe("/livez", 10, 3)),
        readiness_probe: Some(probe("/readyz", 3, 2)),
        resources: Some(resources(group.worker.resources.as_ref())),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: some(mounts(group).iter().map(SecretMount::mount).collect()),
        ..Container::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(HTTP_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

/// The resources that the object sets. By default, requests that fit the demo's load, and a limit on memory only: a
/// worker whose CPU is throttled sends heartbeats late and loses its partitions.
fn resources(chosen: Option<&Resources>) -> ResourceRequirements {
    let quantity = |name: &str, value: &str| (name.to_owned(), Quantity(value.to_owned()));
    let default_requests = || BTreeMap::from([quantity("cpu", "100m"), quantity("memory", "128Mi")]);
    let requests = chosen.map_or_else(default_requests, |chosen| chosen.requests.clone());
    let limits = match chosen {
        Some(chosen) if !chosen.limits.is_empty() => chosen.limits.clone(),
        // Without a limit, one worker could use up a node's memory.
        _ => BTreeMap::from([("memory".to_owned(), memory_limit(requests.get("memory")))]),
    };
    ResourceRequirements { requests: some_map(requests), limits: some_map(limits), ..ResourceRequirements::default() }
}

/// The API server refuses a limit below the request.
fn memory_limit(request: Option<&Quantity>) -> Quantity {
    let default = Quantity(MEMORY_LIMIT.to_owned());
    request.filter(|request| is_more(&request.0, MEMORY_LIMIT)).cloned().unwrap_or(default)
}

/// A Secret whose listed keys become files.
struct SecretMount {
    volume: &'static str,
    secret: String,
    path: &'static str,
    keys: &'static [&'static str],
}

fn mounts(group: &ValidatedGroup) -> Vec<SecretMount> {
    let mount = |volume, path, keys| move |secret| SecretMount { volume, secret, path, keys };
    let files = &group.files;
    let login = files.login.as_ref().map(|(_, secret)| secret.clone());
    let database =
        group.database.as_ref().filter(|database| database.has_authority).map(|database| database.name.clone());
    [
        files.authority.clone().map(mount("kafka-ca", environment::CA_DIRECTORY, &["ca.crt"])),
        files.client_certificate.clone().map(mount(
            "kafka-certificate",
            environment::CERTIFICATE_DIRECTORY,
            &["tls.crt", "tls.key"],
        )),
        login.map(mount("kafka-login", environment::LOGIN_DIRECTORY, &["username", "password"])),
        database.map(mount("database", environment::DATABASE_DIRECTORY, &["ca.crt"])),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl SecretMount {
    fn volume(self) -> Volume {
        let items = self.keys.iter().map(|key| KeyToPath {
            key: (*key).to_owned(),
            path: (*key).to_owned(),
            ..KeyToPath::default()
        });
        Volume {
            name: self.volume.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(self.secret),
                items: Some(items.collect()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        }
    }

    fn mount(&self) -> VolumeMount {
        VolumeMount {
            name: self.volume.to_owned(),
            mount_path: self.path.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }
    }
}

fn pull_secret(secret: &SecretRef) -> LocalObjectReference {
    LocalObjectReference { name: secret.name.clone() }
}

fn pull_policy(policy: ImagePullPolicy) -> String {
    match policy {
        ImagePullPolicy::Always => "Always",
        ImagePullPolicy::IfNotPresent => "IfNotPresent",
        ImagePullPolicy::Never => "Never",
    }
    .to_owned()
}

fn seconds(duration: balancefleet_crds::Duration) -> i64 {
    i64::try_from(duration.whole_seconds()).unwrap_or(i64::MAX)
}

/// Omits an empty list or map: otherwise it would be a field to own and to compare.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn some_map<V>(map: BTreeMap<String, V>) -> Option<BTreeMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_requests_alone_has_a_bound_on_its_memory() {
        for (request, limit) in [("32Mi", "512Mi"), ("512Mi", "512Mi"), ("1Gi", "1Gi"), ("0.5G", "512Mi")] {
            let requests = BTreeMap::from([("memory".to_owned(), Quantity(request.to_owned()))]);
            let chosen = Resources { requests, limits: BTreeMap::new() };
            let limits = resources(Some(&chosen)).limits.unwrap();
            assert_eq!(limits, BTreeMap::from([("memory".to_owned(), Quantity(limit.to_owned()))]), "{request}");
        }
        let limits = BTreeMap::from([("cpu".to_owned(), Quantity("1".to_owned()))]);
        let chosen = Resources { limits: limits.clone(), ..Resources::default() };
        assert_eq!(resources(Some(&chosen)).limits, Some(limits), "who writes limits means them");
    }
}
