//! Objects for tests: one with only what it must have, and one with every field that shows in a child.

use std::{collections::BTreeMap, sync::Arc};

use balancefleet_crds::BalanceConsumerGroup;

use crate::controller::{
    secrets::SecretReading,
    validate::{ValidatedGroup, ValidationContext, validate},
};

pub(crate) const RELEASE_IMAGE: &str = "registry.example/balance-worker:1.2.3";

const MINIMAL: &str = "
apiVersion: balancefleet.io/v1alpha1
kind: BalanceConsumerGroup
metadata: {name: shop, namespace: bank, uid: 11111111-2222-3333-4444-555555555555, generation: 1}
spec:
  kafka: {bootstrapServers: 'kafka:9092', topic: banking.transactions}
";

const FULL: &str = "
apiVersion: balancefleet.io/v1alpha1
kind: BalanceConsumerGroup
metadata:
  name: shop
  namespace: bank
  uid: 11111111-2222-3333-4444-555555555555
  generation: 4
  labels: {app.kubernetes.io/instance: an-argo-application}
spec:
  kafka:
    bootstrapServers: kafka-0.kafka.infra.svc:9093,kafka-1.kafka.infra.svc:9093
    topic: banking.transactions
    groupId: balance-service
    tls: {caSecretRef: {name: kafka-tls}, clientCertificateSecretRef: {name: kafka-tls}}
    sasl: {mechanism: ScramSha512, credentialsSecretRef: {name: kafka-login}}
    consumer: {sessionTimeout: 12s, heartbeatInterval: 1s, maxPollInterval: 2m, assignor: Range, startFrom: Latest}
    extraConfig: {client.dns.lookup: use_all_dns_ips}
  balances:
    store: {changelog: {topic: banking.balances, replicationFactor: 3, commitInterval: 250ms}}
    signs: {Transfer: Debit, Payment: Ignore}
    minorUnits: {XYZ: 3}
    deadLetterTopic: banking.dead-letters
  scaling: {minReplicas: 2, maxReplicas: 5}
  worker:
    image: registry.example/own:9
    imagePullPolicy: IfNotPresent
    imagePullSecrets: [{name: pull}]
    resources: {requests: {cpu: '0.5', memory: 1Gi}, limits: {memory: 1Gi}}
    nodeSelector: {disk: fast}
    tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]
    affinity:
      podAntiAffinity:
        preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 1
          podAffinityTerm: {topologyKey: kubernetes.io/hostname}
    topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}]
    priorityClassName: money
    serviceAccountName: own-account
    podAnnotations: {team: ledger}
    podLabels: {team: ledger, balancefleet.io/group: stolen}
    terminationGracePeriod: 1500ms
    simulatedWork: 7ms
    env: [{name: LOG_LEVEL, value: debug}, {name: KAFKA_TOPIC, value: stolen}]
";

const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAA==\n";

/// Parses YAML as the API server does: to JSON first, because YAML has its own notation for one-of choices.
fn parse(yaml: &str) -> BalanceConsumerGroup {
    serde_json::from_value(serde_yaml::from_str(yaml).unwrap()).unwrap()
}

/// An object with the required fields only.
pub(crate) fn minimal() -> BalanceConsumerGroup {
    parse(MINIMAL)
}

/// An object with every field that shows in a child.
pub(crate) fn full() -> BalanceConsumerGroup {
    parse(FULL)
}

/// A Secret that was found.
pub(crate) fn secret(resource_version: &str, keys: &[(&str, &str)]) -> SecretReading {
    let data: BTreeMap<String, Vec<u8>> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    SecretReading::Found { resource_version: resource_version.to_owned(), data: Arc::new(data) }
}

/// What the full object needs around it.
pub(crate) fn validation_context() -> ValidationContext<'static> {
    ValidationContext {
        secrets: BTreeMap::from([
            ("kafka-login".to_owned(), secret("17", &[("username", "ada"), ("password", "geheim")])),
            ("kafka-tls".to_owned(), secret("23", &[("ca.crt", PEM), ("tls.crt", PEM), ("tls.key", PEM)])),
        ]),
        assignor: None,
        running_image: None,
        release_image: RELEASE_IMAGE,
        conflicting_group: None,
    }
}

/// Validated, with the Secrets that [`full`] names.
pub(crate) fn valid(group: &BalanceConsumerGroup) -> ValidatedGroup {
    validate(group, &validation_context()).unwrap()
}
