//! The reconcile of one object: the steps in their order, the time limit, and when to requeue.

use std::{sync::Arc, time::Duration};

use balancefleet_autoscaler as autoscaler;
use balancefleet_crds::{BalanceConsumerGroup, conditions, reasons};
use jiff::Timestamp;
use kube::{Resource, ResourceExt, runtime::controller::Action};

use super::{
    apply::{self, Applied},
    assignor::{self, AssignorChoice},
    build, contention,
    desired_replicas::{self, Inputs, Plan},
    events,
    object_state::ObjectState,
    observe::{self, Observed},
    shared::{Context, MaybeInvalid, Shared, object_key, reference},
    status,
    validate::{self, Problem, Remedy, ValidatedGroup},
    workload,
};
use crate::{
    clock,
    error::{Error, Result},
    panic::catch_panic,
    poller::{ObjectKey, PollTarget},
};

/// Longer than all calls of a reconcile should take together, each within its own limit.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(60);
/// Every object is reconciled this often even if nothing triggers it: a watch may have missed something.
const RESYNC: Duration = Duration::from_secs(600);

/// Reconciles one object: takes a slot, keeps to the time limit, and records the outcome.
pub(super) async fn reconcile(object: Arc<MaybeInvalid>, context: Arc<Context>) -> Result<Action> {
    let shared = &context.shared;
    let key = object_key(&object);
    // The applier gives the object as the watch shows it; our own last status may be newer.
    let object = context.caches.groups.get(&key.namespace, &key.name).unwrap_or(object);
    let uid = object.meta().uid.clone().unwrap_or_default();
    let known = shared.object_states.load(&key, &uid);
    if let Some(left) = known.as_ref().and_then(|state| state.pause(object.meta().generation, clock::now())) {
        return Ok(Action::requeue(left));
    }
    let Ok(_slot) = shared.slots.acquire().await else { return Err(Error::CacheNotReady) };
    let mut timer = shared.metrics.start_reconcile();
    let group = match &object.0 {
        Ok(group) => group,
        Err(invalid) => {
            timer.failed("unreadable_object");
            tracing::warn!(object = %key, error = %invalid.error, "the object cannot be read and is skipped");
            // Polls would trigger it again and again, each time with an event.
            shared.lag.forget(&key);
            publish_unreadable(shared, &key, &object, &invalid.error);
            return Ok(Action::await_change());
        }
    };
    if group.metadata.deletion_timestamp.is_some() {
        // Its children are deleted with it, by their owner references; writes would only fight the garbage collector.
        return Ok(Action::await_change());
    }
    let mut state = known.unwrap_or_else(|| ObjectState::new(uid, group, clock::now()));
    state.begin(group.metadata.generation);
    let ended =
        tokio::time::timeout(RECONCILE_TIMEOUT, catch_panic(reconcile_group(&context, group, &mut state))).await;
    let result = match ended {
        Ok(Ok(result)) => result,
        Ok(Err(detail)) => Err(Error::Panicked { detail }),
        Err(_) => Err(Error::ReconcileTimeout(RECONCILE_TIMEOUT)),
    };
    match &result {
        Ok(_) => {
            state.succeeded();
            timer.succeeded();
        }
        Err(error) => timer.failed(error.category()),
    }
    shared.object_states.store(&key, state);
    forget_if_gone(&context, &key);
    result.map(Action::requeue)
}

/// Drops the state and the poll target of an object that is gone: a reconcile that was running when the object was
/// deleted has stored both again.
pub(super) fn forget_if_gone(context: &Context, key: &ObjectKey) {
    if context.caches.groups.store().get(&reference(key)).is_none() {
        context.shared.forget(key);
    }
}

/// Runs the steps. Gives the time after which to requeue although nothing has happened.
async fn reconcile_group(
    context: &Arc<Context>,
    group: &BalanceConsumerGroup,
    state: &mut ObjectState,
) -> Result<Duration> {
    let shared = &context.shared;
    let observed = observe::observe(context, group).await?;
    let choice = choose_assignor(group, &observed, state);
    let validation_context = observed.validation_context(choice.assignor, &shared.release_image);
    let (plan, outcome) = match validate::validate(group, &validation_context) {
        Ok(valid) => {
            let policy = policy(&valid);
            let inputs = inputs(group, &policy, &observed, &choice);
            let plan = desired_replicas::plan(&inputs);
            let outcome = if inputs.paused {
                Ok(untouched(&valid, &observed))
            } else if let Some(pending) = choice.pending.as_ref().filter(|_| observed.workers.is_none()) {
                // Polls show when the wait is over, so an operator that has just started must poll the group too.
                let as_it_is = untouched(&valid, &observed);
                shared.lag.register(
                    observed.key.clone(),
                    poll_target(&valid, &inputs, &plan, &as_it_is, status::saved_history(group)),
                );
                let message = status::left_by_deleted_deployment(group, pending);
                Err(Problem { reason: conditions::ASSIGNOR_CHANGE_PENDING, message, remedy: Remedy::Retry })
            } else if let Some(refused) = refused_before(state) {
                Err(refused)
            } else {
                apply::apply(context, &valid, &observed, &plan, &choice, state).await?
            };
            if let Ok(applied) = &outcome {
                shared.lag.register(
                    observed.key.clone(),
                    poll_target(&valid, &inputs, &plan, applied, status::saved_history(group)),
                );
            }
            (Some(plan), outcome)
        }
        Err(problem) => (None, Err(problem)),
    };
    let (applied, problem) = match outcome {
        Ok(applied) => (applied, None),
        Err(problem) => (Applied { deployment: observed.workers.clone(), ..Applied::default() }, Some(problem)),
    };
    if problem.as_ref().is_some_and(|problem| problem.reason == reasons::GROUP_SHARED) {
        shared.lag.forget(&observed.key);
    }
    // Published at once, not with the status: no later reconcile would know of the change if the status cannot be
    // written.
    let scaled = plan.as_ref().zip(applied.scaled).map(|(plan, change)| events::scaled(change, plan));
    let replaced = applied.replaced.map(|before| events::assignor_changed(before, choice.assignor));
    events::publish(shared, &observed.key, &group.object_ref(&()), scaled.into_iter().chain(replaced));
    let now = clock::now();
    let old = status::last_written(group);
    let input = status::StatusInput {
        group,
        deployment: applied.deployment.as_deref(),
        snapshot: observed.snapshot.as_deref(),
        plan: plan.as_ref().filter(|_| problem.is_none()),
        problem: problem.as_ref(),
        pending: choice.pending.as_ref(),
        contended: contention::is_contended(&state.reverts, now),
        release_image: &shared.release_image,
        now: Timestamp::now(),
        instant: now,
        learned_figures_due: state.learned_figures_due(&old, now),
    };
    status::write(context, group, &old, status::next(&old, &input));
    // Another problem has a backoff of its own, and while Kafka cannot be read there is nothing to wait for.
    let waits = input.problem.is_none_or(|problem| problem.reason == conditions::ASSIGNOR_CHANGE_PENDING)
        && !matches!(status::kafka_problem(input.snapshot, input.instant), Ok(Some(_)));
    let for_assignor = choice.requeue_after().filter(|_| waits).unwrap_or(Duration::MAX);
    Ok(requeue_after(&input, &applied, state).min(for_assignor))
}

/// The problem of an apply that the API server refused, while its backoff lasts: the apply is not tried again before.
fn refused_before(state: &ObjectState) -> Option<Problem> {
    let lasting = state.lasting_problem(clock::now());
    lasting.filter(|problem| problem.reason == reasons::APPLY_FAILED).cloned()
}

fn choose_assignor(group: &BalanceConsumerGroup, observed: &Observed, state: &mut ObjectState) -> AssignorChoice {
    let (workers, remaining_pods) = (observed.workers.as_deref(), observed.remaining_pods.as_ref());
    let pods: Vec<_> = observed.pods.iter().map(|pod| pod.name_any()).collect();
    assignor::evaluate(group, workers, &pods, remaining_pods, observed.snapshot.as_deref(), &mut state.no_pod)
}

fn inputs<'a>(
    group: &'a BalanceConsumerGroup,
    policy: &'a autoscaler::Policy,
    observed: &'a Observed,
    choice: &AssignorChoice,
) -> Inputs<'a> {
    let live = observed.workers.as_deref();
    let (snapshot, last_status) = (observed.snapshot.as_deref(), group.status.as_ref());
    Inputs {
        paused: group.spec.paused,
        pin: group.spec.replicas,
        dry_run: group.spec.scaling.dry_run,
        policy,
        last: live.map(workload::replicas_in_annotation),
        rolling: live.is_some_and(|live| workload::freezes_replicas(live) || choice.stops_workers()),
        decision: snapshot.map(|snapshot| &snapshot.decision),
        // Until the first poll, the last known number: after a restart no worker may be added that has nothing to read.
        partitions: snapshot.map_or_else(|| last_status.and_then(|status| status.partitions), |seen| seen.partitions),
    }
}

/// `spec.scaling` in the autoscaler's terms.
fn policy(valid: &ValidatedGroup) -> autoscaler::Policy {
    let scaling = &valid.scaling;
    autoscaler::Policy {
        min_replicas: scaling.min_replicas,
        max_replicas: scaling.max_replicas,
        lag_slo: scaling.lag_slo.get(),
        drain_within: scaling.effective_drain_within(),
        target_utilization: scaling.target_utilization,
        expected_rate_per_replica: scaling.expected_rate_per_replica,
        assignor: match valid.consumer.assignor {
            balancefleet_crds::Assignor::CooperativeSticky => autoscaler::Assignor::CooperativeSticky,
            balancefleet_crds::Assignor::Range => autoscaler::Assignor::Range,
            balancefleet_crds::Assignor::RoundRobin => autoscaler::Assignor::RoundRobin,
        },
    }
}

/// The outcome for an object whose children are not written.
fn untouched(valid: &ValidatedGroup, observed: &Observed) -> Applied {
    Applied { deployment: observed.workers.clone(), template: build::template_id(valid), ..Applied::default() }
}

/// What the poller polls from now on.
fn poll_target(
    valid: &ValidatedGroup,
    inputs: &Inputs<'_>,
    plan: &Plan,
    applied: &Applied,
    saved_history: autoscaler::SavedHistory,
) -> PollTarget {
    PollTarget {
        connection: valid.connection.clone(),
        topic: valid.topic.clone(),
        group: valid.group_id.clone(),
        start_from: match valid.consumer.start_from {
            balancefleet_crds::StartFrom::Earliest => autoscaler::StartFrom::Earliest,
            balancefleet_crds::StartFrom::Latest => autoscaler::StartFrom::Latest,
        },
        policy: inputs.policy.clone(),
        current: autoscaler::Current {
            // Not the replicas of another writer: while they are tolerated, they would look like our own decision.
            desired: applied.deployment.as_deref().map_or(plan.replicas, workload::replicas_in_annotation),
            frozen_by: inputs.frozen_by(),
            template: applied.template.clone(),
        },
        saved_history,
    }
}

/// Time until the next reconcile that nothing but time triggers.
fn requeue_after(input: &status::StatusInput<'_>, applied: &Applied, state: &mut ObjectState) -> Duration {
    let random = rand::random::<f64>();
    let retry = match input.problem {
        Some(problem) if problem.remedy == Remedy::Retry => Some(state.problem_backoff(problem, input.instant, random)),
        _ => {
            state.no_problem();
            None
        }
    };
    let grace_left = status::kafka_problem(input.snapshot, input.instant).err();
    let contention_ends_in = contention::ends_in(&state.reverts, input.instant);
    let soonest = [retry, grace_left, contention_ends_in, applied.requeue_after].into_iter().flatten().min();
    let resync = RESYNC.mul_f64(0.8 + 0.4 * random);
    soonest.map_or(resync, |soonest| soonest.min(resync))
}

/// Retries a failed reconcile after a pause that grows with every failure of this object.
pub(super) fn error_policy(object: &MaybeInvalid, error: &Error, context: &Context) -> Action {
    let key = object_key(object);
    let pause = context.shared.object_states.failed(&key, clock::now(), rand::random());
    tracing::warn!(object = %key, %error, category = error.category(), retry_in = ?pause, "reconcile failed");
    Action::requeue(pause)
}

fn publish_unreadable(shared: &Shared, key: &ObjectKey, object: &MaybeInvalid, error: &str) {
    let draft = events::Draft {
        warning: true,
        reason: reasons::INVALID_SPEC.to_owned(),
        action: "Reconcile",
        note: format!("the operator cannot read this object and leaves its workers as they are: {error}"),
    };
    events::publish(shared, key, &object.object_ref(&()), [draft]);
}
