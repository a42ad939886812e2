//! Values in effect, and the names that other parts rely on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is how a test fails")]

use balancefleet_crds::reserved::{CONFIG_KEYS, ENV_NAMES, ENV_PREFIXES};
use balancefleet_crds::{BalanceConsumerGroup, Changelog, Ledger, Postgres, Replay, SecretRef, Store};
use balancefleet_kafka::reserved_keys::{RESERVED, refusal};
use serde_json::{Value, json};

fn group(spec: &Value) -> BalanceConsumerGroup {
    let mut object = json!({
        "apiVersion": "balancefleet.io/v1alpha1",
        "kind": "BalanceConsumerGroup",
        "metadata": { "name": "balance-service" },
        "spec": { "kafka": { "bootstrapServers": "kafka:9092", "topic": "t" } },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

#[test]
fn the_group_is_named_after_the_object_unless_it_has_a_name() {
    assert_eq!(group(&json!({})).effective_group_id(), "balance-service");
    let kafka = json!({ "kafka": { "bootstrapServers": "kafka:9092", "topic": "t", "groupId": "orders" } });
    assert_eq!(group(&kafka).effective_group_id(), "orders");
}

#[test]
fn balances_are_kept_in_a_changelog_unless_said_otherwise() {
    let changelog = Some(Store::Changelog(Changelog::default()));
    assert_eq!(group(&json!({})).spec.ledger, Ledger::Balances);
    for absent in [json!({}), json!({ "balances": {} }), json!({ "balances": { "store": { "changelog": {} } } })] {
        assert_eq!(group(&absent).effective_store(), changelog, "{absent}");
    }
    let replay = json!({ "balances": { "store": { "replay": {} } } });
    assert_eq!(group(&replay).effective_store(), Some(Store::Replay(Replay {})));
    let postgres =
        json!({ "balances": { "store": { "postgres": { "connectionSecretRef": { "name": "database" } } } } });
    let connection_secret_ref = SecretRef { name: "database".into() };
    assert_eq!(group(&postgres).effective_store(), Some(Store::Postgres(Postgres { connection_secret_ref })));
}

#[test]
fn a_count_keeps_no_balances() {
    assert_eq!(group(&json!({ "ledger": "Count" })).effective_store(), None);
}

#[test]
fn a_backlog_is_gone_within_the_slo_unless_said_otherwise() {
    let seconds = |spec: Value| group(&json!({ "scaling": spec })).spec.scaling.effective_drain_within().as_secs();
    assert_eq!(seconds(json!({})), 60);
    assert_eq!(seconds(json!({ "lagSLO": "30s" })), 30);
    assert_eq!(seconds(json!({ "lagSLO": "30s", "drainWithin": "1m30s" })), 90);
}

/// Whether an object with this key is refused: by the form of keys, by name or by its beginning.
fn is_refused(key: &str) -> bool {
    key.contains('_')
        || CONFIG_KEYS.iter().any(|reserved| {
            reserved.keys.contains(&key) || reserved.prefixes.iter().any(|prefix| key.starts_with(prefix))
        })
}

#[test]
fn a_setting_that_the_worker_refuses_is_refused_at_admission() {
    for (key, reason) in RESERVED {
        assert!(is_refused(key.trim_end_matches('*')), "{key}: {reason}");
    }
}

#[test]
fn only_settings_that_the_worker_refuses_are_refused_at_admission() {
    for reserved in &CONFIG_KEYS {
        for key in reserved.keys.iter().chain(reserved.prefixes) {
            assert!(refusal(key).is_some(), "{key}");
        }
    }
}

#[test]
fn no_reserved_environment_name_is_said_twice() {
    for name in ENV_NAMES {
        assert!(!ENV_PREFIXES.iter().any(|prefix| name.starts_with(prefix)), "{name}");
    }
}
