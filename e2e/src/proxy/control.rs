//! What a test does with the proxy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::faults::{Fault, Held};
use super::listeners::Listeners;
use super::rules::{Direction, Effect, Rule, Which};
use super::shared::Shared;
use super::{Api, HOST, ProxyError};

/// A proxy that runs. Its methods block and are for plain threads.
pub struct Proxy {
    shared: Arc<Shared>,
    bootstrap: String,
    /// Present until it is dropped.
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Stands before these brokers (`127.0.0.1:port`, comma separated) and those that they tell of.
    pub fn start(brokers: &str) -> Result<Self, ProxyError> {
        let shared = Arc::<Shared>::default();
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("proxy").enable_all().build()?;
        let listeners = Listeners::new(Arc::clone(&shared));
        let guard = runtime.enter();
        let addresses = brokers.split(',').map(|broker| {
            let parts = broker.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let (host, port) = parts.ok_or_else(|| ProxyError::Address(broker.to_owned()))?;
            Ok(format!("{HOST}:{}", listeners.port_for(host, port)?))
        });
        let bootstrap = addresses.collect::<Result<Vec<_>, ProxyError>>()?.join(",");
        drop(guard);
        Ok(Self { shared, bootstrap, runtime: Some(runtime) })
    }

    /// Where the client finds the brokers.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Swallows responses: the brokers have done what was asked, the client waits.
    pub fn drop_response(&self, api: Api, which: Which) -> Fault {
        self.fault(api, Direction::Response, which, Effect::Drop)
    }

    /// Swallows requests: no broker ever knows of them.
    pub fn drop_request(&self, api: Api, which: Which) -> Fault {
        self.fault(api, Direction::Request, which, Effect::Drop)
    }

    /// Delays responses. Those of one connection are delayed one after the other.
    pub fn delay_response(&self, api: Api, which: Which, delay: Duration) -> Fault {
        self.fault(api, Direction::Response, which, Effect::Delay(delay))
    }

    /// Keeps messages on their way until they are released, and with them all that come after them on their connection.
    pub fn hold(&self, api: Api, direction: Direction, which: Which) -> Held {
        Held::set(&self.shared, |effect| Rule { api, direction, which, effect })
    }

    /// Closes the connection on which such a request comes; the request still goes to the broker, the client gets no
    /// response.
    pub fn cut_after(&self, api: Api, which: Which) -> Fault {
        self.fault(api, Direction::Request, which, Effect::CutAfter)
    }

    /// Closes all connections of the client. What it has sent still goes to the brokers.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// While it is on, nothing passes in either way, and all connections stay open. Afterwards everything goes on.
    pub fn black_hole(&self, on: bool) {
        self.shared.set_black_hole(on);
    }

    /// How many messages have come from the client, or from the brokers.
    pub fn seen(&self, api: Api, direction: Direction) -> u64 {
        self.shared.read(|state| state.seen(api, direction))
    }

    /// What the client has asked for so far.
    pub fn apis(&self) -> Vec<Api> {
        self.shared.read(|state| state.apis())
    }

    /// How many addresses of brokers were in the responses of this API; the client was told the proxy's instead.
    pub fn redirected(&self, api: Api) -> u64 {
        self.shared.read(|state| state.redirected(api))
    }

    /// How many connections the client has made so far, by the broker's address.
    pub fn connections(&self) -> BTreeMap<String, u64> {
        let named = |(port, count): (&u16, &u64)| (format!("{HOST}:{port}"), *count);
        self.shared.read(|state| state.connections().iter().map(named).collect())
    }

    /// What went wrong in the proxy itself, the first of it.
    pub fn trouble(&self) -> Option<String> {
        self.shared.read(|state| state.trouble().map(str::to_owned))
    }

    /// Waits until `count` messages have been seen since the start. Responses that were seen say that the broker has
    /// done it, whether the client got them or not.
    pub fn wait_for(&self, api: Api, direction: Direction, count: u64, patience: Duration) -> Result<(), ProxyError> {
        let what = format!("{api:?} {direction:?}");
        self.shared.wait(&what, count, patience, |state| state.seen(api, direction))
    }

    fn fault(&self, api: Api, direction: Direction, which: Which, effect: Effect) -> Fault {
        Fault::set(&self.shared, Rule { api, direction, which, effect })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
