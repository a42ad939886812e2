//! Runs the reconciles of every scope until stopped, and the tasks beside them.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use balancefleet_crds::BalanceConsumerGroup;
use futures::{FutureExt, Stream, StreamExt, stream};
use kube::{
    api::{DynamicObject, ListParams},
    runtime::{
        applier,
        controller::{Config, Error as ControllerError, ReconcileRequest},
        reflector::ObjectRef,
    },
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    reconcile::{error_policy, forget_if_gone, reconcile},
    scope::{Scope, in_scope},
    shared::{CONCURRENCY, Context, MaybeInvalid, Shared, reference},
    validate::{key_of, referenced_secrets},
    watches::{self, ServedKinds},
};
use crate::{
    clock,
    error::{Error, call, status_code},
    health::Health,
    poller::{ObjectKey, Triggers},
};

/// The liveness canary: the key of an object that cannot exist goes through queue, scheduler and runner every
/// [`CANARY_EVERY`]. When it comes out as not found, the scope's loop is alive.
const CANARY: &str = "liveness canary";
const CANARY_EVERY: Duration = Duration::from_secs(10);
/// Secrets are read again this often, because nothing announces their change.
const SECRETS_EVERY: Duration = Duration::from_secs(60);

/// Watches and reconciles these scopes until `stop` is cancelled and the reconciles that were running have ended.
/// Cancels it when one of its tasks exits by itself.
pub async fn run(shared: Arc<Shared>, scopes: Vec<Scope>, triggers: Triggers, health: Health, stop: CancellationToken) {
    shared.initial_sync.expect_scopes(scopes.iter().map(Scope::to_string));
    let mut tasks = JoinSet::new();
    let mut queues = Vec::new();
    for scope in scopes {
        let (sender, receiver) = unbounded_channel();
        queues.push((scope.clone(), sender));
        health.set_waiting(&scope.to_string(), "its first lists");
        tasks.spawn(serve(scope, Arc::clone(&shared), receiver, health.clone(), stop.clone()));
    }
    let queues = Arc::new(queues);
    tasks.spawn(forward(triggers, Arc::clone(&queues), stop.clone()));
    tasks.spawn(refresh_secrets(Arc::clone(&shared), queues, stop.clone()));
    // The writer stops last: reconciles that are still running need it.
    let last = CancellationToken::new();
    tasks.spawn(shared.writer.clone().run(health, last.clone()));
    // None of these tasks should exit before `stop`. If one does, the others are stopped.
    while let Some(ended) = tasks.join_next().await {
        if !stop.is_cancelled() {
            tracing::error!(?ended, "a task of the controller exited by itself");
            stop.cancel();
        }
        if tasks.len() == 1 {
            last.cancel();
        }
    }
}

/// Waits until the objects of a scope can be listed, without a time limit: the custom resource definition may be
/// installed later, and the right to read a namespace granted later. Gives the kinds of children that the cluster has;
/// `None` if stopped before.
async fn can_be_listed(
    shared: &Shared,
    scope: &Scope,
    health: &Health,
    stop: &CancellationToken,
) -> Option<ServedKinds> {
    let (api, name) = (scope.api::<MaybeInvalid>(&shared.client, &()), scope.to_string());
    let mut logged = String::new();
    loop {
        let kinds = async {
            call("list BalanceConsumerGroups", api.list_metadata(&ListParams::default().limit(1))).await?;
            watches::served_kinds(&shared.client).await
        };
        let reason = match kinds.await {
            Ok(kinds) => {
                health.set_waiting(&name, "its first lists");
                return Some(kinds);
            }
            Err(error) => why_not(shared, &name, &error),
        };
        health.set_waiting(&name, format!("waiting: {reason}"));
        health.beat(&name, clock::now());
        if reason != logged {
            tracing::warn!(%scope, reason, "waiting");
            logged = reason;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = stop.cancelled() => return None,
        }
    }
}

fn why_not(shared: &Shared, scope: &str, error: &Error) -> String {
    let code = match error {
        Error::Api { source, .. } => status_code(source),
        _ => None,
    };
    if let Some(403 | 404) = code {
        // A user has to act; the other scopes do not wait for it.
        shared.initial_sync.mark_synced(scope);
    }
    if code == Some(404) {
        return "the custom resource definition balanceconsumergroups.balancefleet.io is not installed: install the \
                chart balancefleet-crds"
            .to_owned();
    }
    error.to_string()
}

async fn serve(
    scope: Scope,
    shared: Arc<Shared>,
    triggers: UnboundedReceiver<ObjectKey>,
    health: Health,
    stop: CancellationToken,
) {
    let Some(kinds) = can_be_listed(&shared, &scope, &health, &stop).await else { return };
    let name = scope.to_string();
    let (caches, changes) = watches::start(&scope, &shared, &kinds);
    let store = caches.groups.store().clone();
    let context = Arc::new(Context { shared: Arc::clone(&shared), caches });
    let queue = queue(changes, triggers).take_until(stop.clone().cancelled_owned()).map(Ok::<_, Infallible>);
    let config = Config::default().concurrency(CONCURRENCY);
    let run = |object, context| reconcile(object, context).boxed();
    let failed =
        |object: Arc<MaybeInvalid>, error: &Error, context: Arc<Context>| error_policy(&object, error, &context);
    let mut reconciles = Box::pin(applier(run, failed, Arc::clone(&context), store, queue, config));
    let mut filled = Box::pin(shared.initial_sync.wait_for_scope(&name, context.caches.listed())).fuse();
    let mut ready = false;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            ended = reconciles.next() => match ended {
                None => break,
                Some(Err(ControllerError::ObjectNotFound(gone))) => match key_of_reference(&gone) {
                    canary if canary.name == CANARY => health.beat(&name, clock::now()),
                    // It was deleted while queued; a reconcile that ran at that time may have registered it again.
                    key => forget_if_gone(&context, &key),
                },
                // As good as the canary, which may have to wait behind many reconciles.
                Some(Err(ControllerError::ReconcilerFailed(..)) | Ok(_)) => health.beat(&name, clock::now()),
                Some(Err(error)) => tracing::error!(%scope, %error, "the reconcile queue failed"),
            },
            listed = &mut filled => {
                ready = listed.is_ok();
                if ready {
                    health.set_ready(&name);
                    tracing::info!(%scope, "watching");
                }
            }
            // Before the first list the applier yields nothing and does not end.
            () = stop.cancelled(), if !ready => break,
            _ = tick.tick() => {
                shared.metrics.set_in_backoff(shared.in_backoff());
                // Without an API server there is no first list and no reconcile; a restart would not help. While every
                // slot is taken, reconciles of other scopes may go first; each slot is released within its time limit.
                if !ready || shared.slots.available_permits() == 0 {
                    health.beat(&name, clock::now());
                }
            }
        }
    }
    health.retire(&name);
}

fn key_of_reference(reference: &ObjectRef<DynamicObject>) -> ObjectKey {
    ObjectKey { namespace: reference.namespace.clone().unwrap_or_default(), name: reference.name.clone() }
}

/// Everything that triggers a reconcile.
fn queue(
    changes: impl Stream<Item = ObjectRef<MaybeInvalid>> + Send + 'static,
    triggers: UnboundedReceiver<ObjectKey>,
) -> impl Stream<Item = ReconcileRequest<MaybeInvalid>> {
    let triggers =
        stream::unfold(
            triggers,
            |mut triggers| async move { triggers.recv().await.map(|key| (reference(&key), triggers)) },
        );
    let canary = stream::unfold((), |()| async {
        tokio::time::sleep(CANARY_EVERY).await;
        Some((ObjectRef::new(CANARY).within(CANARY), ()))
    });
    stream::select_all([changes.boxed(), triggers.boxed(), canary.boxed()]).map(ReconcileRequest::from)
}

/// The queue of each scope, into which a trigger of one of its objects goes.
type TriggerQueues = Arc<Vec<(Scope, UnboundedSender<ObjectKey>)>>;

fn trigger(queues: &TriggerQueues, key: &ObjectKey) {
    for (_, sender) in queues.iter().filter(|(scope, _)| in_scope(scope, key)) {
        // Fails only after that scope has ended, which stops the whole controller.
        let _ = sender.send(key.clone());
    }
}

/// Forwards the poller's triggers to the scope they belong to.
async fn forward(mut triggers: Triggers, queues: TriggerQueues, stop: CancellationToken) {
    loop {
        tokio::select! {
            key = triggers.next() => match key {
                Some(key) => trigger(&queues, &key),
                None => return,
            },
            () = stop.cancelled() => return,
        }
    }
}

/// Reads every referenced Secret again and triggers the objects that name one that changed.
async fn refresh_secrets(shared: Arc<Shared>, queues: TriggerQueues, stop: CancellationToken) {
    loop {
        let pause = SECRETS_EVERY.mul_f64(0.9 + 0.2 * rand::random::<f64>());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let objects = shared.all_groups();
        let named: Vec<_> = objects.iter().filter_map(|object| object.0.as_ref().ok()).map(named_secrets).collect();
        let wanted: BTreeSet<_> = named.iter().flat_map(|(_, names)| names.iter().cloned()).collect();
        let changed: BTreeSet<_> = shared.secrets.refresh(&wanted).await.into_iter().collect();
        for (key, _) in named.iter().filter(|(_, names)| names.iter().any(|name| changed.contains(name))) {
            trigger(&queues, key);
        }
    }
}

fn named_secrets(group: &BalanceConsumerGroup) -> (ObjectKey, Vec<(String, String)>) {
    let key = key_of(group);
    let names = referenced_secrets(group).into_iter().map(|name| (key.namespace.clone(), name)).collect();
    (key, names)
}
