//! The children as they are sent, whole: a change of one byte here rolls every fleet at the next upgrade.

use std::collections::BTreeSet;

use balancefleet_crds::{BalanceConsumerGroup, Balances, Duration, Ledger, Postgres, Replay, SecretRef, Store};
use k8s_openapi::api::{apps::v1::Deployment, rbac::v1::ClusterRole};
use serde::{Deserialize, Serialize};

use super::{
    DEPLOYMENT, KINDS, Replicas,
    fixtures::{RELEASE_IMAGE, full, minimal, valid, validation_context},
    selector_text, template_id,
};
use crate::controller::validate::{ValidatedGroup, ValidationContext, validate};

/// A ServiceAccount without a token; a headless Service that publishes peers that are not ready; a Service for clients;
/// a budget of one that never blocks on sick workers; a Deployment that adds before it removes.
#[test]
fn every_child_is_sent_as_its_snapshot_shows() {
    for kind in KINDS {
        for (object, group) in [("minimal", bare()), ("full", valid(&full()))] {
            let child = (kind.build)(&group, Replicas::both(3)).transpose().unwrap();
            // Kind and suffix of the name: `Service-peers-full`.
            let snapshot = format!("{}{}-{object}", kind.resource.kind, (kind.name)(""));
            insta::assert_yaml_snapshot!(snapshot, child);
        }
    }
}

fn bare() -> ValidatedGroup {
    let context = ValidationContext { release_image: RELEASE_IMAGE, ..ValidationContext::default() };
    validate(&minimal(), &context).unwrap()
}

fn deployment(group: &ValidatedGroup, replicas: i32) -> Deployment {
    serde_json::from_value((DEPLOYMENT.build)(group, Replicas::both(replicas)).unwrap().unwrap()).unwrap()
}

/// All children as they are sent.
fn sent(group: &ValidatedGroup) -> Vec<String> {
    let built = KINDS.iter().filter_map(|kind| (kind.build)(group, Replicas::both(3)));
    built.map(|child| bytes(&child.unwrap())).collect()
}

fn bytes(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap()
}

#[test]
fn equal_input_gives_equal_bytes() {
    assert_eq!(sent(&valid(&full())), sent(&valid(&full())));
}

#[test]
fn nothing_that_is_sent_is_null() {
    for group in [bare(), valid(&full())] {
        for text in sent(&group) {
            assert!(!text.contains("null"), "{text}");
        }
    }
}

#[test]
fn the_replicas_are_always_set() {
    assert_eq!(deployment(&bare(), 0).spec.unwrap().replicas, Some(0));
}

#[test]
fn a_rotated_secret_makes_a_new_template() {
    let template = |context: &ValidationContext<'_>| template_id(&validate(&full(), context).unwrap());
    let before = template(&validation_context());
    let mut rotated = validation_context();
    let login = super::fixtures::secret("18", &[("username", "ada"), ("password", "neu")]);
    rotated.secrets.insert("kafka-login".to_owned(), login);
    assert_ne!(before, template(&rotated));
}

#[test]
fn no_secret_is_written_into_a_child() {
    assert!(sent(&valid(&full())).iter().all(|child| !child.contains("geheim")));
}

#[test]
fn a_worker_gets_the_settings_of_its_own_store_alone() {
    let mut replay = minimal();
    replay.spec.balances = Some(Balances { store: Some(Store::Replay(Replay {})), ..Balances::default() });
    let mut count = minimal();
    count.spec.ledger = Ledger::Count;
    let [changelog, replay, count] = [&minimal(), &replay, &count].map(balance_variables);
    assert_eq!((changelog, replay), (vec!["BALANCE_STORE=changelog".into()], vec!["BALANCE_STORE=replay".into()]));
    assert!(count.is_empty(), "it keeps no balances: {count:?}");
}

/// With balances in PostgreSQL.
fn on_postgres() -> BalanceConsumerGroup {
    let connection_secret_ref = SecretRef { name: "database".into() };
    let store = Some(Store::Postgres(Postgres { connection_secret_ref }));
    let mut group = minimal();
    group.spec.balances = Some(Balances { store, ..Balances::default() });
    group
}

#[test]
fn the_databases_url_stays_in_its_secret_and_a_changed_one_makes_a_new_template() {
    let url = ("url", "postgres://u:geheim@db/b");
    let with = |version: &str, keys: &[(&str, &str)]| {
        let mut context = validation_context();
        context.secrets = [("database".to_owned(), super::fixtures::secret(version, keys))].into();
        validate(&on_postgres(), &context).unwrap()
    };
    let plain = with("5", &[url]);
    let text = bytes(&deployment(&plain, 3));
    assert!(text.contains(r#"{"name":"BALANCE_STORE","value":"postgres"}"#), "{text}");
    assert!(
        text.contains(
            r#"{"name":"BALANCE_POSTGRES_URL","valueFrom":{"secretKeyRef":{"key":"url","name":"database"}}}"#
        ) && !text.contains("geheim"),
        "{text}"
    );
    assert!(!text.contains("BALANCE_POSTGRES_CA_FILE") && !text.contains("/etc/balancefleet/database"), "{text}");
    let with_authority = bytes(&deployment(&with("5", &[url, ("ca.crt", "PEM")]), 3));
    assert!(with_authority.contains("/etc/balancefleet/database/ca.crt"), "{with_authority}");
    assert_ne!(template_id(&plain), template_id(&with("6", &[url])));
}

/// `NAME=value` of the settings that are about balances.
fn balance_variables(group: &BalanceConsumerGroup) -> Vec<String> {
    let pod = deployment(&valid(group), 1).spec.unwrap().template.spec.unwrap();
    let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap());
    let ours = variables.filter(|variable| variable.name.starts_with("BALANCE_"));
    ours.map(|variable| format!("{}={}", variable.name, variable.value.unwrap())).collect()
}

#[test]
fn a_grace_period_is_rounded_up_to_whole_seconds() {
    let mut group = minimal();
    group.spec.worker.termination_grace_period = Duration::from_millis(1_500);
    let pod = deployment(&valid(&group), 1).spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.termination_grace_period_seconds, Some(2));
}

#[test]
fn the_selector_is_there_as_text() {
    let text = "app.kubernetes.io/instance=shop,app.kubernetes.io/name=balance-worker,balancefleet.io/group=shop";
    assert_eq!(selector_text("shop"), text);
}

#[test]
fn every_row_of_the_table_is_true() {
    for kind in KINDS {
        let resource = kind.resource.api_resource();
        let built = [bare(), valid(&full())].map(|group| (kind.build)(&group, Replicas::both(1)).transpose().unwrap());
        assert!(
            built.iter().any(Option::is_some),
            "no object of the fixtures has a {}: nothing checks it",
            resource.kind
        );
        for child in built.iter().flatten() {
            assert_eq!(child["apiVersion"], resource.api_version);
            assert_eq!(child["kind"], resource.kind);
            assert_eq!(child["metadata"]["name"], (kind.name)("shop"));
            assert_eq!(child["metadata"]["namespace"], "bank");
        }
    }
    let names: BTreeSet<_> = KINDS.iter().map(|kind| (kind.resource, (kind.name)("shop"))).collect();
    assert_eq!(names.len(), KINDS.len(), "no two write the same object");
    assert_eq!(KINDS.last().unwrap().resource, DEPLOYMENT.resource);
}

#[test]
fn the_rights_in_the_chart_and_in_the_documentation_are_those_of_the_table() {
    const RULES: &str = include_str!("../../../../config/rbac/operator.yaml");
    const INSTALLATION: &str = include_str!("../../../../docs/installation.md");
    let first = serde_yaml::Deserializer::from_str(RULES).next().unwrap();
    let rules = ClusterRole::deserialize(first).unwrap().rules.unwrap();
    let of_children = rules.iter().filter(|rule| rule.verbs == ["get", "list", "watch", "create", "patch", "delete"]);
    let granted: BTreeSet<(&str, &str)> = of_children
        .flat_map(|rule| {
            let [group] = rule.api_groups.as_deref().unwrap() else { panic!("one group for each rule: {rule:?}") };
            rule.resources.iter().flatten().map(|resource| (group.as_str(), resource.as_str()))
        })
        .collect();
    let used: BTreeSet<_> = KINDS.iter().map(|kind| (kind.resource.group, kind.resource.plural)).collect();
    assert_eq!(granted, used, "charts/balancefleet/templates/_helpers.tpl, then make generate");
    let documented =
        INSTALLATION.lines().find_map(|line| line.strip_suffix(" | get, list, watch, create, patch, delete |"));
    let documented = documented.unwrap().trim_start_matches("| ").to_lowercase();
    let used: BTreeSet<&str> = used.into_iter().map(|(_, plural)| plural).collect();
    assert_eq!(documented.split(", ").collect::<BTreeSet<_>>(), used, "docs/installation.md");
}
