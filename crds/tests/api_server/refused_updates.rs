//! Changes of an existing object that would break its balances, and changes that only look like it.

use serde_json::{Value, json};

use crate::harness::{MINIMAL, refusal, with_server};

/// From one good object to another that it may not become.
pub(crate) struct Update {
    pub(crate) sentence: &'static str,
    before: Value,
    change: Value,
}

pub(crate) fn updates() -> Vec<Update> {
    let topic = "kafka.topic cannot change";
    let group = "kafka.groupId cannot change (default: the object's name)";
    let ledger = "ledger cannot change";
    let store = "balances.store cannot change (default: changelog)";
    let changelog_topic = "balances.store.changelog.topic cannot change";
    let signs = "balances.signs cannot change";
    let minor_units = "balances.minorUnits may gain currencies";
    let none = || json!({});
    let update = |sentence, before, change| Update { sentence, before, change };
    let kafka = |change| json!({ "kafka": change });
    let balances = |change| json!({ "balances": change });
    let replay = || balances(json!({ "store": { "replay": {} } }));
    let postgres = || {
        let database = json!({ "connectionSecretRef": { "name": "database" } });
        balances(json!({ "store": { "replay": null, "postgres": database } }))
    };
    let changelog = |topic: Value| balances(json!({ "store": { "changelog": { "topic": topic } } }));
    vec![
        update(topic, none(), kafka(json!({ "topic": "orders" }))),
        update(group, none(), kafka(json!({ "groupId": "another" }))),
        update(group, kafka(json!({ "groupId": "own" })), kafka(json!({ "groupId": null }))),
        update(group, kafka(json!({ "groupId": "own" })), kafka(json!({ "groupId": "another" }))),
        update(ledger, none(), json!({ "ledger": "Count" })),
        update(store, none(), replay()),
        update(store, none(), postgres()),
        update(store, replay(), postgres()),
        update(store, postgres(), balances(json!({ "store": { "postgres": null, "changelog": {} } }))),
        update(store, postgres(), balances(json!(null))),
        update(store, replay(), balances(json!(null))),
        update(store, replay(), balances(json!({ "store": null }))),
        update(store, replay(), balances(json!({ "store": { "replay": null, "changelog": {} } }))),
        update(store, changelog(json!("b")), balances(json!({ "store": { "changelog": null, "replay": {} } }))),
        update(changelog_topic, none(), changelog(json!("b"))),
        update(changelog_topic, changelog(json!("b")), changelog(json!("c"))),
        update(changelog_topic, changelog(json!("b")), changelog(json!(null))),
        update(changelog_topic, changelog(json!("b")), balances(json!(null))),
        update(signs, none(), balances(json!({ "signs": { "Transfer": "Debit" } }))),
        update(signs, balances(json!({ "signs": { "Transfer": "Debit" } })), balances(json!({ "signs": null }))),
        update(
            signs,
            balances(json!({ "signs": { "Transfer": "Debit" } })),
            balances(json!({ "signs": { "Transfer": "Ignore" } })),
        ),
        update(minor_units, balances(json!({ "minorUnits": { "XYZ": 3 } })), balances(json!({ "minorUnits": null }))),
        update(minor_units, balances(json!({ "minorUnits": { "XYZ": 3 } })), json!({ "balances": null })),
        update(
            minor_units,
            balances(json!({ "minorUnits": { "XYZ": 3 } })),
            balances(json!({ "minorUnits": { "XYZ": 2 } })),
        ),
    ]
}

#[tokio::test]
async fn what_balances_depend_on_cannot_change() {
    with_server("updates", |server| async move {
        for (number, Update { sentence, before, change }) in updates().into_iter().enumerate() {
            let name = format!("update-{number}");
            let object = server.object(MINIMAL, &json!({ "metadata": { "name": name }, "spec": before }));
            assert_eq!(refusal(server.create(object, false).await), None, "{before}");
            let change = json!({ "spec": change });
            let message = refusal(server.try_change(&name, &change).await)
                .unwrap_or_else(|| panic!("accepted: {before}, then {change}"));
            assert!(message.contains(sentence), "{before}, then {change}\n  got {message}\n  not {sentence}");
        }
    })
    .await;
}

#[tokio::test]
async fn writing_out_what_is_in_effect_already_is_no_change() {
    with_server("same", |server| async move {
        let object = server.object(MINIMAL, &json!({ "metadata": { "name": "same" } }));
        assert_eq!(refusal(server.create(object, false).await), None);
        let same = [
            json!({ "kafka": { "groupId": "same" } }),
            json!({ "ledger": "Balances" }),
            json!({ "balances": { "signs": { "Transfer": "Credit", "Withdrawal": "Debit" } } }),
            json!({ "balances": { "signs": {}, "minorUnits": {} } }),
            json!({ "balances": { "store": { "changelog": {} } } }),
            json!({ "replicas": 4, "paused": true, "scaling": { "minReplicas": 2 }, "worker": { "simulatedWork": "7ms" } }),
        ];
        for change in same {
            assert_eq!(refusal(server.try_change("same", &json!({ "spec": change })).await), None, "{change}");
        }
    })
    .await;
}

#[tokio::test]
async fn currencies_may_be_added() {
    with_server("currencies", |server| async move {
        let object = server.object(MINIMAL, &json!({ "metadata": { "name": "currencies" } }));
        assert_eq!(refusal(server.create(object, false).await), None);
        for more in [json!({ "XYZ": 3 }), json!({ "XYA": 2, "XYB": 0 })] {
            let change = json!({ "spec": { "balances": { "minorUnits": more } } });
            assert_eq!(refusal(server.try_change("currencies", &change).await), None, "{change}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_of_a_store_is_no_part_of_its_content_may_change() {
    with_server("tuning", |server| async move {
        let changelog = json!({ "topic": "b", "replicationFactor": 3, "commitInterval": "250ms" });
        let balances = json!({ "store": { "changelog": changelog }, "deadLetterTopic": "dead-letters" });
        let object = json!({ "metadata": { "name": "tuned" }, "spec": { "balances": balances } });
        assert_eq!(refusal(server.create(server.object(MINIMAL, &object), false).await), None);
        for change in [
            json!({ "store": { "changelog": { "replicationFactor": 1, "commitInterval": "1s" } } }),
            json!({ "store": { "changelog": { "replicationFactor": null, "commitInterval": null } } }),
            json!({ "deadLetterTopic": "others" }),
            json!({ "deadLetterTopic": null }),
        ] {
            let change = json!({ "spec": { "balances": change } });
            assert_eq!(refusal(server.try_change("tuned", &change).await), None, "{change}");
        }
    })
    .await;
}
