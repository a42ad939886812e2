//! One connection to a worker's API, kept open; every call waits for its answer.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::error::BenchError;

/// Longer than any answer under load takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client on the calling thread alone: a hop to another thread would be part of every figure.
pub(crate) struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    base: String,
}

impl Http {
    /// To the worker at that port of this machine.
    pub(crate) fn new(port: u16) -> Result<Self, BenchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder().timeout(TIMEOUT).tcp_nodelay(true).build()?;
        Ok(Self { runtime, client, base: format!("http://127.0.0.1:{port}") })
    }

    /// Status and body of what is at `path`.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String), BenchError> {
        self.runtime.block_on(async {
            let answer = self.client.get(format!("{}{path}", self.base)).send().await?;
            let status = answer.status().as_u16();
            Ok((status, answer.text().await?))
        })
    }

    /// The JSON at `path`; any status but 200 is an error.
    pub(crate) fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, BenchError> {
        match self.get(path)? {
            (200, body) => Ok(serde_json::from_str(&body)?),
            (status, body) => Err(BenchError::Api { url: format!("{}{path}", self.base), status, body }),
        }
    }
}
