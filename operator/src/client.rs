//! The Kubernetes client: how it finds its server, and a layer that counts every write request.

use std::task::{Context, Poll};

use axum::http::{Method, Request};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{Layer, Service};

use crate::{args::Args, controller::child_plurals, metrics::Metrics};

/// Why no client could be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A kubeconfig file could not be used.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// Neither a kubeconfig nor a service account was found.
    #[error("found neither a kubeconfig nor a service account; give --kubeconfig or run inside a cluster: {0}")]
    Infer(#[from] kube::config::InferConfigError),
    /// The configuration was found but does not make a client.
    #[error("no client for this cluster: {0}")]
    Build(#[source] kube::Error),
}

/// Creates the client that all components share.
///
/// # Errors
/// When no usable configuration is found. The server is not contacted.
pub async fn connect(args: &Args, metrics: &Metrics) -> Result<Client, ClientError> {
    counting(config(args).await?, metrics).map_err(ClientError::Build)
}

/// A client for this configuration whose writing requests are counted.
///
/// # Errors
/// When the configuration does not make a client, for example because a certificate is broken.
pub fn counting(config: Config, metrics: &Metrics) -> Result<Client, kube::Error> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&CountWrites { metrics: metrics.clone() }).build())
}

async fn config(args: &Args) -> Result<Config, ClientError> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    match (&args.kubeconfig, &args.context) {
        (Some(path), _) => Ok(Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?),
        (None, Some(_)) => Ok(Config::from_kubeconfig(&options).await?),
        (None, None) => Ok(Config::infer().await?),
    }
}

/// Counts requests that are not reads. The operator promises to write nothing at rest, and this metric shows it.
#[derive(Clone)]
struct CountWrites {
    metrics: Metrics,
}

impl<S> Layer<S> for CountWrites {
    type Service = CountingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountingService { inner, metrics: self.metrics.clone() }
    }
}

#[derive(Clone)]
struct CountingService<S> {
    inner: S,
    metrics: Metrics,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for CountingService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(verb) = writing_verb(request.method()) {
            self.metrics.api_write(verb, resource(request.uri().path()));
        }
        self.inner.call(request)
    }
}

fn writing_verb(method: &Method) -> Option<&'static str> {
    match *method {
        Method::POST => Some("create"),
        Method::PUT => Some("update"),
        Method::PATCH => Some("patch"),
        Method::DELETE => Some("delete"),
        _ => None,
    }
}

/// The resource of a path as a bounded label: `…/deployments/x` → `deployments`, `…/x/status` → `…/status`.
fn resource(path: &str) -> &'static str {
    let mut known = ["balanceconsumergroups", "events", "pods"].into_iter().chain(child_plurals());
    let mut parts = path.split('/').skip_while(|part| *part != "namespaces").skip(2);
    let name = parts.next().unwrap_or_default();
    let subresource = parts.nth(1);
    match (known.find(|known| *known == name), subresource) {
        (Some("balanceconsumergroups"), Some("status")) => "balanceconsumergroups/status",
        (Some(known), None) => known,
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_labelled_by_a_bounded_set_of_resources() {
        let status = "/apis/balancefleet.io/v1alpha1/namespaces/bank/balanceconsumergroups/x/status";
        assert_eq!(resource(status), "balanceconsumergroups/status");
        assert_eq!(resource("/apis/apps/v1/namespaces/bank/deployments/x"), "deployments");
        assert_eq!(resource("/apis/events.k8s.io/v1/namespaces/bank/events"), "events");
        assert_eq!(resource("/apis/example.com/v1/namespaces/bank/anything/x"), "other");
        assert_eq!(resource("/version"), "other");
    }

    #[test]
    fn reads_are_not_writes() {
        assert_eq!((writing_verb(&Method::GET), writing_verb(&Method::PATCH)), (None, Some("patch")));
    }
}
