//! The border to librdkafka. Each of its objects has one owner here that frees it, and whatever comes out of it is
//! copied into plain values before it can dangle. Nothing above this module sees a pointer.

mod answer;
mod client;
mod data_queue;
mod list;
mod messages;
mod object;
mod producer;
mod request;

pub(crate) use answer::{Answer, RawGroup, RawPartition, RawTopic, RawTopicPartition, Setting};
pub(crate) use client::{Client, ClientEvent, Delivered, Purpose, Undelivered};
pub(crate) use data_queue::DataQueue;
pub(crate) use messages::{Message, Messages, NativeMessage};
pub(crate) use object::{Owned, failure_of_code, owned_text};
pub(crate) use producer::{CallFailure, Producer};
pub(crate) use request::{Limits, Queue, Resource};
