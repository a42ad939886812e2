//! The children as they are sent, whole: a change of one byte here rolls every fleet at the next upgrade.

use balancefleet_crds::{BalanceConsumerGroup, Balances, Duration, Ledger, Postgres, Replay, SecretRef, Store};
use serde::Serialize;

use super::{
    Replicas, children,
    fixtures::{RELEASE_IMAGE, full, minimal, surroundings, valid},
    selector_text, template_id,
};
use crate::controller::validate::{Surroundings, validate};

/// Snapshots of one child for both objects.
macro_rules! snapshots {
    ($($test:ident, $child:ident;)+) => {
        $(
            #[test]
            fn $test() {
                for (name, group) in [("minimal", bare()), ("full", with_secrets(&full()))] {
                    insta::assert_yaml_snapshot!(
                        format!("{}-{name}", stringify!($child)),
                        children(&group, Replicas::both(3)).$child
                    );
                }
            }
        )+
    };
}

snapshots! {
    a_service_account_without_a_token, service_account;
    a_headless_service_that_publishes_unready_peers, peers_service;
    a_service_for_clients, service;
    a_budget_of_one_that_never_blocks_on_sick_workers, pod_disruption_budget;
    a_deployment_that_adds_before_it_removes, deployment;
}

fn bare() -> super::ValidatedGroup {
    let around = Surroundings { release_image: RELEASE_IMAGE, ..Surroundings::default() };
    validate(&minimal(), &around).unwrap()
}

fn with_secrets(group: &BalanceConsumerGroup) -> super::ValidatedGroup {
    valid(group)
}

fn bytes(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap()
}

#[test]
fn equal_input_gives_equal_bytes() {
    let (first, second) = (children(&valid(&full()), Replicas::both(3)), children(&valid(&full()), Replicas::both(3)));
    assert_eq!(bytes(&first.deployment), bytes(&second.deployment));
    assert_eq!(bytes(&first.service), bytes(&second.service));
}

#[test]
fn nothing_that_is_sent_is_null() {
    for group in [bare(), valid(&full())] {
        let all = children(&group, Replicas::both(3));
        for text in [bytes(&all.deployment), bytes(&all.service), bytes(&all.peers_service)] {
            assert!(!text.contains("null"), "{text}");
        }
    }
}

#[test]
fn the_replicas_are_always_set() {
    let zero = children(&bare(), Replicas::both(0)).deployment;
    assert_eq!(zero.spec.unwrap().replicas, Some(0));
}

#[test]
fn a_rotated_secret_makes_a_new_template_and_other_replicas_do_not() {
    let template = |around: &Surroundings<'_>, replicas| {
        template_id(&children(&validate(&full(), around).unwrap(), Replicas::both(replicas)).deployment)
    };
    let before = template(&surroundings(), 3);
    assert_eq!(before, template(&surroundings(), 6));
    let mut rotated = surroundings();
    let login = super::fixtures::secret("18", &[("username", "ada"), ("password", "neu")]);
    rotated.secrets.insert("kafka-login".to_owned(), login);
    assert_ne!(before, template(&rotated, 3));
}

#[test]
fn no_secret_is_written_into_a_child() {
    let all = children(&valid(&full()), Replicas::both(3));
    assert!(!bytes(&all.deployment).contains("geheim"));
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
    let deployment = |version: &str, keys: &[(&str, &str)]| {
        let mut around = surroundings();
        around.secrets = [("database".to_owned(), super::fixtures::secret(version, keys))].into();
        children(&validate(&on_postgres(), &around).unwrap(), Replicas::both(3)).deployment
    };
    let plain = deployment("5", &[url]);
    let text = bytes(&plain);
    assert!(text.contains(r#"{"name":"BALANCE_STORE","value":"postgres"}"#), "{text}");
    assert!(
        text.contains(
            r#"{"name":"BALANCE_POSTGRES_URL","valueFrom":{"secretKeyRef":{"key":"url","name":"database"}}}"#
        ) && !text.contains("geheim"),
        "{text}"
    );
    assert!(!text.contains("BALANCE_POSTGRES_CA_FILE") && !text.contains("/etc/balancefleet/database"), "{text}");
    let with_authority = bytes(&deployment("5", &[url, ("ca.crt", "PEM")]));
    assert!(with_authority.contains("/etc/balancefleet/database/ca.crt"), "{with_authority}");
    assert_ne!(template_id(&plain), template_id(&deployment("6", &[url])));
}

/// `NAME=value` of the settings that are about balances.
fn balance_variables(group: &BalanceConsumerGroup) -> Vec<String> {
    let pod = children(&valid(group), Replicas::both(1)).deployment.spec.unwrap().template.spec.unwrap();
    let variables = pod.containers.into_iter().flat_map(|container| container.env.unwrap());
    let ours = variables.filter(|variable| variable.name.starts_with("BALANCE_"));
    ours.map(|variable| format!("{}={}", variable.name, variable.value.unwrap())).collect()
}

#[test]
fn a_grace_period_is_rounded_up_to_whole_seconds() {
    let mut group = minimal();
    group.spec.worker.termination_grace_period = Duration::from_millis(1_500);
    let pod = children(&valid(&group), Replicas::both(1)).deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.termination_grace_period_seconds, Some(2));
}

#[test]
fn the_selector_is_there_as_text() {
    let text = "app.kubernetes.io/instance=shop,app.kubernetes.io/name=balance-worker,balancefleet.io/group=shop";
    assert_eq!(selector_text(&minimal()), text);
}
