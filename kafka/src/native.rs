//! The boundary to librdkafka. Each of its objects has one owner here that frees it, and everything read from it is
//! copied into plain values before it can dangle. Nothing above this module sees a pointer.

mod answer;
mod batch;
mod client;
mod free_memory;
mod list;
mod object;
mod producer;
mod record_queue;
mod request;

pub(crate) use answer::{Answer, RawGroup, RawPartition, RawTopic, RawTopicPartition, Setting};
pub use batch::{Batch, Fetched, FetchedRecord};
pub(crate) use client::{Client, ClientEvent, Delivered, Purpose, Undelivered};
pub use free_memory::give_back_free_memory;
pub(crate) use object::{Owned, failure_of_code, owned_text};
pub(crate) use producer::{CallFailure, Producer};
pub use record_queue::RecordQueue;
pub(crate) use request::{Limits, Queue, Resource};
