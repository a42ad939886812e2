//! Runs the passes of one scope until told to stop, and the tasks beside them.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

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
    shared::{CONCURRENCY, Common, Context, Guarded, reference},
    validate::{key_of, referenced_secrets},
    watches,
};
use crate::{
    error::{Error, call, status_code},
    health::Health,
    poller::{GroupKey, Triggers},
};

/// An object that cannot exist is sent through queue, scheduler and runner; when it comes out, the loop turns.
const CANARY: &str = "the loop turns";
const CANARY_EVERY: Duration = Duration::from_secs(10);
/// Secrets are read again this often; nothing else announces their change.
const SECRETS_EVERY: Duration = Duration::from_secs(60);

/// Watches and reconciles these scopes until `stop` is cancelled and the passes that were running have ended. Cancels it
/// when one of its parts ends by itself.
pub async fn run(common: Arc<Common>, scopes: Vec<Scope>, woken: Triggers, health: Health, stop: CancellationToken) {
    common.first_lists.expect(scopes.iter().map(Scope::to_string));
    let mut tasks = JoinSet::new();
    let mut routes = Vec::new();
    for scope in scopes {
        let (sender, receiver) = unbounded_channel();
        routes.push((scope.clone(), sender));
        health.set_waiting(&scope.to_string(), "its first lists");
        tasks.spawn(serve(scope, Arc::clone(&common), receiver, health.clone(), stop.clone()));
    }
    let routes = Arc::new(routes);
    tasks.spawn(forward(woken, Arc::clone(&routes), stop.clone()));
    tasks.spawn(sweep_secrets(common, routes, stop.clone()));
    // None of these ends before it is told to: if one does, the others must not go on as if nothing had happened.
    while let Some(ended) = tasks.join_next().await {
        if !stop.is_cancelled() {
            tracing::error!(?ended, "a part of the controller has ended by itself");
            stop.cancel();
        }
    }
}

/// Waits until the objects of a scope can be listed, however long that takes: the custom resource definition may be
/// installed later, and the right to read a namespace given later. False if told to stop before.
async fn can_be_listed(common: &Common, scope: &Scope, health: &Health, stop: &CancellationToken) -> bool {
    let (api, name) = (scope.api::<Guarded>(&common.client), scope.to_string());
    let mut said = String::new();
    loop {
        let reason = match call("list BalanceConsumerGroups", api.list_metadata(&ListParams::default().limit(1))).await
        {
            Ok(_) => {
                health.set_waiting(&name, "its first lists");
                return true;
            }
            Err(error) => why_not(common, &name, &error),
        };
        health.set_waiting(&name, format!("waiting: {reason}"));
        health.beat(&name, Instant::now());
        if reason != said {
            tracing::warn!(%scope, reason, "waiting");
            said = reason;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = stop.cancelled() => return false,
        }
    }
}

fn why_not(common: &Common, scope: &str, error: &Error) -> String {
    let code = match error {
        Error::Api { source, .. } => status_code(source),
        _ => None,
    };
    if let Some(403 | 404) = code {
        // A person has to act: the other scopes do not wait for that.
        common.first_lists.heard(scope);
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
    common: Arc<Common>,
    wakes: UnboundedReceiver<GroupKey>,
    health: Health,
    stop: CancellationToken,
) {
    if !can_be_listed(&common, &scope, &health, &stop).await {
        return;
    }
    let name = scope.to_string();
    let (caches, changes) = watches::start(&scope, &common);
    let store = caches.groups.store().clone();
    let context = Arc::new(Context { common: Arc::clone(&common), caches });
    let queue = queue(changes, wakes).take_until(stop.clone().cancelled_owned()).map(Ok::<_, Infallible>);
    let config = Config::default().concurrency(CONCURRENCY);
    let run = |object, context| reconcile(object, context).boxed();
    let failed = |object: Arc<Guarded>, error: &Error, context: Arc<Context>| error_policy(&object, error, &context);
    let mut passes = Box::pin(applier(run, failed, Arc::clone(&context), store, queue, config));
    let mut filled = Box::pin(common.first_lists.hear(&name, context.caches.listed())).fuse();
    let mut ready = false;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            ended = passes.next() => match ended {
                None => break,
                Some(Err(ControllerError::ObjectNotFound(gone))) => match key_of_reference(&gone) {
                    canary if canary.name == CANARY => health.beat(&name, Instant::now()),
                    // It went while it waited; a pass that ran meanwhile may have registered it again.
                    key => forget_if_gone(&context, &key),
                },
                Some(Err(ControllerError::ReconcilerFailed(..)) | Ok(_)) => {}
                Some(Err(error)) => tracing::error!(%scope, %error, "the queue of objects is broken"),
            },
            listed = &mut filled => {
                ready = listed.is_ok();
                if ready {
                    health.set_ready(&name);
                    tracing::info!(%scope, "watching");
                }
            }
            // Before the first list the applier holds everything back, also its own end.
            () = stop.cancelled(), if !ready => break,
            _ = tick.tick() => {
                common.metrics.set_in_backoff(common.memories.in_backoff());
                // An API server that is away keeps the first list from coming, and the passes from running.
                if !ready {
                    health.beat(&name, Instant::now());
                }
            }
        }
    }
    health.retire(&name);
}

fn key_of_reference(reference: &ObjectRef<DynamicObject>) -> GroupKey {
    GroupKey { namespace: reference.namespace.clone().unwrap_or_default(), name: reference.name.clone() }
}

/// Everything that asks for a pass.
fn queue(
    changes: impl Stream<Item = ObjectRef<Guarded>> + Send + 'static,
    wakes: UnboundedReceiver<GroupKey>,
) -> impl Stream<Item = ReconcileRequest<Guarded>> {
    let wakes =
        stream::unfold(wakes, |mut wakes| async move { wakes.recv().await.map(|key| (reference(&key), wakes)) });
    let canary = stream::unfold((), |()| async {
        tokio::time::sleep(CANARY_EVERY).await;
        Some((ObjectRef::new(CANARY).within(CANARY), ()))
    });
    stream::select_all([changes.boxed(), wakes.boxed(), canary.boxed()]).map(ReconcileRequest::from)
}

type Routes = Arc<Vec<(Scope, UnboundedSender<GroupKey>)>>;

fn wake(routes: &Routes, key: &GroupKey) {
    for (_, sender) in routes.iter().filter(|(scope, _)| in_scope(scope, key)) {
        // Fails only after that scope has ended, which ends everything.
        let _ = sender.send(key.clone());
    }
}

/// Hands the poller's wake-ups to the scope they belong to.
async fn forward(mut woken: Triggers, routes: Routes, stop: CancellationToken) {
    loop {
        tokio::select! {
            key = woken.next() => match key {
                Some(key) => wake(&routes, &key),
                None => return,
            },
            () = stop.cancelled() => return,
        }
    }
}

/// Reads every referenced Secret again and wakes the objects that name one that changed.
async fn sweep_secrets(common: Arc<Common>, routes: Routes, stop: CancellationToken) {
    loop {
        let pause = SECRETS_EVERY.mul_f64(0.9 + 0.2 * rand::random::<f64>());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let objects = common.all_groups();
        let named: Vec<_> = objects.iter().filter_map(|object| object.0.as_ref().ok()).map(named_secrets).collect();
        let wanted: BTreeSet<_> = named.iter().flat_map(|(_, names)| names.iter().cloned()).collect();
        let changed: BTreeSet<_> = common.secrets.sweep(&wanted).await.into_iter().collect();
        for (key, _) in named.iter().filter(|(_, names)| names.iter().any(|name| changed.contains(name))) {
            wake(&routes, key);
        }
    }
}

fn named_secrets(group: &BalanceConsumerGroup) -> (GroupKey, Vec<(String, String)>) {
    let key = key_of(group);
    let names = referenced_secrets(group).into_iter().map(|name| (key.namespace.clone(), name)).collect();
    (key, names)
}
