//! The CRD under a group of its own, and small words for what the tests do with it.

use std::future::Future;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use balancefleet_crds::crd::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) const MINIMAL: &str = include_str!("../../../config/samples/minimal.yaml");
pub(crate) const EVERY_FIELD: &str = include_str!("../every-field.yaml");

/// An API server that knows the CRD under the group `<test>.balancefleet.test`.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    pub(crate) group: String,
}

/// Runs a test with the CRD installed, and removes it whatever the test's end.
pub(crate) async fn with_server<F>(test: &str, body: impl FnOnce(Server) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "these tests need a cluster: set KUBECONFIG, or run `make e2e`, which brings one up"
    );
    // Fails when another test of this process was first, which is just as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_default().await.expect("KUBECONFIG names a reachable cluster");
    let server = Server { client, group: format!("{test}.balancefleet.test") };
    server.install().await;
    let outcome = tokio::spawn(body(server.clone())).await;
    let crds: Api<CustomResourceDefinition> = Api::all(server.client.clone());
    crds.delete(&server.crd_name(), &DeleteParams::default()).await.expect("the CRD can be deleted");
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Server {
    pub(crate) fn crd_name(&self) -> String {
        format!("balanceconsumergroups.{}", self.group)
    }

    /// The CRD under this server's group.
    pub(crate) fn crd(&self) -> Value {
        let mut document = json!(crd().unwrap());
        document["metadata"]["name"] = json!(self.crd_name());
        document["spec"]["group"] = json!(self.group);
        document
    }

    async fn install(&self) {
        // Each CRD makes the API server write its OpenAPI document anew: all at once take longer than one by one.
        static INSTALLING: Semaphore = Semaphore::const_new(2);
        let _turn = INSTALLING.acquire().await.expect("never closed");
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let name = self.crd_name();
        let params = PatchParams::apply("schema-test").force();
        crds.patch(&name, &params, &Patch::Apply(self.crd())).await.expect("the API server takes the CRD");
        let established = await_condition(crds, &name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established).await.expect("in 30 s").expect("established");
        // The endpoint follows the condition by a moment.
        for _ in 0..100 {
            if self.objects().list(&Default::default()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the API server does not serve {}", self.group);
    }

    pub(crate) fn objects(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(&self.group, "v1alpha1", "BalanceConsumerGroup");
        let resource = ApiResource::from_gvk_with_plural(&kind, "balanceconsumergroups");
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    /// The object of a YAML text with a merge patch over it, under this server's group.
    pub(crate) fn object(&self, yaml: &str, change: &Value) -> Value {
        let mut object: Value = serde_yaml::from_str(yaml).unwrap();
        object["apiVersion"] = json!(format!("{}/v1alpha1", self.group));
        merge(&mut object, change);
        object
    }

    pub(crate) async fn create(&self, object: Value, dry_run: bool) -> Result<DynamicObject, Error> {
        let params = PostParams { dry_run, field_manager: Some("schema-test".to_owned()) };
        self.objects().create(&params, &serde_json::from_value(object).unwrap()).await
    }

    /// A merge patch that is checked and not kept.
    pub(crate) async fn try_change(&self, name: &str, change: &Value) -> Result<DynamicObject, Error> {
        self.objects().patch(name, &PatchParams::default().dry_run(), &Patch::Merge(change)).await
    }

    /// `balanceconsumergroups.v1alpha1.<group>`: the name that kubectl cannot mistake for an installed CRD's.
    pub(crate) fn resource(&self) -> String {
        format!("balanceconsumergroups.v1alpha1.{}", self.group)
    }
}

/// What the API server says when it refuses.
pub(crate) fn refusal<T>(answer: Result<T, Error>) -> Option<String> {
    match answer {
        Ok(_) => None,
        Err(Error::Api(status)) => Some(status.message),
        Err(other) => panic!("not an answer of the API server: {other}"),
    }
}

/// RFC 7386.
pub(crate) fn merge(target: &mut Value, change: &Value) {
    let Some(change) = change.as_object() else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in change {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

/// Runs kubectl with a manifest on its standard input; gives (standard output, standard error).
pub(crate) fn kubectl(arguments: &[&str], manifest: &Value) -> (String, String) {
    let output = kubectl_output(arguments, manifest);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kubectl {arguments:?}: {err}");
    (out.into_owned(), err.into_owned())
}

fn kubectl_output(arguments: &[&str], manifest: &Value) -> Output {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is on the PATH");
    // A command that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(manifest.to_string().as_bytes());
    child.wait_with_output().unwrap()
}
