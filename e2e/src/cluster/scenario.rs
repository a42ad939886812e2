//! One test's own corner of the cluster: a namespace, topics and groups of its name, removed when it ends.

use std::thread;

use serde_json::{Value, json};

use super::{ClusterError, KAFKA_INSIDE, KAFKA_OUTSIDE, Kubectl};
use crate::oracle::Topic;
use crate::traffic::create_topic;

/// A namespace with everything one test needs.
pub struct Scenario {
    kubectl: Kubectl,
    passed: bool,
}

impl Scenario {
    /// Runs `test` in a namespace of its own. When it fails the state of the namespace is printed; either way it is
    /// removed.
    pub fn run<E: From<ClusterError>>(name: &str, test: impl FnOnce(&Self) -> Result<(), E>) -> Result<(), E> {
        let mut scenario = Self::begin(name)?;
        test(&scenario)?;
        scenario.passed = true;
        Ok(())
    }

    fn begin(name: &str) -> Result<Self, ClusterError> {
        // Unique, so that a run never meets the topics and groups of an earlier one.
        let moment = jiff::Timestamp::now().as_millisecond() & 0xFFF_FFFF;
        let namespace = format!("e2e-{name}-{moment:x}");
        let kubectl = Kubectl::new(&namespace);
        kubectl.run(&["create", "namespace", &namespace])?;
        // The strictest rules that Kubernetes has: what runs here runs anywhere.
        kubectl.run(&["label", "namespace", &namespace, "pod-security.kubernetes.io/enforce=restricted"])?;
        Ok(Self { kubectl, passed: false })
    }

    /// `kubectl` in this namespace.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// A topic's or group's name that no other scenario has.
    pub fn unique(&self, name: &str) -> String {
        format!("{}.{name}", self.kubectl.namespace())
    }

    /// Creates a topic of that unique name; gives the name.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<String, ClusterError> {
        let topic = self.unique(name);
        create_topic(KAFKA_OUTSIDE, &topic, partitions)?;
        Ok(topic)
    }

    /// A topic as the oracle reads it.
    pub fn topic(&self, topic: &str) -> Topic {
        Topic::new(KAFKA_OUTSIDE, topic)
    }

    /// The smallest useful object, with `changes` merged into its spec.
    pub fn manifest(&self, name: &str, topic: &str, changes: Value) -> Value {
        let mut manifest = json!({
            "apiVersion": "balancefleet.io/v1alpha1",
            "kind": "BalanceConsumerGroup",
            "metadata": {"name": name, "namespace": self.kubectl.namespace()},
            "spec": {
                "kafka": {"bootstrapServers": KAFKA_INSIDE, "topic": topic, "groupId": self.unique(name)},
            },
        });
        merge(&mut manifest["spec"], changes);
        manifest
    }

    /// What a person would look at first.
    fn print_state(&self) {
        let views: [&[&str]; 7] = [
            &["get", "bcg", "--output=yaml"],
            &["get", "pods,deployments,services,endpointslices,poddisruptionbudgets", "--output=wide"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["logs", "--selector=app.kubernetes.io/name=balance-worker", "--tail=60", "--prefix"],
            &[
                "logs",
                "--namespace=balancefleet-system",
                "--selector=app.kubernetes.io/name=balancefleet-operator",
                "--tail=60",
            ],
            &["get", "pods", "--namespace=kafka", "--output=wide"],
            &["logs", "--namespace=kafka", "--selector=app=kafka", "--tail=40"],
        ];
        for view in views {
            let shown = self.kubectl.run(view).unwrap_or_else(|error| error.to_string());
            eprintln!("--- kubectl {}\n{shown}", view.join(" "));
        }
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        if !self.passed || thread::panicking() {
            self.print_state();
        }
        if let Err(error) = self.kubectl.run(&["delete", "namespace", self.kubectl.namespace(), "--wait=false"]) {
            eprintln!("the namespace stays: {error}");
        }
    }
}

/// A JSON merge patch (RFC 7396): objects are merged, null removes, all else replaces.
fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(&key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_merged_and_null_removes() {
        let mut spec = json!({"kafka": {"topic": "t", "groupId": "g"}, "balances": {"signs": {}}});
        merge(&mut spec, json!({"kafka": {"groupId": "h"}, "balances": null, "ledger": "Count"}));
        assert_eq!(spec, json!({"kafka": {"topic": "t", "groupId": "h"}, "ledger": "Count"}));
    }
}
