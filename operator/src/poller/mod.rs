//! The lag poller: keeps reading every registered group's offsets and members from Kafka, decides its replicas,
//! publishes the result as a [`Snapshot`] and triggers a reconcile of the object when something worth acting on has
//! changed.
//!
//! Takes a [`PollTarget`] per object, gives snapshots and reconcile triggers. Each Kafka cluster has a task of its own,
//! so that a cluster that does not answer delays no group of another one. Reading a snapshot never waits for Kafka.

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
