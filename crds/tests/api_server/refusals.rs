//! Bad objects, one per rule, and the sentence each gets.

use std::collections::BTreeSet;

use balancefleet_crds::rules::{ValidationRule, rules};
use serde_json::{Value, json};

use crate::harness::{EVERY_FIELD, MINIMAL, refusal, with_server};
use crate::refused_updates::updates;

/// A change that makes a good object bad, and a part of what the API server then says.
struct Bad {
    sentence: &'static str,
    change: Value,
}

fn bad(sentence: &'static str, change: Value) -> Bad {
    Bad { sentence, change }
}

fn spec(sentence: &'static str, change: Value) -> Bad {
    bad(sentence, json!({ "spec": change }))
}

fn consumer(sentence: &'static str, change: Value) -> Bad {
    spec(sentence, json!({ "kafka": { "consumer": change } }))
}

fn extra_config(sentence: &'static str, key: &str) -> Bad {
    spec(sentence, json!({ "kafka": { "extraConfig": { key: "1" } } }))
}

fn worker(sentence: &'static str, change: Value) -> Bad {
    spec(sentence, json!({ "worker": change }))
}

/// At least one per rule; a rule without one fails the test.
fn broken_rules() -> Vec<Bad> {
    [object_and_kafka(), client_settings(), ledgers(), stores(), scaling_and_workers()].into_iter().flatten().collect()
}

fn object_and_kafka() -> Vec<Bad> {
    let name = "metadata.name becomes the name of Services and pods: use at most 52 lower-case letters, digits and '-', \
                starting with a letter and not ending with '-'";
    let brokers = "bootstrapServers must be host:port, or several separated by commas without spaces";
    let kafka = |sentence, change| spec(sentence, json!({ "kafka": change }));
    vec![
        bad(name, json!({ "metadata": { "name": "a".repeat(53) } })),
        bad(name, json!({ "metadata": { "name": "1st" } })),
        bad(name, json!({ "metadata": { "name": "with.dot" } })),
        kafka(brokers, json!({ "bootstrapServers": "kafka" })),
        kafka(brokers, json!({ "bootstrapServers": "a:9092, b:9092" })),
        kafka("topic must be a valid Kafka topic name", json!({ "topic": "no spaces" })),
        kafka("topic must be a valid Kafka topic name", json!({ "topic": ".." })),
        kafka("groupId must consist of visible ASCII characters", json!({ "groupId": "my group" })),
        consumer("heartbeatInterval must be more than 0", json!({ "heartbeatInterval": "0s" })),
        consumer("sessionTimeout must be at least three times heartbeatInterval", json!({ "heartbeatInterval": "4s" })),
        consumer("sessionTimeout must be at least 6s: brokers refuse less", json!({ "sessionTimeout": "5s" })),
        consumer("maxPollInterval must be at least sessionTimeout", json!({ "sessionTimeout": "2m" })),
        consumer("sessionTimeout must be at most 1h", json!({ "sessionTimeout": "61m", "maxPollInterval": "2h" })),
        consumer("maxPollInterval must be at most 24h", json!({ "maxPollInterval": "25h" })),
    ]
}

fn client_settings() -> Vec<Bad> {
    vec![
        extra_config("the keys of extraConfig must be names of librdkafka settings", "Client.Dns"),
        extra_config("the keys of extraConfig must be names of librdkafka settings", "error_cb"),
        extra_config("extraConfig may not set group.id: spec.kafka has a field for this", "group.id"),
        extra_config("extraConfig may not set keys that begin with sasl., ssl.", "sasl.password"),
        extra_config("extraConfig may not set isolation.level: the worker sets this itself", "isolation.level"),
        extra_config("extraConfig may not set transactional.id: the worker sets this itself", "transactional.id"),
        extra_config("extraConfig may not set keys that begin with api.version., ", "offset.store.method"),
    ]
}

fn ledgers() -> Vec<Bad> {
    let balances = |sentence, change| spec(sentence, json!({ "balances": change }));
    vec![
        spec("balances cannot be set with ledger: Count", json!({ "ledger": "Count", "balances": {} })),
        balances("the keys of signs must be transaction types: Transfer", json!({ "signs": { "Refund": "Credit" } })),
        balances(
            "the keys of minorUnits must be currency codes: three capital letters",
            json!({ "minorUnits": { "eur": 2 } }),
        ),
    ]
}

fn stores() -> Vec<Bad> {
    let balances = |sentence, change| spec(sentence, json!({ "balances": change }));
    let changelog = |sentence, change| balances(sentence, json!({ "store": { "changelog": change } }));
    let one_store = "store must be exactly one of: changelog: {}, postgres: {";
    let postgres = || json!({ "connectionSecretRef": { "name": "database" } });
    let interval = "commitInterval must be more than 0 and at most 60s";
    let name = "changelog.topic must be a valid Kafka topic name";
    let own_topic = "changelog.topic must be a topic of its own";
    vec![
        balances(one_store, json!({ "store": {} })),
        balances(one_store, json!({ "store": { "replay": {}, "changelog": {} } })),
        balances(one_store, json!({ "store": { "postgres": postgres(), "changelog": {} } })),
        balances(one_store, json!({ "store": { "postgres": postgres(), "replay": {} } })),
        balances(
            "the store postgres has a table for dead letters, balancefleet.dead_letter",
            json!({ "store": { "postgres": postgres() }, "deadLetterTopic": "dead-letters" }),
        ),
        changelog(interval, json!({ "commitInterval": "0ms" })),
        changelog(interval, json!({ "commitInterval": "60s1ms" })),
        changelog(name, json!({ "topic": "no spaces" })),
        changelog(name, json!({ "topic": "." })),
        changelog(own_topic, json!({ "topic": "banking.transactions" })),
        balances(own_topic, json!({ "store": { "changelog": { "topic": "x" } }, "deadLetterTopic": "x" })),
        balances("deadLetterTopic must be a valid Kafka topic name", json!({ "deadLetterTopic": "dead/letters" })),
        balances("deadLetterTopic must not be kafka.topic", json!({ "deadLetterTopic": "banking.transactions" })),
        balances(
            "the store replay cannot write a record exactly once: remove deadLetterTopic",
            json!({ "store": { "replay": {} }, "deadLetterTopic": "dead-letters" }),
        ),
        spec(
            "startFrom: Latest with balances needs the store changelog: set startFrom to Earliest, or use that store",
            json!({ "kafka": { "consumer": { "startFrom": "Latest" } }, "balances": { "store": { "replay": {} } } }),
        ),
    ]
}

fn scaling_and_workers() -> Vec<Bad> {
    let scaling = |sentence, change| spec(sentence, json!({ "scaling": change }));
    let env = |name| json!({ "env": [{ "name": name, "value": "x" }] });
    vec![
        scaling("minReplicas must not be more than maxReplicas", json!({ "minReplicas": 3, "maxReplicas": 2 })),
        scaling("lagSLO must be at least 1s", json!({ "lagSLO": "0s" })),
        scaling("drainWithin must be at least 1s", json!({ "drainWithin": "500ms" })),
        worker("terminationGracePeriod must be at least 5s", json!({ "terminationGracePeriod": "1s" })),
        worker("simulatedWork must be at most 1s", json!({ "simulatedWork": "1001ms" })),
        worker("the keys of nodeSelector must be names", json!({ "nodeSelector": { "a b": "c" } })),
        worker("the values of nodeSelector may contain letters", json!({ "nodeSelector": { "zone": "a b" } })),
        worker("the keys of podLabels must be names", json!({ "podLabels": { "-a": "c" } })),
        worker("the values of podLabels may contain letters", json!({ "podLabels": { "team": "-a" } })),
        worker(
            "podLabels may not set the labels that the operator selects",
            json!({ "podLabels": { "app.kubernetes.io/name": "a" } }),
        ),
        worker(
            "podLabels may not set the labels that the operator selects",
            json!({ "podLabels": { "balancefleet.io/group": "a" } }),
        ),
        worker("the keys of podAnnotations must be names", json!({ "podAnnotations": { "a/b/c": "d" } })),
        worker(
            "podAnnotations may not set the annotations the operator writes",
            json!({ "podAnnotations": { "controller.kubernetes.io/pod-deletion-cost": "1" } }),
        ),
        worker("the operator sets this variable itself", env("KAFKA_TOPIC")),
        worker("the operator sets this variable itself", env("POD_NAME")),
    ]
}

/// Bad objects that types and limits refuse, with a part of the API server's own words.
fn broken_limits() -> Vec<Bad> {
    let quantity = json!({ "resources": { "requests": { "cpu": "lots" } } });
    let changelog = |sentence, change| spec(sentence, json!({ "balances": { "store": { "changelog": change } } }));
    vec![
        spec("spec.kafka: Required value", json!({ "kafka": null })),
        spec("spec.kafka.topic: Required value", json!({ "kafka": { "topic": null } })),
        spec(
            "spec.ledger: Unsupported value: \"Sum\": supported values: \"Balances\", \"Count\"",
            json!({ "ledger": "Sum" }),
        ),
        spec("spec.replicas in body should be greater than or equal to 0", json!({ "replicas": -1 })),
        consumer("spec.kafka.consumer.sessionTimeout in body should match", json!({ "sessionTimeout": "10 seconds" })),
        changelog("commitInterval in body should match", json!({ "commitInterval": "often" })),
        changelog("replicationFactor in body should be greater than or equal to 1", json!({ "replicationFactor": 0 })),
        changelog("topic: Too long: may not be more than 249", json!({ "topic": "t".repeat(250) })),
        spec(
            "deadLetterTopic: Too long: may not be more than 249",
            json!({ "balances": { "deadLetterTopic": "t".repeat(250) } }),
        ),
        worker("spec.worker.resources.requests.cpu", quantity),
        worker("Duplicate value", json!({ "env": [{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }] })),
    ]
}

#[tokio::test]
async fn a_bad_object_is_refused_with_a_sentence_that_says_what_to_do() {
    with_server("refusals", |server| async move {
        for Bad { sentence, change } in broken_rules().into_iter().chain(broken_limits()) {
            let answer = server.create(server.object(MINIMAL, &change), true).await;
            let message = refusal(answer).unwrap_or_else(|| panic!("accepted: {change}"));
            assert!(message.contains(sentence), "{change}\n  got {message}\n  not {sentence}");
        }
    })
    .await;
}

#[tokio::test]
async fn good_objects_are_accepted() {
    with_server("acceptance", |server| async move {
        let samples = ["demo", "lab-a", "lab-b"].map(|name| {
            let path = format!("{}/../config/samples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        });
        for yaml in samples.iter().map(String::as_str).chain([MINIMAL, EVERY_FIELD]) {
            let accepted = server.create(server.object(yaml, &json!({})), true).await;
            assert_eq!(refusal(accepted), None, "{yaml}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_choice_of_a_store_is_accepted() {
    with_server("stores", |server| async move {
        let dead_letters = "banking.dead-letters";
        for change in [
            json!({ "balances": {} }),
            json!({ "balances": { "store": { "changelog": {} } } }),
            json!({ "ledger": "Count", "kafka": { "consumer": { "startFrom": "Latest" } } }),
            json!({ "balances": { "store": { "changelog": { "commitInterval": "1m" } } } }),
            json!({ "balances": { "store": { "replay": {} } } }),
            json!({ "balances": { "store": { "postgres": { "connectionSecretRef": { "name": "database" } } } } }),
            json!({ "balances": { "deadLetterTopic": dead_letters } }),
            json!({ "balances": { "store": { "changelog": { "topic": "b" } }, "deadLetterTopic": dead_letters } }),
        ] {
            let created = server.create(server.object(MINIMAL, &json!({ "spec": change })), true).await.unwrap();
            // A choice that was filled in would belong to nobody, and stand in the way of the other one.
            assert_eq!(created.data["spec"]["balances"], change["balances"]);
        }
    })
    .await;
}

/// Whether a refusal's sentence is this rule's; a message with the key in it has "this key" in its fixed form.
fn is_of(rule: &ValidationRule, sentence: &str) -> bool {
    match (&rule.message_expression, rule.message.split_once("this key: ")) {
        (Some(_), Some((before, because))) => sentence
            .strip_prefix(before)
            .and_then(|rest| rest.split_once(": "))
            .is_some_and(|(_, why)| because.starts_with(why)),
        _ => rule.message.contains(sentence),
    }
}

#[test]
fn every_rule_has_a_bad_object() {
    let sentences: BTreeSet<&str> =
        broken_rules().iter().map(|bad| bad.sentence).chain(updates().iter().map(|update| update.sentence)).collect();
    for rule in rules() {
        assert!(sentences.iter().any(|sentence| is_of(&rule, sentence)), "no bad object for: {}", rule.message);
    }
}
