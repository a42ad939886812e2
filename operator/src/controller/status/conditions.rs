//! Pure. The conditions of an object, each with a reason from a bounded set and a message for users. Their names and
//! meanings are in `crds/src/conditions.rs`.

use balancefleet_autoscaler::{LagReading, Limit};
use balancefleet_crds::{
    Assignor, BalanceConsumerGroupStatus as Status, ScalingMode, Tls, conditions as types, reasons,
};
use balancefleet_kafka::GroupState;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::Condition};
use kube::ResourceExt;

use super::{assignor, figures::ranges, input::StatusInput, kafka};
use crate::controller::{
    assignor::{ChangeMode, Obstacle, Pending},
    members,
    validate::{kafka_secrets, with_secrets},
    workload,
};

/// In characters. The API server accepts eight times as many, which nobody would read.
const LONGEST_MESSAGE: usize = 4_000;
/// Clients choose their own names, of up to 32 KB.
const LONGEST_NAME: usize = 253;

/// A condition without its times.
struct ConditionState {
    status: &'static str,
    reason: String,
    message: String,
}

fn state(status: &'static str, reason: impl Into<String>, message: impl Into<String>) -> ConditionState {
    ConditionState { status, reason: reason.into(), message: message.into() }
}

/// All conditions; those that are present only while true are omitted otherwise.
pub(super) fn conditions(old: &Status, new: &Status, input: &StatusInput<'_>) -> Vec<Condition> {
    let always = [
        (types::READY, Some(ready(old, new, input))),
        (types::PROGRESSING, Some(progressing(input))),
        (types::LAG_KNOWN, Some(lag_known(input))),
        (types::SCALING_ACTIVE, Some(scaling_active(input))),
        (types::SCALING_LIMITED, Some(scaling_limited(input))),
    ];
    let while_true = [
        (types::HOT_PARTITION, hot_partition(input)),
        (types::DATA_LOSS, data_loss(input)),
        (types::OFFSET_AHEAD_OF_LOG, offset_ahead_of_log(input)),
        (types::OVER_CAPACITY, over_capacity(old, input)),
        (types::REPLICAS_CONTENDED, replicas_contended(input)),
        (types::FOREIGN_MEMBERS, foreign_members(input)),
        (types::ASSIGNOR_CHANGE_PENDING, assignor_change_pending(input)),
        (types::WORKER_IMAGE_OUTDATED, worker_image_outdated(input)),
    ];
    let all = always.into_iter().chain(while_true);
    all.filter_map(|(name, state)| Some(dated(name, state?, old, input))).collect()
}

/// Keeps the transition time unless the status flipped.
fn dated(name: &str, state: ConditionState, old: &Status, input: &StatusInput<'_>) -> Condition {
    let before = find(old, name).filter(|before| before.status == state.status);
    let same_problem = before.filter(|before| {
        // After an edit of the object, the old message may be about something that is no longer in it.
        before.reason == state.reason
            && kafka::is_reason(&state.reason)
            && before.observed_generation == input.group.metadata.generation
    });
    Condition {
        type_: name.to_owned(),
        status: state.status.to_owned(),
        reason: state.reason,
        message: same_problem.map_or_else(|| shortened(state.message), |before| before.message.clone()),
        observed_generation: input.group.metadata.generation,
        last_transition_time: before.map_or_else(|| input.time(), |before| before.last_transition_time.clone()),
    }
}

/// Sorts conditions, so that equal ones compare equal: the API server appends new ones to a list that it merges by key.
pub(super) fn order(conditions: &mut [Condition]) {
    let place = |condition: &Condition| {
        let always = &types::ALWAYS_PRESENT;
        always.iter().position(|name| *name == condition.type_).unwrap_or(always.len())
    };
    conditions.sort_by(|left, right| (place(left), &left.type_).cmp(&(place(right), &right.type_)));
}

/// Cuts a message. Text of others in it could make it so long that the API server refuses the whole status.
fn shortened(message: String) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

fn find<'a>(status: &'a Status, name: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == name)
}

fn ready(old: &Status, new: &Status, input: &StatusInput<'_>) -> ConditionState {
    // A change of the assignor that waits for a poll of the group must not hide why Kafka cannot be read.
    let does_not_wait = input.problem.filter(|problem| problem.reason != types::ASSIGNOR_CHANGE_PENDING);
    if let Some(problem) = does_not_wait {
        return state("False", problem.reason, &problem.message);
    }
    match kafka::problem(input.snapshot, input.instant) {
        Ok(Some((reason, message))) => return where_to_look(reason, message, input),
        Ok(None) => {}
        // Too young to be reported, but no sign of health either: what was reported before stays.
        Err(_) => {
            if let Some(before) = find(old, types::READY).filter(|before| kafka::is_reason(&before.reason)) {
                return state("False", &before.reason, &before.message);
            }
        }
    }
    if let Some(problem) = input.problem {
        return state("False", problem.reason, &problem.message);
    }
    if let Some(pending) = input.pending {
        return state("False", types::ASSIGNOR_CHANGE_PENDING, assignor::in_short(pending));
    }
    let ready = new.ready_replicas.unwrap_or(0);
    // While all workers are stopped for a change of the assignor, the replicas in the annotation are the desired ones.
    let wanted = |workers: &Deployment| {
        if workload::is_stopped(workers) {
            workload::replicas_in_annotation(workers)
        } else {
            workload::spec_replicas(workers)
        }
    };
    match input.deployment.map(wanted) {
        Some(0) => state("True", reasons::SUSPENDED, "no worker is wanted"),
        Some(wanted) if ready >= wanted => state("True", reasons::WORKERS_READY, "all workers are ready"),
        Some(wanted) => state("False", reasons::WORKERS_NOT_READY, format!("{ready} of {wanted} workers are ready")),
        None if input.group.spec.paused => {
            state("False", reasons::PAUSED, "there are no workers and spec.paused is true")
        }
        None => state("False", reasons::WORKERS_NOT_READY, "the workers have not been created yet"),
    }
}

/// Adds the names of the Secrets to look at: Kafka's message does not know which Secret holds the login or the
/// certificate.
fn where_to_look(reason: &'static str, message: &str, input: &StatusInput<'_>) -> ConditionState {
    let kafka = &input.group.spec.kafka;
    let all = kafka_secrets(input.group);
    let login: Vec<String> = kafka.sasl.iter().map(|sasl| sasl.credentials_secret_ref.name.clone()).collect();
    let mut certificates: Vec<String> = kafka.tls.iter().flat_map(secrets_of).collect();
    certificates.dedup();
    match reason {
        reasons::AUTHENTICATION_FAILED => state("False", reason, with_secrets(message, &login)),
        reasons::TLS_FAILED => state("False", reason, with_secrets(message, &certificates)),
        // Validation has checked the rest of the connection, so the setting that librdkafka refuses is in a Secret.
        reasons::INVALID_SPEC if !all.is_empty() => {
            state("False", reasons::SECRET_INCOMPLETE, with_secrets(message, &all))
        }
        _ => state("False", reason, message),
    }
}

fn secrets_of(tls: &Tls) -> impl Iterator<Item = String> {
    let both = [&tls.ca_secret_ref, &tls.client_certificate_secret_ref];
    both.into_iter().flatten().map(|secret| secret.name.clone())
}

fn progressing(input: &StatusInput<'_>) -> ConditionState {
    let Some(deployment) = input.deployment else {
        return state("False", reasons::SETTLED, "there are no workers");
    };
    let (wanted, there) = (workload::spec_replicas(deployment), workload::existing(deployment));
    let rolling = state("True", reasons::ROLLING_OUT, "workers are replaced one at a time");
    let recreates = |pending: &Pending| pending.mode == ChangeMode::Recreate && pending.obstacle != Obstacle::Paused;
    if input.pending.is_some_and(recreates) {
        return state(
            "True",
            reasons::ROLLING_OUT,
            "all workers are stopped and replaced by workers with another assignor",
        );
    }
    match workload::rollout(deployment) {
        workload::Rollout::Stuck if workload::is_observed(deployment) => {
            let name = deployment.name_any();
            let next = format!("no worker became ready for 15 minutes: look at the pods of Deployment `{name}`");
            state("False", reasons::ROLLOUT_STUCK, next)
        }
        _ if workload::is_rolling(deployment) => rolling,
        _ if wanted != there => state("True", reasons::SCALING, "the number of replicas is changing"),
        _ if !workload::is_observed(deployment) => rolling,
        workload::Rollout::Underway | workload::Rollout::Stuck => {
            state("True", reasons::ROLLING_OUT, "workers are starting")
        }
        workload::Rollout::Complete => state("False", reasons::SETTLED, "nothing is changing"),
    }
}

fn lag_known(input: &StatusInput<'_>) -> ConditionState {
    let Some(snapshot) = input.snapshot else {
        return state("Unknown", reasons::LAG_NOT_READ_YET, "Kafka has not been read yet");
    };
    let problem = snapshot.problem.as_ref();
    match (&snapshot.lag, problem) {
        (LagReading::Known(_), _) => state("True", reasons::LAG_READ, "the lag of every partition is known"),
        (LagReading::Partial(_), None) => {
            state("False", reasons::LAG_PARTIAL, "the lag of some partitions could not be read")
        }
        (LagReading::Partial(_), Some(problem)) => state("False", reasons::LAG_PARTIAL, &problem.message),
        (LagReading::Unknown, Some(problem)) => state("False", kafka::reason(problem), &problem.message),
        (LagReading::Unknown, None) => state("Unknown", reasons::LAG_NOT_READ_YET, "Kafka has not been read yet"),
    }
}

fn scaling_active(input: &StatusInput<'_>) -> ConditionState {
    if let Some(problem) = input.problem {
        return state("False", problem.reason, "the object has a problem: see Ready");
    }
    match input.plan.map(|plan| (plan.mode, plan.explanation.as_str())) {
        Some((ScalingMode::Pinned, _)) => state("False", reasons::PINNED, pinned(input)),
        Some((ScalingMode::Paused, why)) => state("False", reasons::PAUSED, why),
        Some((ScalingMode::Holding, why)) => state("False", reasons::HOLDING, why),
        Some((ScalingMode::DryRun, _)) => {
            state("False", reasons::DRY_RUN, "spec.scaling.dryRun is true: status.scaling says what would be done")
        }
        Some((ScalingMode::Auto, _)) => state("True", reasons::AUTOMATIC, "the number of replicas follows the lag"),
        None => state("False", reasons::HOLDING, "nothing has been decided yet"),
    }
}

/// Names the value and, if known, who set it, so that a forgotten pin can be found.
fn pinned(input: &StatusInput<'_>) -> String {
    let value = input.group.spec.replicas.unwrap_or_default();
    let setter =
        input.group.managed_fields().iter().rev().find(|entry| {
            entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
        });
    let by =
        setter.and_then(|entry| entry.manager.as_deref()).map(|name| format!(", set by {name}")).unwrap_or_default();
    format!(
        "spec.replicas is {value}{by}; back to automatic: kubectl patch bcg {} --type=merge -p \
         '{{\"spec\":{{\"replicas\":null}}}}'",
        input.group.name_any()
    )
}

fn scaling_limited(input: &StatusInput<'_>) -> ConditionState {
    match input.plan.and_then(|plan| plan.limited_by) {
        Some(Limit::MinReplicas) => {
            state("True", reasons::AT_MIN_REPLICAS, "fewer workers would do; spec.scaling.minReplicas keeps them")
        }
        Some(Limit::MaxReplicas) => {
            state("True", reasons::AT_MAX_REPLICAS, "more workers are needed than spec.scaling.maxReplicas allows")
        }
        Some(Limit::Partitions) => state(
            "True",
            reasons::AT_PARTITIONS,
            "the load needs more workers than there are partitions: add partitions",
        ),
        None => state("False", reasons::WITHIN_LIMITS, "replicas are within the limits"),
    }
}

/// Even a worker of its own could not process the busiest partition. After a restart, `figures::saved_history` reads
/// the partition's number from this message.
fn hot_partition(input: &StatusInput<'_>) -> Option<ConditionState> {
    let partition = input.snapshot?.decision.hot_partition?;
    Some(state(
        "True",
        types::HOT_PARTITION,
        format!(
            "partition {partition} gets more records than one worker can process, so more workers do not help: \
             spread its keys, or add partitions"
        ),
    ))
}

fn partitions_where(
    input: &StatusInput<'_>,
    which: impl Fn(&balancefleet_autoscaler::PartitionLag) -> bool,
) -> Option<String> {
    let (LagReading::Known(lag) | LagReading::Partial(lag)) = &input.snapshot?.lag else { return None };
    let named: Vec<i32> =
        lag.partitions.iter().filter(|partition| which(partition)).map(|found| found.partition).collect();
    (!named.is_empty()).then(|| ranges(&named))
}

fn data_loss(input: &StatusInput<'_>) -> Option<ConditionState> {
    let named = partitions_where(input, |partition| partition.lost > 0)?;
    let message =
        format!("retention deleted records of partition {named} before they were read: lengthen the topic's retention");
    Some(state("True", types::DATA_LOSS, message))
}

fn offset_ahead_of_log(input: &StatusInput<'_>) -> Option<ConditionState> {
    let named = partitions_where(input, |partition| partition.ahead_of_log)?;
    let message = format!(
        "the committed offset of partition {named} lies beyond the end of its log: the log was truncated or the topic \
         was recreated"
    );
    Some(state("True", types::OFFSET_AHEAD_OF_LOG, message))
}

fn over_capacity(old: &Status, input: &StatusInput<'_>) -> Option<ConditionState> {
    let snapshot = input.snapshot?;
    if input.deployment.is_some_and(workload::is_rolling) {
        return None;
    }
    if snapshot.group_state != Some(GroupState::Stable) {
        // During a rebalance an idle worker means nothing; the condition stays as it was until the rebalance is over.
        let before = find(old, types::OVER_CAPACITY).filter(|_| snapshot.group_state.is_some())?;
        return Some(state("True", &before.reason, &before.message));
    }
    let ours = snapshot.members.iter().filter(|member| members::is_ours(&member.client_id, &input.group.name_any()));
    let (mut all, mut idle) = (0, 0);
    for member in ours {
        all += 1;
        idle += i32::from(member.partitions.is_empty());
    }
    // A worker that has just joined waits for its first assignment. There are too many only if there are more workers
    // than partitions.
    let too_many = snapshot.partitions.is_some_and(|partitions| all > partitions);
    (idle > 0 && too_many).then(|| {
        state("True", reasons::IDLE_WORKERS, format!("{idle} of {all} workers are idle: there are fewer partitions"))
    })
}

fn replicas_contended(input: &StatusInput<'_>) -> Option<ConditionState> {
    input.contended.then(|| {
        let message = "somebody else keeps changing the Deployment's replicas: point autoscalers at this object, whose \
                       scale subresource is made for them";
        state("True", types::REPLICAS_CONTENDED, message)
    })
}

fn foreign_members(input: &StatusInput<'_>) -> Option<ConditionState> {
    let name = input.group.name_any();
    let foreign = input.snapshot?.members.iter().filter(|member| !members::is_ours(&member.client_id, &name));
    let mut names: Vec<&str> = foreign.map(|member| member.client_id.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let shown: Vec<String> = names.iter().take(3).map(|name| name.chars().take(LONGEST_NAME).collect()).collect();
    let shown = shown.join(", ");
    let agreed = input.snapshot.and_then(|seen| seen.group_assignor.as_deref());
    let ours = input.deployment.and_then(workload::assignor).map(Assignor::protocol_name);
    let kept_out = agreed.zip(ours).filter(|(agreed, ours)| agreed != ours);
    (!names.is_empty()).then(|| {
        let message = match kept_out {
            Some((agreed, ours)) => format!(
                "the group has members that are not this object's pods, with the assignor {agreed}; workers have {ours} \
                 and cannot join them, so somebody has to stop them: {shown}"
            ),
            None => format!("the group has members that are not this object's pods, and they take partitions: {shown}"),
        };
        state("True", types::FOREIGN_MEMBERS, message)
    })
}

/// All members of a group must have the same assignor, so a change has to wait.
fn assignor_change_pending(input: &StatusInput<'_>) -> Option<ConditionState> {
    let pending = input.pending?;
    // If the Deployment is gone, the problem already has the message.
    let left_by_deleted_deployment = input.problem.filter(|problem| problem.reason == types::ASSIGNOR_CHANGE_PENDING);
    let message = left_by_deleted_deployment
        .map_or_else(|| assignor::message(input.group, pending), |problem| problem.message.clone());
    Some(state("True", types::ASSIGNOR_CHANGE_PENDING, message))
}

fn worker_image_outdated(input: &StatusInput<'_>) -> Option<ConditionState> {
    let running = input.deployment.and_then(workload::image)?;
    let chosen = input.group.spec.worker.image.is_some();
    (!chosen && running != input.release_image).then(|| {
        let message = format!(
            "the workers run {running}, this release brings {}: set spec.worker.image to it to roll them",
            input.release_image
        );
        state("True", types::WORKER_IMAGE_OUTDATED, message)
    })
}
