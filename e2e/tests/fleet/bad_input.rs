//! Objects that cannot work say why and what to do, in a condition; workers that run stay.

use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, KAFKA_INSIDE_SASL, Scenario, wait_until};
use balancefleet_e2e::stream::Settings;
use serde_json::{Value, json};

use crate::support::{Outcome, PARTITIONS, every_balance_is_right, scenario, send};

/// The condition of an object with these changes, which must name `word` and a next step.
fn is_refused(scenario: &Scenario, topic: &str, changes: Value, reason: &str, word: &str) -> Outcome {
    let group = Group::apply(scenario, &scenario.manifest("fleet", topic, changes))?;
    let message = group.wait_for_condition("Ready", "False", reason)?;
    assert!(message.contains(word), "{word:?} is not in {message:?}");
    assert!(message.len() > word.len() + 20, "no next step in {message:?}");
    Ok(())
}

#[test]
fn an_unknown_topic_is_named_in_a_condition_and_is_taken_once_it_exists() -> Outcome {
    scenario("topic", |scenario| {
        let topic = scenario.unique("transactions");
        is_refused(scenario, &topic, json!({}), "TopicNotFound", &topic)?;
        scenario.create_topic("transactions", PARTITIONS)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({})))?;
        group.wait_for_assignment(1, PARTITIONS)?;
        Ok(())
    })
}

#[test]
fn an_unreachable_broker_is_named_in_a_condition() -> Outcome {
    scenario("broker", |scenario| {
        let changes = json!({"kafka": {"bootstrapServers": "kafka.kafka.svc:1"}});
        is_refused(scenario, "transactions", changes, "KafkaUnreachable", "kafka.kafka.svc:1")
    })
}

#[test]
fn a_refused_login_is_told_apart_from_an_unreachable_broker_and_a_right_one_works() -> Outcome {
    scenario("login", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        create_login(scenario, "wrong")?;
        is_refused(scenario, &topic, with_login(), "AuthenticationFailed", "kafka-login")?;
        create_login(scenario, "balance-secret")?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, with_login()))?;
        send(&topic, Settings::default(), 500)?;
        // Secrets are not watched: what a person mended in one is found within a minute.
        group.wait_for_condition("LagKnown", "True", "LagRead")?;
        group.wait_for_assignment(1, PARTITIONS)?;
        every_balance_is_right(scenario, &group, &topic)?;
        Ok(())
    })
}

#[test]
fn an_absent_secret_is_named_in_a_condition_and_the_running_workers_stay() -> Outcome {
    scenario("secret", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let group = Group::apply(scenario, &scenario.manifest("fleet", &topic, json!({"replicas": 2})))?;
        group.wait_for_assignment(2, PARTITIONS)?;
        let before = identities(&group)?;
        is_refused(scenario, &topic, with_login(), "SecretNotFound", "kafka-login")?;
        // Long enough for a rollout to have begun, had there been one.
        let observed = group.object()?["metadata"]["generation"].clone();
        wait_until("the change was seen", Duration::from_secs(30), || {
            let seen = group.status()?["observedGeneration"].clone();
            if seen == observed { Ok(()) } else { Err(ClusterError::Unexpected(seen.to_string())) }
        })?;
        send(&topic, Settings::default(), 500)?;
        every_balance_is_right(scenario, &group, &topic)?;
        assert_eq!(identities(&group)?, before);
        Ok(())
    })
}

fn with_login() -> Value {
    let sasl = json!({"mechanism": "ScramSha512", "credentialsSecretRef": {"name": "kafka-login"}});
    json!({"kafka": {"bootstrapServers": KAFKA_INSIDE_SASL, "sasl": sasl}})
}

fn create_login(scenario: &Scenario, password: &str) -> Outcome {
    scenario.kubectl().apply(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "kafka-login", "namespace": scenario.kubectl().namespace()},
        "stringData": {"username": "balance", "password": password},
    }))?;
    Ok(())
}

/// Pods and how often they were started: unchanged when nothing was restarted.
fn identities(group: &Group) -> Result<Vec<(Value, Value)>, ClusterError> {
    let pods = group.pods()?;
    let identity =
        |pod: &Value| (pod["metadata"]["uid"].clone(), pod["status"]["containerStatuses"][0]["restartCount"].clone());
    let mut identities: Vec<_> = pods.iter().map(identity).collect();
    identities.sort_by_key(|identity| identity.0.to_string());
    Ok(identities)
}
