//! The part of Kafka's admin API that is needed. Calls take names and a timeout, and return plain values.
//!
//! All calls block; asynchronous callers put them on a blocking thread. One [`Admin`] per cluster is shared by all.

mod changes;
mod client;
mod committed;
mod ends;
mod groups;
mod operation;
mod settings;
mod topics;
mod values;

pub use client::Admin;
pub use committed::CommittedOffset;
pub use ends::ListedOffset;
pub use groups::{GroupDescription, GroupState};
pub use settings::{Settings, TopicSettings};
pub use topics::{PartitionDescription, TopicDescription};
pub use values::{At, Isolation, Member, Named, TopicPartition};
