//! A batch of records taken from a queue, borrowed as long as the batch lives.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::time::Duration;

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

use super::object::{Owned, owned_text, wait_millis};
use crate::error::partition_name;
use crate::failure::Failure;
use crate::{Error, ReadRecord};

/// The records and events of one take; freed when dropped, before the client whose queue they came from.
pub struct Batch<'queue> {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    topic: &'queue str,
}

/// One item of a partition.
pub enum Fetched<'a> {
    /// Its next record.
    Record(FetchedRecord<'a>),
    /// All its records so far were given; only with `enable.partition.eof`, once for each such offset. Not for a member
    /// of a group: of an end that is taken in a batch, librdkafka 2.12 takes the offset for that of a record, and goes
    /// on after it when the next rebalance is over (mended in 2.13).
    End {
        /// Which one.
        partition: i32,
        /// The one after its last record or marker so far.
        offset: i64,
    },
    /// It is not, or not now, fetched any further; [`OutOfRange`](crate::ErrorKind::OutOfRange) when its log does not
    /// hold the offset that is next.
    Failed {
        /// Which one.
        partition: i32,
        /// What happened.
        error: Error,
    },
}

/// A record, borrowed from its batch.
#[derive(Clone, Copy)]
pub struct FetchedRecord<'a> {
    read: ReadRecord<'a>,
    message: *const sys::rd_kafka_message_t,
    lifetime: PhantomData<&'a ()>,
}

impl<'queue> Batch<'queue> {
    /// Takes up to `at_most` items from a queue; if it is empty, the first that comes within `wait`.
    pub(super) fn wait(
        queue: &'queue Owned<sys::rd_kafka_queue_t>,
        topic: &'queue str,
        wait: Duration,
        at_most: usize,
    ) -> Self {
        let mut batch = Self { messages: Vec::new(), topic };
        // librdkafka waits until as many items have come as were asked for, so the wait asks for one. It comes first,
        // because a call without a wait would consume the wake-up meant for this one.
        batch.take(queue, wait, 1);
        if !batch.is_empty() {
            batch.take(queue, Duration::ZERO, at_most - 1);
        }
        batch
    }

    /// Adds up to `at_most` items from a queue; returns when that many have come or `wait` is over.
    fn take(&mut self, queue: &Owned<sys::rd_kafka_queue_t>, wait: Duration, at_most: usize) {
        let held = self.messages.len();
        self.messages.reserve(at_most);
        // SAFETY: the queue is live; there is room for `at_most` pointers behind those held, and as many as the call
        // says are written there. Each is a message that we own.
        unsafe {
            let room = self.messages.as_mut_ptr().add(held);
            let taken = sys::rd_kafka_consume_batch_queue(queue.as_ptr(), wait_millis(wait), room, at_most);
            self.messages.set_len(held + usize::try_from(taken).unwrap_or(0));
        }
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether the batch has no items.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// All items in the order in which they came, the records of one partition in the order of its log.
    pub fn iter(&self) -> impl Iterator<Item = Fetched<'_>> {
        // SAFETY: the messages are live until the batch is dropped.
        self.messages.iter().map(|message| unsafe { fetched(*message, self.topic) })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: ours, and what was lent of it has ended with the batch.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

impl<'a> std::ops::Deref for FetchedRecord<'a> {
    type Target = ReadRecord<'a>;

    fn deref(&self) -> &ReadRecord<'a> {
        &self.read
    }
}

impl FetchedRecord<'_> {
    /// Names and values of its headers in their order, copied, whatever their names: the safe crate panics at one that
    /// is not UTF-8, and anybody who may produce can write such a record. In a name, what is not UTF-8 is replaced by
    /// `U+FFFD`.
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let mut all = std::ptr::null_mut();
        // SAFETY: the message is live; the headers that are found belong to it and are only read.
        if unsafe { sys::rd_kafka_message_headers(self.message, &raw mut all) } != OK {
            return Vec::new();
        }
        let mut found = Vec::new();
        loop {
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: as above; past the last header it answers with an error and writes nothing.
            let code =
                unsafe { sys::rd_kafka_header_get_all(all, found.len(), &raw mut name, &raw mut value, &raw mut size) };
            if code != OK || name.is_null() {
                return found;
            }
            // SAFETY: a name ends with a zero byte; a value has `size` bytes, or is null when there is none.
            let (name, value) = unsafe {
                let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
                (CStr::from_ptr(name).to_string_lossy().into_owned(), value)
            };
            found.push((name, value));
        }
    }
}

/// # Safety
/// `message` is a live message of `topic` that lives as long as `'a`.
unsafe fn fetched<'a>(message: *const sys::rd_kafka_message_t, topic: &str) -> Fetched<'a> {
    // SAFETY: every field of a live message is initialised, and the code is read as the plain number it is; key and
    // value are null or have the stated sizes.
    unsafe {
        let code = (&raw const (*message).err).cast::<c_int>().read();
        let partition = (&raw const (*message).partition).read();
        let offset = (&raw const (*message).offset).read();
        if code == 0 {
            let epoch = sys::rd_kafka_message_leader_epoch(message);
            let read = ReadRecord {
                partition,
                offset,
                leader_epoch: (epoch >= 0).then_some(epoch),
                key: bytes((*message).key.cast(), (*message).key_len),
                value: bytes((*message).payload.cast(), (*message).len),
            };
            return Fetched::Record(FetchedRecord { read, message, lifetime: PhantomData });
        }
        if code == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF as c_int {
            return Fetched::End { partition, offset };
        }
        let failure = Failure { code, text: owned_text(sys::rd_kafka_message_errstr(message)) };
        Fetched::Failed { partition, error: error_of(topic, partition, offset, failure) }
    }
}

/// Why a partition is not read any further than `next`.
fn error_of(topic: &str, partition: i32, next: i64, failure: Failure) -> Error {
    if failure.is(Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) || failure.is(Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
    {
        return Error::OutOfRange { topic: topic.to_owned(), partition, offset: next, detail: failure.text };
    }
    failure.error(&partition_name(topic, partition))
}

/// # Safety
/// `start` is null or points to `size` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *const u8, size: usize) -> Option<&'a [u8]> {
    // SAFETY: not null, and the caller vouches for the rest.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start, size) })
}
