//! The Secrets that objects name: read by name, never watched. Each is read once a minute, however many objects share
//! it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use crate::error::{Error, Result, call, status_code};

/// An absent Secret is read again after this time, which is shorter than the shortest retry of an object that waits for
/// it.
const ABSENT_FOR: Duration = Duration::from_secs(10);
/// Reads in flight during a refresh.
const AT_ONCE: usize = 4;

/// What reading a Secret gave. `Debug` shows no values.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum SecretReading {
    /// It is there.
    Found {
        /// Changes with every write.
        resource_version: String,
        /// Its keys and values.
        data: Arc<BTreeMap<String, Vec<u8>>>,
    },
    /// There is no Secret of that name.
    Missing,
    /// The operator may not read it.
    Forbidden,
}

impl fmt::Debug for SecretReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { resource_version, .. } => write!(f, "Found({resource_version})"),
            Self::Missing => f.write_str("Missing"),
            Self::Forbidden => f.write_str("Forbidden"),
        }
    }
}

/// Namespace and name of a Secret.
pub(super) type SecretName = (String, String);

/// The readings of all referenced Secrets. Cloning shares.
#[derive(Clone)]
pub(super) struct SecretCache {
    client: Client,
    readings: Arc<Mutex<HashMap<SecretName, (Instant, SecretReading)>>>,
}

impl SecretCache {
    /// An empty cache.
    pub(super) fn new(client: Client) -> Self {
        Self { client, readings: Arc::default() }
    }

    /// The Secret as of the last refresh; read now if it is not known or was absent.
    ///
    /// # Errors
    /// When the API server gives no answer that says whether the Secret exists.
    pub(super) async fn get(&self, name: &SecretName) -> Result<SecretReading> {
        if let Some((at, reading)) = self.readings.lock().get(name) {
            let present = matches!(reading, SecretReading::Found { .. });
            if present || at.elapsed() < ABSENT_FOR {
                return Ok(reading.clone());
            }
        }
        self.read(name).await
    }

    /// Reads every wanted Secret again, forgets the others, and gives those that changed.
    pub(super) async fn refresh(&self, wanted: &BTreeSet<SecretName>) -> Vec<SecretName> {
        self.readings.lock().retain(|name, _| wanted.contains(name));
        stream::iter(wanted.clone())
            .map(|name| async move {
                let before = self.readings.lock().get(&name).map(|(_, reading)| reading.clone());
                match self.read(&name).await {
                    Ok(now) if before.as_ref() != Some(&now) => Some(name),
                    Ok(_) => None,
                    Err(error) => {
                        // The last reading stays valid: an unreachable API server must not stop workers.
                        tracing::warn!(namespace = name.0, secret = name.1, %error, "cannot read a Secret again");
                        None
                    }
                }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    async fn read(&self, name: &SecretName) -> Result<SecretReading> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &name.0);
        let reading = match call(format!("read Secret {}", name.1), api.get(&name.1)).await {
            Ok(secret) => SecretReading::Found {
                resource_version: secret.resource_version().unwrap_or_default(),
                data: Arc::new(
                    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect(),
                ),
            },
            Err(Error::Api { source, .. }) if status_code(&source) == Some(404) => SecretReading::Missing,
            Err(Error::Api { source, .. }) if status_code(&source) == Some(403) => SecretReading::Forbidden,
            Err(error) => return Err(error),
        };
        self.readings.lock().insert(name.clone(), (Instant::now(), reading.clone()));
        Ok(reading)
    }
}
