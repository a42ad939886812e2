//! What operator and worker need of librdkafka beyond the safe crate.
//!
//! In go a [`Connection`] and plain arguments; out come plain values and an [`Error`] with a bounded
//! [`kind`](Error::kind). Policy (how often, how many, what it means) is the callers'.
//!
//! All `unsafe` of the workspace is in this crate: in `native`, where each librdkafka object has one owner that frees
//! it, and in `group_metadata`.

pub mod admin;
mod connection;
mod error;
mod failure;
#[allow(unsafe_code, reason = "the object is librdkafka's")]
pub mod group_metadata;
mod health;
#[allow(unsafe_code, reason = "the border to librdkafka")]
mod native;
pub mod reserved_keys;
mod session;
mod topic_id;
pub mod usage;

pub use admin::{
    Admin, At, CommittedOffset, GroupDescription, GroupState, Isolation, ListedOffset, Member, Named,
    PartitionDescription, TopicDescription, TopicPartition,
};
pub use connection::{ClientCertificate, Connection, Sasl, SaslMechanism, Tls};
pub use error::{Error, ErrorKind};
pub use group_metadata::GroupMetadata;
pub use topic_id::TopicId;
pub use usage::UsageRecord;
