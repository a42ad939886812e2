//! The lag poller: keeps reading every registered group's offsets and members from Kafka, decides how many workers it
//! needs, publishes the result as a [`Snapshot`] and wakes the object when something worth acting on has changed.
//!
//! In goes a [`Watch`] per object, out come snapshots and wake-ups. One task per Kafka cluster, so that a cluster that
//! does not answer stops nobody else's groups. Nobody who asks for a snapshot ever waits for Kafka.

mod book;
mod cluster;
mod group;
mod read;
mod snapshot;
mod wake;
mod watch;

pub use book::LagBook;
pub use snapshot::{KafkaProblem, Member, ProblemKind, Snapshot, Stepped};
pub use wake::Woken;
pub use watch::{GroupKey, Watch};
