//! The lag poller: keeps reading every registered group's offsets and members from Kafka, decides how many workers it
//! needs, publishes the result as a [`Snapshot`] and wakes the object when something worth acting on has changed.
//!
//! In goes a [`Watch`] per object, out come snapshots and wake-ups. One task per Kafka cluster, so that a cluster that
//! does not answer stops nobody else's groups. Nobody who asks for a snapshot ever waits for Kafka.

mod cluster;
mod fetch;
mod group;
mod registry;
mod snapshot;
mod target;
mod triggers;

pub use registry::LagBook;
pub use snapshot::{KafkaProblem, Member, ProblemKind, Snapshot, Stepped};
pub use target::{GroupKey, Watch};
pub use triggers::Woken;
