//! Pure. The messages about a changed assignor that waits: what it waits for, and the commands that carry the change
//! out or revert it.

use balancefleet_crds::{Assignor, BalanceConsumerGroup};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::controller::{
    assignor::{ChangeMode, Obstacle, Pending},
    members,
};

/// At most this many pods or members are named.
const NAMED: usize = 3;
/// Clients choose their own names, of up to 32 KB.
const LONGEST_NAME: usize = 253;

/// The message of `Ready`, which points to the condition that says more.
pub(super) fn in_short(pending: &Pending) -> String {
    let Pending { from, to, .. } = pending;
    format!("spec.kafka.consumer.assignor is {to} and the workers have {from}: see the condition AssignorChangePending")
}

/// The message of the condition.
pub(super) fn message(group: &BalanceConsumerGroup, pending: &Pending) -> String {
    let Pending { from, to, obstacle, mode } = pending;
    let stay = stay(group, *from);
    match (obstacle, mode) {
        (Obstacle::Paused, _) => {
            format!("the workers have {from}, and {to} waits as long as spec.paused is true; to {stay}")
        }
        (Obstacle::Running, ChangeMode::Recreate) => {
            format!("all workers are stopped for the change from {from} to {to} and start again when all have left")
        }
        (obstacle, ChangeMode::Recreate) => {
            format!(
                "all workers are stopped for the change from {from} to {to} and start again when {}; to {stay}",
                until(group, obstacle)
            )
        }
        (_, ChangeMode::Blocked(doubt)) => {
            let doubt = match doubt {
                Obstacle::Members(clients) => {
                    format!(
                        "it has members that are not this object's pods; somebody has to stop them: {}",
                        some_of(clients)
                    )
                }
                _ => String::from("Kafka has not said yet who is a member"),
            };
            format!(
                "the workers go on with {from}: before the first one starts with {to} all have to stop and the group has \
                 to be empty, and {doubt}; to {stay}"
            )
        }
        (Obstacle::Running, ChangeMode::Manual) => {
            let recreate = edit(group, &json!({"kafka": {"consumer": {"assignorChange": "Recreate"}}}));
            format!(
                "the workers go on with {from}: one with {to} cannot join them, so all have to stop before the first one \
                 starts with it. To let the operator do that: {recreate}. To do it by hand: {} && {} && {}. To {stay}",
                scale(group, 0),
                wait(group),
                again(group)
            )
        }
        (obstacle, ChangeMode::Manual) => {
            format!(
                "{to} takes the place of {from} when {}; workers that are asked for earlier have {from}",
                until(group, obstacle)
            )
        }
    }
}

/// The message about pods and members that a deleted Deployment has left.
pub(crate) fn left_by_deleted_deployment(group: &BalanceConsumerGroup, pending: &Pending) -> String {
    let Pending { from, to, obstacle, .. } = pending;
    match obstacle {
        Obstacle::Pods(pods) if !pods.is_empty() => format!(
            "pods of a Deployment that is gone are still there with {from}: {}. Workers with {to} cannot join them and \
             start when they have ended. If they stay, delete the ReplicaSet that owns them; delete pods of a lost node \
             with --force --grace-period=0",
            some_of(pods)
        ),
        obstacle => format!(
            "workers of a Deployment that is gone had {from}. Workers with {to} cannot join them and start when {}; to {}",
            until(group, obstacle),
            stay(group, *from)
        ),
    }
}

fn until(group: &BalanceConsumerGroup, obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Paused | Obstacle::Running => String::from("all have left"),
        Obstacle::Pods(pods) if pods.is_empty() => String::from("the last pod has ended"),
        Obstacle::Pods(pods) => format!("the last pod has ended; still there: {}", some_of(pods)),
        Obstacle::GroupNotRead => String::from("Kafka says that the group has no members"),
        Obstacle::Members(clients) => {
            let name = group.name_any();
            let (ours, others): (Vec<_>, Vec<_>) = clients.iter().cloned().partition(|id| members::is_ours(id, &name));
            let session = group.spec.kafka.consumer.session_timeout;
            let mut text = String::from("the group has no members");
            if !ours.is_empty() {
                text += &format!(
                    "; workers of this object are still members (a killed one for {session}): {}",
                    some_of(&ours)
                );
            }
            if !others.is_empty() {
                text += &format!("; there are others, which somebody has to stop: {}", some_of(&others));
            }
            text
        }
    }
}

fn some_of(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| name.chars().take(LONGEST_NAME).collect()).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &more
}

/// The command that reverts the change, which takes effect at once.
fn stay(group: &BalanceConsumerGroup, from: Assignor) -> String {
    let command = edit(group, &json!({"kafka": {"consumer": {"assignor": from.as_str()}}}));
    format!("stay with {from}: {command}")
}

fn scale(group: &BalanceConsumerGroup, replicas: i32) -> String {
    format!("{} scale bcg/{} --replicas={replicas}", kubectl(group), group.name_any())
}

/// Waits for the end of all workers: an object with 0 replicas is ready when none is left.
fn wait(group: &BalanceConsumerGroup) -> String {
    format!("{} wait bcg/{} --for=condition=Ready --timeout=5m", kubectl(group), group.name_any())
}

/// Starts the workers again: as many as were pinned, or as many as the operator decides.
fn again(group: &BalanceConsumerGroup) -> String {
    match group.spec.replicas {
        Some(replicas) => scale(group, replicas),
        None => edit(group, &json!({"replicas": Value::Null})),
    }
}

fn edit(group: &BalanceConsumerGroup, spec: &Value) -> String {
    format!("{} patch bcg {} --type=merge -p '{}'", kubectl(group), group.name_any(), json!({"spec": spec}))
}

fn kubectl(group: &BalanceConsumerGroup) -> String {
    format!("kubectl -n {}", group.namespace().unwrap_or_default())
}
