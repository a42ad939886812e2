//! Pure. If two objects had the same consumer group on the same Kafka, their workers would share its partitions. So
//! only the older object is served, and the younger one reports the conflict.

use std::collections::BTreeSet;

use balancefleet_crds::BalanceConsumerGroup;
use kube::ResourceExt;

use super::validate::{key_of, qualify};
use crate::poller::ObjectKey;

/// The oldest other object with the same group on the same Kafka, if it is older than this one. `has_workers` says
/// whether an object has its Deployment already.
pub(super) fn conflicting_group<'a>(
    group: &BalanceConsumerGroup,
    others: impl IntoIterator<Item = &'a BalanceConsumerGroup>,
    has_workers: impl Fn(&BalanceConsumerGroup) -> bool,
) -> Option<ObjectKey> {
    let id = group.effective_group_id();
    let age = |of: &BalanceConsumerGroup| age(of, has_workers(of));
    let own = age(group);
    others
        .into_iter()
        .filter(|other| other.effective_group_id() == id && other.metadata.deletion_timestamp.is_none())
        .filter(|other| !brokers(other).is_disjoint(&brokers(group)))
        .filter(|other| age(other) < own)
        .min_by_key(|other| age(other))
        .map(key_of)
}

/// Order of precedence: the older object comes first. Creation times have a resolution of a second. Among objects of
/// the same second, one that has workers comes first, so that no other gets workers beside it; if none has, the name
/// decides.
fn age(group: &BalanceConsumerGroup, has_workers: bool) -> (Option<jiff::Timestamp>, bool, ObjectKey) {
    (group.creation_timestamp().map(|time| time.0), !has_workers, key_of(group))
}

/// The brokers in one spelling. One common broker means the same Kafka: nobody lists brokers of two clusters.
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

    fn conflicting_group<'a>(
        group: &BalanceConsumerGroup,
        others: impl IntoIterator<Item = &'a BalanceConsumerGroup>,
    ) -> Option<ObjectKey> {
        super::conflicting_group(group, others, |_| false)
    }

    const FIRST: &str = "2026-01-01T00:00:00Z";
    const SECOND: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn the_younger_of_two_conflicts_with_the_older_one() {
        let old = group("a", "old", FIRST, "kafka.infra:9092", "g");
        let young = group("b", "young", SECOND, "other:9092, KAFKA.infra.svc.cluster.local:9092", "g");
        assert_eq!(conflicting_group(&young, [&old, &young]).unwrap().to_string(), "a/old");
        assert_eq!(conflicting_group(&old, [&old, &young]), None);
    }

    #[test]
    fn of_objects_of_the_same_second_the_one_with_workers_is_the_older_one() {
        let (a, b) = (group("n", "a", FIRST, "k.x:1", "g"), group("n", "b", FIRST, "k.x:1", "g"));
        let with = |workers: &'static [&'static str]| {
            let has_workers = move |group: &BalanceConsumerGroup| workers.contains(&group.name_any().as_str());
            (super::conflicting_group(&a, [&a, &b], has_workers), super::conflicting_group(&b, [&a, &b], has_workers))
        };
        assert_eq!(with(&["b"]), (Some(key_of(&b)), None), "`b` was there first");
        assert_eq!(with(&["a"]), (None, Some(key_of(&a))));
        assert_eq!(with(&["a", "b"]), (None, Some(key_of(&a))), "the name decides");
    }

    #[test]
    fn objects_of_the_same_second_agree_on_the_older_one() {
        let (a, b) = (group("n", "a", FIRST, "k.x:1", "g"), group("n", "b", FIRST, "k.x:1", "g"));
        assert_eq!((conflicting_group(&a, [&a, &b]), conflicting_group(&b, [&a, &b])), (None, Some(key_of(&a))));
    }

    #[test]
    fn a_short_name_means_another_kafka_in_another_namespace() {
        let (a, b) = (group("a", "x", FIRST, "kafka:9092", "g"), group("b", "y", SECOND, "kafka:9092", "g"));
        assert_eq!(conflicting_group(&b, [&a, &b]), None);
    }

    #[test]
    fn another_group_or_an_object_being_deleted_is_no_conflict() {
        let mut old = group("a", "old", FIRST, "k.x:1", "g");
        assert_eq!(conflicting_group(&group("a", "z", SECOND, "k.x:1", "h"), [&old]), None);
        old.metadata.deletion_timestamp = old.metadata.creation_timestamp.clone();
        assert_eq!(conflicting_group(&group("a", "z", SECOND, "k.x:1", "g"), [&old]), None);
    }
}
