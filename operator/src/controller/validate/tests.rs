//! Promises of validation: what is resolved, and what is reported of a bad object.

use std::collections::BTreeMap;

use balancefleet_crds::{Balances, Postgres, SecretRef, Store, reasons};

use super::{Remedy, ValidationContext, qualify, referenced_secrets, validate};
use crate::{
    controller::{
        build::fixtures::{RELEASE_IMAGE, full, minimal, secret, validation_context},
        secrets::SecretReading,
    },
    poller::ObjectKey,
};

fn problem_with(name: &str, reading: Option<SecretReading>) -> (&'static str, String) {
    let mut context = validation_context();
    match reading {
        Some(reading) => drop(context.secrets.insert(name.to_owned(), reading)),
        None => drop(context.secrets.remove(name)),
    }
    let problem = validate(&full(), &context).unwrap_err();
    assert_eq!(problem.remedy, Remedy::Retry, "nothing announces a new Secret");
    (problem.reason, problem.message)
}

#[test]
fn each_referenced_secret_is_read_once() {
    assert_eq!(referenced_secrets(&full()), ["kafka-login", "kafka-tls"]);
    assert!(referenced_secrets(&minimal()).is_empty());
}

#[test]
fn a_missing_secret_or_key_is_named_with_the_next_step() {
    for absent in [None, Some(SecretReading::Missing)] {
        let (reason, message) = problem_with("kafka-login", absent);
        assert_eq!(reason, reasons::SECRET_NOT_FOUND);
        assert!(message.contains("Secret `kafka-login`") && message.contains("create it"), "{message}");
    }
    let (reason, message) = problem_with("kafka-login", Some(secret("1", &[("username", "ada")])));
    assert_eq!(reason, reasons::SECRET_INCOMPLETE);
    assert!(message.contains("no key `password`: add it"), "{message}");
    let (_, message) = problem_with("kafka-tls", Some(SecretReading::Forbidden));
    assert!(message.contains("may not read") && message.contains("allow it"), "{message}");
}

#[test]
fn a_secret_that_cannot_work_is_reported_before_any_worker_starts() {
    let (reason, message) =
        problem_with("kafka-tls", Some(secret("1", &[("ca.crt", "x"), ("tls.crt", "x"), ("tls.key", "x")])));
    assert_eq!(reason, reasons::SECRET_INCOMPLETE);
    assert!(message.contains("PEM") && message.contains("`kafka-tls`"), "{message}");
    let (_, message) = problem_with("kafka-login", Some(secret("1", &[("username", "a"), ("password", "b\n")])));
    assert!(message.contains("line break"), "{message}");
}

#[test]
fn a_database_is_used_only_with_a_secret_that_names_it() {
    let mut group = minimal();
    let store = Store::Postgres(Postgres { connection_secret_ref: SecretRef { name: "database".into() } });
    group.spec.balances = Some(Balances { store: Some(store), ..Balances::default() });
    assert_eq!(referenced_secrets(&group), ["database"]);
    let problem = |reading: Option<SecretReading>| {
        let secrets = reading.into_iter().map(|reading| ("database".to_owned(), reading)).collect();
        let problem = validate(&group, &ValidationContext { secrets, ..ValidationContext::default() }).unwrap_err();
        assert_eq!(problem.remedy, Remedy::Retry);
        (problem.reason, problem.message)
    };
    assert_eq!(problem(None).0, reasons::SECRET_NOT_FOUND);
    for (keys, words) in
        [(&[("uri", "postgres://x")][..], "no key `url`"), (&[("url", "mysql://geheim")], "postgres://")]
    {
        let (reason, message) = problem(Some(secret("1", keys)));
        assert_eq!(reason, reasons::SECRET_INCOMPLETE);
        assert!(message.contains(words) && !message.contains("geheim"), "{message}");
    }
}

#[test]
fn no_problem_and_no_debug_output_shows_a_secret() {
    let context = validation_context();
    let valid = validate(&full(), &context).unwrap();
    assert!(!format!("{valid:?}{context:?}").contains("geheim"));
}

#[test]
fn a_problem_that_only_an_edit_ends_waits_for_one() {
    let mut group = minimal();
    group.spec.kafka.bootstrap_servers = "kafka".into();
    let problem = validate(&group, &ValidationContext::default()).unwrap_err();
    assert_eq!((problem.reason, problem.remedy), (reasons::INVALID_SPEC, Remedy::SpecChange));
}

#[test]
fn a_wrong_port_is_no_secrets_fault() {
    let mut group = full();
    group.spec.kafka.bootstrap_servers = "kafka:99999".into();
    let problem = validate(&group, &validation_context()).unwrap_err();
    assert_eq!((problem.reason, problem.remedy), (reasons::INVALID_SPEC, Remedy::SpecChange));
    assert!(problem.message.contains("host:port"), "{}", problem.message);
}

#[test]
fn a_client_setting_that_would_stop_the_workers_is_reported_before_any_starts() {
    for (setting, value) in [("no.such.key", "x"), ("fetch.min.bytes", "many"), ("group.id", "other")] {
        let mut group = minimal();
        group.spec.kafka.extra_config = BTreeMap::from([(setting.to_owned(), value.to_owned())]);
        let problem = validate(&group, &ValidationContext::default()).unwrap_err();
        assert_eq!((problem.reason, problem.remedy), (reasons::INVALID_SPEC, Remedy::SpecChange));
        assert!(problem.message.contains(setting) && problem.message.contains("extraConfig"), "{}", problem.message);
    }
}

#[test]
fn the_younger_of_two_objects_with_one_group_is_refused() {
    let older = ObjectKey { namespace: "bank".into(), name: "older".into() };
    let context = ValidationContext { conflicting_group: Some(older), ..ValidationContext::default() };
    let problem = validate(&minimal(), &context).unwrap_err();
    assert_eq!(problem.reason, reasons::GROUP_SHARED);
    assert!(problem.message.contains("bank/older") && problem.message.contains("groupId"), "{}", problem.message);
}

#[test]
fn an_existing_fleet_keeps_its_image_unless_the_object_says_another() {
    let running = ValidationContext {
        running_image: Some("registry.example/balance-worker:1.0.0"),
        release_image: RELEASE_IMAGE,
        ..ValidationContext::default()
    };
    assert_eq!(validate(&minimal(), &running).unwrap().image, "registry.example/balance-worker:1.0.0");
    let first = ValidationContext { running_image: None, ..running.clone() };
    assert_eq!(validate(&minimal(), &first).unwrap().image, RELEASE_IMAGE);
    let mut group = minimal();
    group.spec.worker.image = Some("own:1".into());
    assert_eq!(validate(&group, &running).unwrap().image, "own:1");
}

#[test]
fn a_broker_without_a_dot_is_the_objects_neighbour_wherever_it_is_read_from() {
    for (written, qualified) in [
        ("kafka:9092", "kafka.bank.svc:9092"),
        ("kafka:9092, kafka.infra:9092", "kafka.bank.svc:9092,kafka.infra:9092"),
        ("10.0.0.1:9092", "10.0.0.1:9092"),
        ("[::1]:9092", "[::1]:9092"),
        ("localhost:9092", "localhost:9092"),
    ] {
        assert_eq!(qualify(written, "bank"), qualified);
    }
    let valid = validate(&minimal(), &ValidationContext::default()).unwrap();
    assert_eq!(valid.connection.bootstrap_servers, "kafka.bank.svc:9092");
    assert_eq!(valid.bootstrap_servers, "kafka:9092", "the worker is at home in the namespace");
}

#[test]
fn only_secrets_that_were_found_have_a_version() {
    let versions = validate(&full(), &validation_context()).unwrap().secret_versions;
    assert_eq!(versions, BTreeMap::from([("kafka-login".into(), "17".into()), ("kafka-tls".into(), "23".into())]));
}
