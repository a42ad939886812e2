//! A namespace, an operator in this process, and objects, for one test.

use std::{fmt::Debug, future::Future, sync::OnceLock, time::Duration};

use balancefleet_crds::{BalanceConsumerGroup, crd::crd};
use balancefleet_operator::{
    client::counting,
    controller::{self, Scope, Shared},
    health::Health,
    metrics::Metrics,
    poller::LagRegistry,
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::Namespace,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// No worker ever starts from it.
pub(crate) const IMAGE: &str = "balancefleet/no-such-image:test";
pub(crate) const OPERATOR_USER: &str = "balancefleet-tests-operator";
const PATIENCE: Duration = Duration::from_secs(135);

/// An operator in this process that watches one namespace, with no more rights than an installed one has.
pub(crate) struct Operator {
    metrics: Metrics,
    pub(crate) health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    pub(crate) async fn start(namespace: &str) -> Self {
        let metrics = Metrics::default();
        let client = counting(operator_config().await, &metrics).unwrap();
        Self::start_with(client, metrics, namespace, IMAGE)
    }

    /// With a client of its own making, as the release that brings `image`.
    pub(crate) fn start_with(client: Client, metrics: Metrics, namespace: &str, image: &str) -> Self {
        Self::start_in(client, metrics, &[namespace], image)
    }

    /// The same for several namespaces.
    pub(crate) fn start_in(client: Client, metrics: Metrics, namespaces: &[&str], image: &str) -> Self {
        let (lag, triggers) = LagRegistry::new();
        let shared = Shared::new(client, lag, metrics.clone(), image.to_owned(), None);
        let (stop, health) = (CancellationToken::new(), Health::default());
        let scopes = namespaces.iter().map(|name| Scope::Namespace((*name).to_owned())).collect();
        let task = tokio::spawn(controller::run(shared, scopes, triggers, health.clone(), stop.clone()));
        Self { metrics, health, stop, task }
    }

    pub(crate) fn writes(&self) -> u64 {
        self.metrics.total_api_writes()
    }

    /// Waits until nothing has been written for so long, and gives the number of writes.
    pub(crate) async fn settled(&self, quiet: Duration) -> u64 {
        loop {
            let before = self.writes();
            tokio::time::sleep(quiet).await;
            if self.writes() == before {
                return before;
            }
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As `kill -9` would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A namespace that goes when the test ends well; one that failed is left to look at.
pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Site {
    pub(crate) async fn new(test: &str) -> Self {
        let client = Client::try_from(config().await).unwrap();
        install_crd(&client).await;
        let object =
            json!({"metadata": {"generateName": format!("operator-{test}-"), "labels": {"balancefleet.test": "1"}}});
        let namespace: Namespace = serde_json::from_value(object).unwrap();
        let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        Self { client, namespace: made.name_any() }
    }

    pub(crate) async fn close(self) {
        let api = Api::<Namespace>::all(self.client.clone());
        api.delete(&self.namespace, &DeleteParams::background()).await.unwrap();
    }

    pub(crate) fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object of a fleet that has `spec` over the smallest one.
    pub(crate) async fn create(&self, name: &str, spec: Value) -> BalanceConsumerGroup {
        let mut object = json!({
            "apiVersion": "balancefleet.io/v1alpha1", "kind": "BalanceConsumerGroup", "metadata": {"name": name},
            "spec": {
                // A port where nobody listens: the object says so, and its children are there nevertheless.
                "kafka": {"bootstrapServers": "127.0.0.1:9", "topic": "banking.transactions"},
                "worker": {"imagePullPolicy": "Never"},
            },
        });
        merge(&mut object["spec"], spec);
        let object = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    /// Changes an object as a person would.
    pub(crate) async fn edit<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let params = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
        self.api::<K>().patch(name, &params, &Patch::Merge(&patch)).await.unwrap()
    }

    pub(crate) async fn get<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>().get_opt(name).await.unwrap()
    }

    /// Waits until the object's child or the object itself is as promised, and gives it.
    pub(crate) async fn until<K>(&self, name: &str, promise: &str, kept: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        eventually(promise, || async { self.get::<K>(name).await.filter(|object| kept(object)) }).await
    }

    /// Waits for a condition to have this status and reason.
    pub(crate) async fn until_condition(
        &self,
        name: &str,
        condition: &str,
        status: &str,
        reason: &str,
    ) -> BalanceConsumerGroup {
        let promise = format!("{name} has {condition}={status}/{reason}");
        self.until(name, &promise, |group| {
            find_condition(group, condition).is_some_and(|(found, why, _)| found == status && why == reason)
        })
        .await
    }

    /// Waits for the Deployment to ask for so many workers.
    pub(crate) async fn until_replicas(&self, name: &str, replicas: i32) -> Deployment {
        let promise = format!("{name} has {replicas} workers");
        self.until(name, &promise, |deployment: &Deployment| {
            deployment.spec.as_ref().and_then(|spec| spec.replicas) == Some(replicas)
        })
        .await
    }
}

/// Status, reason and message of a condition.
pub(crate) fn find_condition(group: &BalanceConsumerGroup, name: &str) -> Option<(String, String, String)> {
    let found = group.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == name)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(promise: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("not kept within {} s: {promise}", PATIENCE.as_secs()),
    }
}

/// What of an object is ours: without what every object has its own of.
pub(crate) fn essence(object: &impl Serialize, name: &str) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    for own in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"] {
        value["metadata"].as_object_mut().unwrap().remove(own);
    }
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove(field);
        }
    }
    value["metadata"]["ownerReferences"][0]["uid"] = Value::Null;
    value["metadata"]["annotations"]["balancefleet.io/intent"] = Value::Null;
    value["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = Value::Null;
    value.as_object_mut().unwrap().remove("status");
    serde_json::from_str(&value.to_string().replace(name, "NAME")).unwrap()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

pub(crate) async fn config() -> Config {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if let Ok(level) = std::env::var("LOG_LEVEL") {
            let _ = balancefleet_operator::logging::start(&level, balancefleet_operator::args::LogFormat::Text);
        }
    });
    Config::infer().await.unwrap()
}

/// As the user who is bound to the rules that are installed with the operator.
pub(crate) async fn operator_config() -> Config {
    let mut config = config().await;
    config.auth_info.impersonate = Some(OPERATOR_USER.to_owned());
    config
}

/// The rules as they are installed, for a user of these tests.
async fn install_rules(client: &Client) {
    const RULES: &str = include_str!("../../../config/rbac/operator.yaml");
    let params = PatchParams::apply("balancefleet-tests").force();
    let first = serde_yaml::Deserializer::from_str(RULES).next().unwrap();
    let mut role = ClusterRole::deserialize(first).unwrap();
    role.metadata = ObjectMeta { name: Some(OPERATOR_USER.to_owned()), ..ObjectMeta::default() };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": OPERATOR_USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": OPERATOR_USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR_USER}],
    });
    Api::<ClusterRole>::all(client.clone()).patch(OPERATOR_USER, &params, &Patch::Apply(&role)).await.unwrap();
    let bindings = Api::<ClusterRoleBinding>::all(client.clone());
    bindings.patch(OPERATOR_USER, &params, &Patch::Apply(&binding)).await.unwrap();
}

async fn install_crd(client: &Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(|| async {
            let api = Api::<CustomResourceDefinition>::all(client.clone());
            let crd = crd().unwrap();
            let params = PatchParams::apply("balancefleet-tests").force();
            api.patch(&crd.name_any(), &params, &Patch::Apply(&crd)).await.unwrap();
            install_rules(client).await;
            eventually("the CRD is established", || async {
                let list = Api::<BalanceConsumerGroup>::all(client.clone()).list(&Default::default()).await;
                list.ok().map(drop)
            })
            .await;
        })
        .await;
}
