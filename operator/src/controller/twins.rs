//! Pure. Two objects with one consumer group on one Kafka would give each other's workers their partitions: the older
//! one is served, the younger one is told.

use std::collections::BTreeSet;

use balancefleet_crds::BalanceConsumerGroup;
use kube::ResourceExt;

use super::validate::{key_of, qualify};
use crate::lag::GroupKey;

/// The oldest other object with the same group on the same Kafka, if it is older than this one.
pub(super) fn older_twin<'a>(
    group: &BalanceConsumerGroup,
    others: impl IntoIterator<Item = &'a BalanceConsumerGroup>,
) -> Option<GroupKey> {
    let id = group.effective_group_id();
    others
        .into_iter()
        .filter(|other| other.effective_group_id() == id)
        .filter(|other| age(other) < age(group) && other.metadata.deletion_timestamp.is_none())
        .filter(|other| !brokers(other).is_disjoint(&brokers(group)))
        .min_by_key(|other| age(other))
        .map(key_of)
}

/// Orders by creation; objects of one second by name, so that both agree on who is older.
fn age(group: &BalanceConsumerGroup) -> (Option<jiff::Timestamp>, GroupKey) {
    (group.creation_timestamp().map(|time| time.0), key_of(group))
}

/// Brokers in one spelling. One in common is enough: nobody lists brokers of two clusters.
fn brokers(group: &BalanceConsumerGroup) -> BTreeSet<String> {
    let namespace = group.namespace().unwrap_or_default();
    let servers = qualify(&group.spec.kafka.bootstrap_servers, &namespace).to_lowercase();
    servers.split(',').map(|server| server.replace(".svc.cluster.local:", ":").replace(".svc:", ":")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(namespace: &str, name: &str, created: &str, servers: &str, id: &str) -> BalanceConsumerGroup {
        serde_json::from_value(json!({
            "apiVersion": "balancefleet.io/v1alpha1", "kind": "BalanceConsumerGroup",
            "metadata": {"namespace": namespace, "name": name, "creationTimestamp": created},
            "spec": {"kafka": {"bootstrapServers": servers, "topic": "t", "groupId": id}},
        }))
        .unwrap()
    }

    const FIRST: &str = "2026-01-01T00:00:00Z";
    const SECOND: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn the_younger_of_two_is_told_of_the_older_one() {
        let old = group("a", "old", FIRST, "kafka.infra:9092", "g");
        let young = group("b", "young", SECOND, "other:9092, KAFKA.infra.svc.cluster.local:9092", "g");
        assert_eq!(older_twin(&young, [&old, &young]).unwrap().to_string(), "a/old");
        assert_eq!(older_twin(&old, [&old, &young]), None);
    }

    #[test]
    fn objects_of_the_same_second_agree_on_the_older_one() {
        let (a, b) = (group("n", "a", FIRST, "k.x:1", "g"), group("n", "b", FIRST, "k.x:1", "g"));
        assert_eq!((older_twin(&a, [&a, &b]), older_twin(&b, [&a, &b])), (None, Some(key_of(&a))));
    }

    #[test]
    fn a_short_name_means_another_kafka_in_another_namespace() {
        let (a, b) = (group("a", "x", FIRST, "kafka:9092", "g"), group("b", "y", SECOND, "kafka:9092", "g"));
        assert_eq!(older_twin(&b, [&a, &b]), None);
    }

    #[test]
    fn another_group_or_an_object_on_its_way_out_is_no_twin() {
        let mut old = group("a", "old", FIRST, "k.x:1", "g");
        assert_eq!(older_twin(&group("a", "z", SECOND, "k.x:1", "h"), [&old]), None);
        old.metadata.deletion_timestamp = old.metadata.creation_timestamp.clone();
        assert_eq!(older_twin(&group("a", "z", SECOND, "k.x:1", "g"), [&old]), None);
    }
}
