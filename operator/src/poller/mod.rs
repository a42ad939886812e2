//! The lag poller: keeps reading every registered group's offsets and members from Kafka, decides its replicas,
//! publishes the result as a [`Snapshot`] and triggers a reconcile of the object when something worth acting on has
//! changed.
//!
//! In goes a [`PollTarget`] per object, out come snapshots and reconcile triggers. One task per Kafka cluster, so that
//! a cluster that does not answer stops nobody else's groups. Nobody who asks for a snapshot ever waits for Kafka.

mod cluster;
mod fetch;
mod group;
mod registry;
mod snapshot;
mod target;
mod triggers;

pub use registry::LagRegistry;
pub use snapshot::{KafkaProblem, MemberLag, ProblemKind, Rounded, Snapshot};
pub use target::{ObjectKey, PollTarget};
pub use triggers::Triggers;
