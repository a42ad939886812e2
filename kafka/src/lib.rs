//! What operator and worker need from librdkafka beyond the safe crate.
//!
//! Calls take a [`Connection`] and plain arguments, and return plain values or an [`Error`] with a bounded
//! [`kind`](Error::kind). Policy (how often, how many, what it means) belongs to the callers.
//!
//! | what | for |
//! |---|---|
//! | [`Connection`] | the settings every client starts from |
//! | [`Admin`] | committed offsets, ends of logs, groups, topics, settings |
//! | [`TransactionalProducer`] | writes records and a group's offsets, both or neither; its errors say what may follow |
//! | [`BatchReader`] | reads partitions in batches up to a known offset, for a restore |
//! | [`GroupMetadata`] | a membership, captured once and never changed |
//! | [`RecordQueue`] | reads a member's records in batches |
//! | [`set_leader_epoch`], [`validate`], [`look_up_positions`] | detect a truncated log |
//! | [`TopicWatch`] | detects a recreated topic |
//! | [`CommitMetadata`] | what a worker writes into an offset commit, and the operator reads from it |
//! | [`give_back_free_memory`] | returns freed buffers to the system |
//! | [`reserved_keys`] | which settings a user may not set |
//!
//! All `unsafe` of the workspace is in this crate: in `native`, where each librdkafka object has one owner that frees
//! it, and in `group_metadata` and `leader_epoch`, which reach into objects of the safe crate.

pub mod admin;
mod batch;
mod client_log;
mod commit_metadata;
mod connection;
mod error;
mod failure;
#[allow(unsafe_code, reason = "the object is librdkafka's")]
pub mod group_metadata;
mod health;
#[allow(unsafe_code, reason = "the safe crate's types do not show the epoch")]
mod leader_epoch;
#[allow(unsafe_code, reason = "the border to librdkafka")]
mod native;
mod record;
pub mod reserved_keys;
mod session;
mod topic_id;
mod topic_watch;
mod transactions;

pub use admin::{
    Admin, At, CommittedOffset, GroupDescription, GroupState, Isolation, ListedOffset, Member, Named,
    PartitionDescription, Settings, TopicDescription, TopicPartition, TopicSettings,
};
pub use batch::BatchReader;
pub use commit_metadata::{CommitMetadata, CommitMetadataError};
pub use connection::{ClientCertificate, Connection, Sasl, SaslMechanism, Tls};
pub use error::{Error, ErrorKind};
pub use group_metadata::GroupMetadata;
pub use leader_epoch::{Position, Validity, look_up_positions, set_leader_epoch, validate};
pub use native::{Batch, Fetched, FetchedRecord, RecordQueue, give_back_free_memory};
pub use record::{OffsetToCommit, ReadRecord, Record};
pub use topic_id::TopicId;
pub use topic_watch::TopicWatch;
pub use transactions::{AbortReason, RecordBuffer, TransactionError, TransactionalProducer};
