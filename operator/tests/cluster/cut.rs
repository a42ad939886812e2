//! A client that dies at a chosen write: that write and all requests after it fail, as when the process is killed
//! between two of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
};

use axum::http::{Method, Request};
use balancefleet_operator::metrics::Metrics;
use futures::future::{Either, Ready, ready};
use kube::{
    Client,
    client::{Body, ClientBuilder},
};
use tower::{BoxError, Layer, Service};

use crate::support::{Operator, operator_config};

/// How many writes are left before the end; below zero it has come.
#[derive(Clone)]
pub(crate) struct Fuse(Arc<AtomicI64>);

impl Fuse {
    pub(crate) fn has_blown(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }
}

/// An operator that dies at its write number `writes` (from 0).
pub(crate) async fn start(namespace: &str, writes: i64, image: &str) -> (Operator, Fuse) {
    let fuse = Fuse(Arc::new(AtomicI64::new(writes)));
    let client: Client = ClientBuilder::try_from(operator_config().await).unwrap().with_layer(&fuse).build();
    (Operator::start_with(client, Metrics::default(), namespace, image), fuse)
}

impl<S> Layer<S> for Fuse {
    type Service = Fused<S>;

    fn layer(&self, inner: S) -> Fused<S> {
        Fused { inner, fuse: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Fused<S> {
    inner: S,
    fuse: Fuse,
}

impl<S: Service<Request<Body>, Error = BoxError>> Service<Request<Body>> for Fused<S> {
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<S::Future, Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let writes = request.method() != Method::GET;
        if self.fuse.has_blown() || (writes && self.fuse.0.fetch_sub(1, Ordering::SeqCst) <= 0) {
            return Either::Right(ready(Err("killed".into())));
        }
        Either::Left(self.inner.call(request))
    }
}
