//! Another assignor for workers that run: held, and carried out without a pod that starts beside one with the former.
//! The members of the groups are real ones, of a real broker, under the names that the workers in the pods would have.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use balancefleet_crds::{BalanceConsumerGroup, conditions, reasons};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod, events::v1::Event};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    kafka::{Member, broker, create_topic, unique},
    support::{Operator, Site, eventually, find_condition},
};

const PENDING: &str = conditions::ASSIGNOR_CHANGE_PENDING;
/// Longer than the operator waits between two reconciles, or two polls.
const WATCHED_FOR: Duration = Duration::from_secs(8);

fn assignor_of(containers: &[k8s_openapi::api::core::v1::Container]) -> String {
    let variable = containers[0].env.iter().flatten().find(|variable| variable.name == "KAFKA_ASSIGNOR");
    variable.and_then(|variable| variable.value.clone()).unwrap_or_default()
}

fn template(workers: &Deployment) -> String {
    assignor_of(&workers.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers)
}

fn replicas(workers: &Deployment) -> Option<i32> {
    workers.spec.as_ref().and_then(|spec| spec.replicas)
}

fn consumer(settings: &Value) -> Value {
    json!({"spec": {"kafka": {"consumer": settings}}})
}

async fn pods(site: &Site) -> Vec<Pod> {
    site.api::<Pod>().list(&ListParams::default()).await.unwrap().items
}

async fn message(site: &Site, says: &str) -> String {
    let promise = format!("the condition says {says:?}");
    let group = site
        .until("shop", &promise, |group: &BalanceConsumerGroup| {
            find_condition(group, PENDING).is_some_and(|(status, reason, message)| {
                status == "True" && reason == PENDING && message.contains(says)
            })
        })
        .await;
    find_condition(&group, PENDING).unwrap().2
}

async fn settled(site: &Site) {
    site.until("shop", "no change waits any more", |group: &BalanceConsumerGroup| {
        find_condition(group, PENDING).is_none()
            && group.status.as_ref().and_then(|status| status.observed_generation) == group.metadata.generation
    })
    .await;
}

/// Watches for pods with another assignor than the first ones until `allow`.
struct Guard {
    allowed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Guard {
    fn over(site: &Site) -> Self {
        let (allowed, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let api = site.api::<Pod>();
        let (may, end) = (Arc::clone(&allowed), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            while !end.load(Ordering::SeqCst) {
                let may = may.load(Ordering::SeqCst);
                let list = api.list(&ListParams::default()).await.unwrap();
                let all: BTreeSet<String> =
                    list.iter().map(|pod| assignor_of(&pod.spec.as_ref().unwrap().containers)).collect();
                assert!(all.len() < 2, "pods with different assignors: {all:?}");
                assert!(may || !all.contains("range"), "a pod came too early");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { allowed, stop, task }
    }

    fn allow(&self) {
        self.allowed.store(true, Ordering::SeqCst);
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

/// Two workers of a fleet on a real broker, one of them a member of the group.
async fn fleet(site: &Site) -> (String, String, Member) {
    let (topic, group) = (unique("transactions"), unique("group"));
    create_topic(&topic, 3).await;
    let kafka = json!({"bootstrapServers": broker(), "topic": topic, "groupId": group});
    site.create("shop", json!({"replicas": 2, "kafka": kafka})).await;
    let pod = eventually("two pods", || async { pods(site).await.into_iter().nth(1) }).await;
    let member = Member::join(&topic, &group, &format!("balance-worker-{}-0123abcd", pod.name_any())).await;
    site.until("shop", "a member is seen", |group: &BalanceConsumerGroup| {
        group.status.as_ref().and_then(|status| status.members) == Some(1)
    })
    .await;
    (topic, group, member)
}

#[tokio::test]
async fn running_workers_keep_their_assignor_whatever_else_changes() {
    let site = Site::new("held").await;
    let operator = Operator::start(&site.namespace).await;
    site.create("shop", json!({"replicas": 2})).await;
    let before = site.until_replicas("shop", 2).await;
    operator.settled(Duration::from_secs(3)).await;
    site.edit::<BalanceConsumerGroup>("shop", consumer(&json!({"assignor": "Range"}))).await;
    let said = message(&site, "go on with CooperativeSticky").await;
    for command in [
        format!("kubectl -n {} patch bcg shop --type=merge -p", site.namespace),
        r#"'{"spec":{"kafka":{"consumer":{"assignorChange":"Recreate"}}}}'"#.to_owned(),
        format!("kubectl -n {} scale bcg/shop --replicas=0 && kubectl", site.namespace),
        format!("kubectl -n {} scale bcg/shop --replicas=2. ", site.namespace),
    ] {
        assert!(said.contains(&command), "no {command} in {said}");
    }
    let held = site.get::<Deployment>("shop").await.unwrap();
    assert_eq!(held.metadata.generation, before.metadata.generation, "the Deployment was not touched");

    // Another edit, and another operator.
    operator.stop().await;
    let operator = Operator::start(&site.namespace).await;
    let labels = json!({"spec": {"worker": {"podLabels": {"a": "b"}}}});
    site.edit::<BalanceConsumerGroup>("shop", labels).await;
    let rolled = site
        .until("shop", "the rest of the template is rolled out", |workers: &Deployment| {
            workers.metadata.generation != before.metadata.generation
        })
        .await;
    assert_eq!((template(&rolled).as_str(), replicas(&rolled)), ("cooperative-sticky", Some(2)));
    message(&site, "go on with CooperativeSticky").await;

    // Nobody knows here who is a member: what was stopped might not start again.
    site.edit::<BalanceConsumerGroup>("shop", consumer(&json!({"assignorChange": "Recreate"}))).await;
    message(&site, "Kafka has not said yet who is a member").await;
    operator.settled(Duration::from_secs(3)).await;
    let held = site.get::<Deployment>("shop").await.unwrap();
    assert_eq!(held.metadata.generation, rolled.metadata.generation);

    site.edit::<BalanceConsumerGroup>("shop", consumer(&json!({"assignor": "CooperativeSticky"}))).await;
    settled(&site).await;
    let kept = site.get::<Deployment>("shop").await.unwrap();
    assert_eq!(kept.metadata.generation, rolled.metadata.generation);
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn recreate_waits_for_the_last_pod_and_the_last_member_also_through_a_crash() {
    let site = Site::new("recreate").await;
    let operator = Operator::start(&site.namespace).await;
    let (_, _, member) = fleet(&site).await;
    let guard = Guard::over(&site);
    // A pod that does not end, as on a node that is gone.
    let stays = pods(&site).await[0].name_any();
    site.edit::<Pod>(&stays, json!({"metadata": {"finalizers": ["balancefleet.test/stay"]}})).await;
    let change = consumer(&json!({"assignor": "Range", "assignorChange": "Recreate"}));
    site.edit::<BalanceConsumerGroup>("shop", change).await;
    let stopped = site.until_replicas("shop", 0).await;
    assert_eq!(stopped.annotations()["balancefleet.io/replicas"], "2", "their number is on record");
    let said = message(&site, "the last pod has ended; still there").await;
    assert!(said.contains(&stays), "{said}");
    let group = site.until_condition("shop", conditions::READY, "False", PENDING).await;
    let (status, reason, _) = find_condition(&group, conditions::PROGRESSING).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", reasons::ROLLING_OUT));

    operator.kill().await;
    let operator = Operator::start(&site.namespace).await;
    tokio::time::sleep(WATCHED_FOR).await;
    let still = site.get::<Deployment>("shop").await.unwrap();
    assert_eq!((template(&still).as_str(), replicas(&still)), ("cooperative-sticky", Some(0)));

    site.edit::<Pod>(&stays, json!({"metadata": {"finalizers": null}})).await;
    let said = message(&site, "workers of this object are still members").await;
    assert!(said.contains("balance-worker-shop-"), "{said}");
    tokio::time::sleep(WATCHED_FOR).await;
    assert!(pods(&site).await.is_empty());

    guard.allow();
    member.leave().await;
    let again = site.until_replicas("shop", 2).await;
    assert_eq!(template(&again), "range");
    assert!(!again.annotations().contains_key("balancefleet.io/stopped-for-assignor"));
    eventually("two pods with the new assignor", || async {
        let pods = pods(&site).await;
        let range = pods.iter().filter(|pod| assignor_of(&pod.spec.as_ref().unwrap().containers) == "range");
        (range.count() == 2).then_some(())
    })
    .await;
    settled(&site).await;
    eventually("an event says so", || async {
        let events = site.api::<Event>().list(&ListParams::default()).await.unwrap();
        events.items.iter().any(|event| event.reason.as_deref() == Some(reasons::ASSIGNOR_CHANGED)).then_some(())
    })
    .await;
    let writes = operator.settled(Duration::from_secs(8)).await;
    tokio::time::sleep(WATCHED_FOR).await;
    assert_eq!(operator.writes(), writes, "nothing is written once it is done");
    guard.end().await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn workers_are_not_stopped_beside_a_foreign_member_and_come_back_when_the_object_is_changed_back() {
    let site = Site::new("foreign").await;
    let operator = Operator::start(&site.namespace).await;
    let (topic, group, member) = fleet(&site).await;
    let guard = Guard::over(&site);
    let foreign = Member::join(&topic, &group, "somebody").await;
    site.until_condition("shop", conditions::FOREIGN_MEMBERS, "True", conditions::FOREIGN_MEMBERS).await;
    let change = consumer(&json!({"assignor": "Range", "assignorChange": "Recreate"}));
    site.edit::<BalanceConsumerGroup>("shop", change).await;
    message(&site, "somebody has to stop them: somebody").await;
    tokio::time::sleep(WATCHED_FOR).await;
    assert_eq!(replicas(&site.get::<Deployment>("shop").await.unwrap()), Some(2), "they go on");

    foreign.leave().await;
    site.until_replicas("shop", 0).await;
    message(&site, "workers of this object are still members").await;
    site.edit::<BalanceConsumerGroup>("shop", consumer(&json!({"assignor": "CooperativeSticky"}))).await;
    let back = site.until_replicas("shop", 2).await;
    assert_eq!(template(&back), "cooperative-sticky");
    settled(&site).await;
    member.leave().await;
    guard.end().await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn a_fleet_that_a_person_has_taken_to_0_gets_the_new_assignor_once_nobody_is_left() {
    let site = Site::new("by-hand").await;
    let operator = Operator::start(&site.namespace).await;
    let (_, _, member) = fleet(&site).await;
    let guard = Guard::over(&site);
    site.edit::<BalanceConsumerGroup>("shop", consumer(&json!({"assignor": "Range"}))).await;
    message(&site, "go on with CooperativeSticky").await;
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"replicas": 0}})).await;
    message(&site, "Range takes the place of CooperativeSticky when").await;
    message(&site, "workers of this object are still members").await;
    // Too early: the former workers come again.
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"replicas": 1}})).await;
    assert_eq!(template(&site.until_replicas("shop", 1).await), "cooperative-sticky");
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"replicas": 0}})).await;
    site.until_replicas("shop", 0).await;
    guard.allow();
    member.leave().await;
    // What the printed `kubectl wait` waits for.
    site.until_condition("shop", conditions::READY, "True", reasons::SUSPENDED).await;
    settled(&site).await;
    site.edit::<BalanceConsumerGroup>("shop", json!({"spec": {"replicas": null}})).await;
    assert_eq!(template(&site.until_replicas("shop", 1).await), "range");

    // A Deployment that somebody deletes while its pods are still there.
    let pod = eventually("a pod", || async { pods(&site).await.into_iter().next() }).await.name_any();
    site.edit::<Pod>(&pod, json!({"metadata": {"finalizers": ["balancefleet.test/stay"]}})).await;
    operator.settled(Duration::from_secs(3)).await;
    operator.stop().await;
    site.api::<Deployment>().delete("shop", &DeleteParams::background()).await.unwrap();
    site.edit::<BalanceConsumerGroup>("shop", consumer(&json!({"assignor": "CooperativeSticky"}))).await;
    eventually("the pod is on its way", || async {
        let found = site.get::<Pod>(&pod).await?;
        found.metadata.deletion_timestamp.map(drop)
    })
    .await;
    let operator = Operator::start(&site.namespace).await;
    let group = site.until_condition("shop", conditions::READY, "False", PENDING).await;
    let (_, _, said) = find_condition(&group, conditions::READY).unwrap();
    assert!(said.contains("pods of a Deployment that is gone") && said.contains(&pod), "{said}");
    assert!(site.get::<Deployment>("shop").await.is_none());
    site.edit::<Pod>(&pod, json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(template(&site.until_replicas("shop", 1).await), "cooperative-sticky");
    guard.end().await;
    operator.stop().await;
    site.close().await;
}

#[tokio::test]
async fn members_that_outlive_deployment_and_pods_are_waited_for_also_by_another_operator() {
    let site = Site::new("outlived").await;
    let operator = Operator::start(&site.namespace).await;
    let (_, _, member) = fleet(&site).await;
    let guard = Guard::over(&site);
    site.edit::<BalanceConsumerGroup>("shop", consumer(&json!({"assignor": "Range"}))).await;
    message(&site, "go on with CooperativeSticky").await;
    site.api::<Deployment>().delete("shop", &DeleteParams::background()).await.unwrap();
    let said = message(&site, "workers of this object are still members").await;
    assert!(said.contains("balance-worker-shop-"), "{said}");
    let group = site.until_condition("shop", conditions::READY, "False", PENDING).await;
    let (_, _, ready) = find_condition(&group, conditions::READY).unwrap();
    assert!(ready.starts_with("workers of a Deployment that is gone had CooperativeSticky"), "{ready}");
    assert_eq!(group.status.unwrap().assignor.as_deref(), Some("CooperativeSticky"));

    operator.kill().await;
    let operator = Operator::start(&site.namespace).await;
    tokio::time::sleep(WATCHED_FOR).await;
    assert!(site.get::<Deployment>("shop").await.is_none() && pods(&site).await.is_empty());
    message(&site, "workers of this object are still members").await;

    guard.allow();
    member.leave().await;
    assert_eq!(template(&site.until_replicas("shop", 2).await), "range");
    settled(&site).await;
    let group = site.get::<BalanceConsumerGroup>("shop").await.unwrap();
    assert_eq!(group.status.unwrap().assignor.as_deref(), Some("Range"));

    // Nothing has changed: whoever is left has the same, and nobody is waited for.
    site.api::<Deployment>().delete("shop", &DeleteParams::background()).await.unwrap();
    assert_eq!(template(&site.until_replicas("shop", 2).await), "range");
    guard.end().await;
    operator.stop().await;
    site.close().await;
}
