//! What several tests need.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, KAFKA_OUTSIDE, Scenario, Worker, wait_until};
use balancefleet_e2e::oracle::Signs;
use balancefleet_e2e::stream::{Settings, Stream};
use balancefleet_e2e::traffic::{Interrupt, Keying, Pace, Sender, Sent};
use balancefleet_e2e::verify::{AnswerError, Balances, Verdict, verify};
use serde_json::Value;

pub(crate) type Failure = Box<dyn Error>;
pub(crate) type Outcome = Result<(), Failure>;

pub(crate) const PARTITIONS: u32 = 6;
/// How long a fleet may take to catch up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(135);

/// A test that needs a namespace of its own.
pub(crate) fn scenario(name: &str, test: impl FnOnce(&Scenario) -> Outcome) -> Outcome {
    Scenario::run(name, test)
}

/// Sends the first `count` records as fast as the broker takes them.
pub(crate) fn send(topic: &str, settings: Settings, count: u64) -> Result<Sent, Failure> {
    let sender = Sender::new(KAFKA_OUTSIDE, topic, Keying::Transaction)?;
    let sent = sender.run(&Stream::new(settings), 0..count, &Pace::steady(0, count), &Interrupt::default(), None)?;
    assert_eq!((sent.sent, sent.acknowledged), (count, count));
    Ok(sent)
}

/// The balances as the object's Service answers.
pub(crate) fn ask(group: &Group) -> Result<Balances, AnswerError> {
    let text = group.get("/api/Balance/balances").map_err(|error| AnswerError::Other(error.to_string()))?;
    Balances::parse(&text)
}

/// Waits until the fleet has caught up, then holds every balance, count and last transaction against the oracle.
pub(crate) fn every_balance_is_right(scenario: &Scenario, group: &Group, topic: &str) -> Result<Verdict, Failure> {
    every_balance_is_right_by(scenario, group, topic, &Signs::default())
}

pub(crate) fn every_balance_is_right_by(
    scenario: &Scenario,
    group: &Group,
    topic: &str,
    signs: &Signs,
) -> Result<Verdict, Failure> {
    let verdict = verify(&scenario.topic(topic), signs, PATIENCE, || ask(group), |_| ())?;
    let shown: Vec<_> = verdict.differences.iter().take(10).map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{} differences: {shown:#?}", verdict.differences.len());
    Ok(verdict)
}

/// How many partitions each worker has, most first.
pub(crate) fn shares(assignment: &[(Worker, Vec<u32>)]) -> Vec<usize> {
    let mut shares: Vec<_> = assignment.iter().map(|(_, partitions)| partitions.len()).collect();
    shares.sort_unstable_by(|one, other| other.cmp(one));
    shares
}

/// A folder of `config/`.
pub(crate) fn config(folder: &str) -> String {
    format!("{}/../config/{folder}", env!("CARGO_MANIFEST_DIR"))
}

/// Applies workers of `config/` that run without the operator, with the image of this checkout and a group of their
/// own.
pub(crate) fn apply_config(scenario: &Scenario, folder: &str, topic: &str) -> Result<Group, Failure> {
    let name = "balance-service";
    let kubectl = scenario.kubectl();
    let objects = kubectl.run(&["create", "--dry-run=client", "--output=json", "--kustomize", &config(folder)])?;
    for object in serde_json::Deserializer::from_str(&objects).into_iter::<Value>() {
        let mut object = object?;
        if object["kind"] == "Deployment" {
            let worker = &mut object["spec"]["template"]["spec"]["containers"][0];
            worker["image"] = "balancefleet/worker:dev".into();
            for variable in worker["env"].as_array_mut().into_iter().flatten() {
                match variable["name"].as_str() {
                    Some("KAFKA_TOPIC") => variable["value"] = topic.into(),
                    Some("KAFKA_GROUP_ID") => variable["value"] = scenario.unique(name).into(),
                    _ => {}
                }
            }
        }
        kubectl.apply(&object)?;
    }
    Ok(Group::without_object(scenario, name))
}

/// An environment variable of a pod's worker.
pub(crate) fn variable(pod: &Value, name: &str) -> Option<String> {
    let variables = pod["spec"]["containers"][0]["env"].as_array()?;
    let variable = variables.iter().find(|variable| variable["name"] == name)?;
    variable["value"].as_str().map(str::to_owned)
}

/// Every object of the namespace of every kind there is, but for events, which record what happened.
pub(crate) fn objects(scenario: &Scenario) -> Result<BTreeSet<String>, ClusterError> {
    let kubectl = scenario.kubectl();
    let kinds = kubectl.run(&["api-resources", "--verbs=list", "--namespaced", "--output=name"])?;
    // The same objects under a second name, or none that are stored.
    let uninteresting = ["events", "events.events.k8s.io", "endpoints", "pods.metrics.k8s.io"];
    let kinds: Vec<_> = kinds.lines().filter(|kind| !uninteresting.contains(kind)).collect();
    let names = kubectl.run(&["get", &kinds.join(","), "--output=name", "--ignore-not-found"])?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Waits until the namespace has no more objects than before.
pub(crate) fn wait_until_removed(scenario: &Scenario, before: &BTreeSet<String>) -> Outcome {
    wait_until("the namespace is as it was", PATIENCE, || {
        let left: Vec<_> = objects(scenario)?.difference(before).cloned().collect();
        if left.is_empty() { Ok(()) } else { Err(ClusterError::Unexpected(format!("{left:?}"))) }
    })?;
    Ok(())
}
