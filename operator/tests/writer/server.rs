//! An API server in memory: it keeps what is applied, tells watches of objects about edits, notes every write with its
//! time, and is as slow or as broken as a test wants it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{Method, Request, Response},
};
use futures::{StreamExt, stream};
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tower::service_fn;

pub(crate) const NAMESPACE: &str = "bank";
const GROUPS: &str = "balanceconsumergroups";

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Well,
    After(Duration),
    Code(u16),
    Never,
}

/// A request that writes.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) at: Instant,
    /// The resource, its name and its subresource, e.g. `deployments/shop`.
    pub(crate) what: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    version: u64,
    groups: BTreeMap<String, Value>,
    children: BTreeMap<String, Value>,
    watches: Vec<UnboundedSender<Value>>,
    writes: Vec<Write>,
}

/// Answers by method and by what is asked for.
type Behaviour = Arc<dyn Fn(&Method, &str) -> Answer + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    behaviour: Behaviour,
}

impl Server {
    pub(crate) fn new(behaviour: impl Fn(&Method, &str) -> Answer + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), behaviour: Arc::new(behaviour) }
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let answer = move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        };
        Client::new(service_fn(answer), NAMESPACE)
    }

    /// Makes an object, or changes it as a person would: `spec` replaces the whole one.
    pub(crate) fn put(&self, name: &str, spec: &Value) {
        let mut state = self.state.lock();
        let generation = state.groups.get(name).map_or(0, |known| known["metadata"]["generation"].as_i64().unwrap());
        let object = json!({
            "apiVersion": "balancefleet.io/v1alpha1", "kind": "BalanceConsumerGroup",
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": name, "generation": generation + 1,
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": spec,
        });
        state.keep(name, object);
    }

    /// Makes a child or a Secret, e.g. `secrets/ca`.
    pub(crate) fn put_other(&self, what: &str, object: Value) {
        self.state.lock().children.insert(what.to_owned(), object);
    }

    /// Changes an object in a way that means nothing, which makes the operator look at it.
    pub(crate) fn touch(&self, name: &str) {
        let mut state = self.state.lock();
        let mut object = state.groups[name].clone();
        object["metadata"]["annotations"]["touched"] = state.version.to_string().into();
        state.keep(name, object);
    }

    pub(crate) fn group(&self, name: &str) -> Value {
        self.state.lock().groups[name].clone()
    }

    /// The writes about what ends so.
    pub(crate) fn writes(&self, what: &str) -> Vec<Write> {
        self.state.lock().writes.iter().filter(|write| write.what.ends_with(what)).cloned().collect()
    }

    async fn answer(&self, request: Request<kube::client::Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        let (_, path) = parts.uri.path().split_once("/namespaces/").unwrap();
        let (_, what) = path.split_once('/').unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if parts.method != Method::GET {
            let at = tokio::time::Instant::now().into_std();
            self.state.lock().writes.push(Write { at, what: what.to_owned(), body: body.clone() });
        }
        match (self.behaviour)(&parts.method, what) {
            Answer::Well => {}
            Answer::After(time) => tokio::time::sleep(time).await,
            Answer::Code(code) => return status(code),
            Answer::Never => std::future::pending().await,
        }
        let query = parts.uri.query().unwrap_or_default();
        let mut state = self.state.lock();
        match (&parts.method, what.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, [resource]) if query.contains("watch=") => state.watch(resource),
            (&Method::GET, [resource]) => state.list(resource),
            (&Method::GET, _) => state.children.get(what).map_or_else(|| status(404), found),
            (&Method::PATCH, [GROUPS, name, "status"]) => {
                let mut object = state.groups[*name].clone();
                object["status"] = body["status"].clone();
                found(&state.keep(name, object))
            }
            (&Method::PATCH, _) => {
                let mut object = body;
                state.version += 1;
                object["metadata"]["resourceVersion"] = state.version.to_string().into();
                state.children.insert(what.to_owned(), object.clone());
                found(&object)
            }
            _ => found(&body),
        }
    }
}

impl State {
    fn keep(&mut self, name: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let kind = if self.groups.contains_key(name) { "MODIFIED" } else { "ADDED" };
        self.groups.insert(name.to_owned(), object.clone());
        let event = json!({"type": kind, "object": object});
        self.watches.retain(|watch| watch.send(event.clone()).is_ok());
        object
    }

    fn list(&self, resource: &str) -> Response<Body> {
        let items: Vec<&Value> = if resource == GROUPS { self.groups.values().collect() } else { Vec::new() };
        found(&json!({
            "apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": self.version.to_string()},
            "items": items,
        }))
    }

    /// Nothing happens to children that the operator has not done itself.
    fn watch(&mut self, resource: &str) -> Response<Body> {
        let (sender, receiver) = unbounded_channel::<Value>();
        let kept = if resource == GROUPS {
            self.watches.push(sender);
            None
        } else {
            Some(sender)
        };
        let lines = stream::unfold((receiver, kept), |(mut receiver, kept)| async move {
            let line = format!("{}\n", receiver.recv().await?);
            Some((Ok::<_, Infallible>(Bytes::from(line)), (receiver, kept)))
        });
        Response::new(Body::from_stream(lines.boxed()))
    }
}

fn found(object: &Value) -> Response<Body> {
    Response::new(Body::from(object.to_string()))
}

fn status(code: u16) -> Response<Body> {
    let reason = if code == 404 { "NotFound" } else { "Unknown" };
    let object = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": "no"});
    Response::builder().status(code).body(Body::from(object.to_string())).unwrap()
}
