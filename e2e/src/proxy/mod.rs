//! A TCP proxy between one client and all brokers of a Kafka on this machine, for faults on the wire.
//!
//! It reads of each message which API it belongs to, and tells the client its own addresses instead of the brokers', so
//! that every connection of the client goes through it. A test sets rules at run time: one response is swallowed, all
//! of an API are delayed or held, connections are cut. What no rule is about passes as it is.
//!
//! It understands plain connections (also with a login), no TLS. It runs on a thread of its own and ends when dropped.

mod addresses;
mod api;
mod connection;
mod control;
mod cursor;
mod faults;
mod frame;
mod listeners;
mod rules;
mod shared;
mod socket;

pub use api::Api;
pub use control::Proxy;
pub use faults::{Fault, Held};
pub use rules::{Direction, Which};

use std::time::Duration;

/// The host of brokers and proxy alike.
const HOST: &str = "127.0.0.1";

/// Why the proxy cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A broker is on another host.
    #[error("{0} is no broker of this machine; give and advertise brokers as {HOST}:port")]
    Address(String),
    /// What comes over the wire is not understood.
    #[error("{0} is not understood; does plain Kafka of version 4.4 or older speak here?")]
    NotKafka(String),
    /// A socket or the runtime does not work.
    #[error("the proxy's network: {0}")]
    Io(#[from] std::io::Error),
    /// Something did not happen in time.
    #[error("{what}: {seen} instead of {wanted} within {patience:?}{trouble}")]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How often it should have happened.
        wanted: u64,
        /// How often it did.
        seen: u64,
        /// How long it was waited for.
        patience: Duration,
        /// What went wrong in the proxy itself, if anything.
        trouble: String,
    },
}
