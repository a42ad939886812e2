//! Messages that were taken from a queue in a batch: lent as long as the batch lives.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::time::Duration;

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

use super::object::{Owned, owned_text, wait_millis};
use crate::ReadRecord;
use crate::failure::Failure;

/// Messages, freed when dropped: before the client whose queue they came from.
pub(crate) struct Messages<'queue>(Vec<*mut sys::rd_kafka_message_t>, PhantomData<&'queue ()>);

/// What a batch consists of.
pub(crate) enum Message<'batch> {
    Record(ReadRecord<'batch>, NativeMessage<'batch>),
    /// All records below `offset` are read, and there are no more for now.
    End {
        partition: i32,
        offset: i64,
    },
    /// A partition can not be read on without a gap; with the offset, if it is known, else a negative number.
    Failed {
        partition: i32,
        offset: i64,
        failure: Failure,
    },
}

/// A record as librdkafka has it.
#[derive(Clone, Copy)]
pub(crate) struct NativeMessage<'batch> {
    message: *const sys::rd_kafka_message_t,
    lifetime: PhantomData<&'batch ()>,
}

impl<'queue> Messages<'queue> {
    /// What is in a queue, `at_most` so many; when there is nothing, the first that comes within `wait`.
    pub(super) fn wait(queue: &'queue Owned<sys::rd_kafka_queue_t>, wait: Duration, at_most: usize) -> Self {
        let mut messages = Self(Vec::new(), PhantomData);
        // librdkafka waits until as many have come as are asked for, hence for one only; and first of all, since a call
        // that does not wait would use up the wake-up that this one is to have.
        messages.take(queue, wait, 1);
        if !messages.0.is_empty() {
            messages.take(queue, Duration::ZERO, at_most - 1);
        }
        messages
    }

    /// Adds what is in a queue, `at_most` so many; returns when that many have come or `wait` is over.
    fn take(&mut self, queue: &Owned<sys::rd_kafka_queue_t>, wait: Duration, at_most: usize) {
        let held = self.0.len();
        self.0.reserve(at_most);
        // SAFETY: the queue is live; there is room for `at_most` pointers behind those held, and as many as the call
        // says are written there. Each is a message that we own.
        unsafe {
            let room = self.0.as_mut_ptr().add(held);
            let taken = sys::rd_kafka_consume_batch_queue(queue.as_ptr(), wait_millis(wait), room, at_most);
            self.0.set_len(held + usize::try_from(taken).unwrap_or(0));
        }
    }

    /// In the order in which they came; those of one partition are in the order of its log.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        // SAFETY: the messages are live until the batch is dropped.
        self.0.iter().map(|message| unsafe { read_message(*message) })
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        for message in self.0.drain(..) {
            // SAFETY: ours, and what was lent of it has ended with the batch.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

impl NativeMessage<'_> {
    /// Names and values of its headers in their order, copied.
    pub(crate) fn headers(self) -> Vec<(String, Option<Vec<u8>>)> {
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
/// `message` is a live message that lives as long as `'batch`.
unsafe fn read_message<'batch>(message: *const sys::rd_kafka_message_t) -> Message<'batch> {
    // SAFETY: every field of a live message is initialised, and the code is read as the plain number it is; key and
    // value are null or have the stated sizes.
    unsafe {
        let code = (&raw const (*message).err).cast::<c_int>().read();
        let partition = (&raw const (*message).partition).read();
        let offset = (&raw const (*message).offset).read();
        if code == 0 {
            let epoch = sys::rd_kafka_message_leader_epoch(message);
            let record = ReadRecord {
                partition,
                offset,
                leader_epoch: (epoch >= 0).then_some(epoch),
                key: bytes((*message).key.cast(), (*message).key_len),
                value: bytes((*message).payload.cast(), (*message).len),
            };
            return Message::Record(record, NativeMessage { message, lifetime: PhantomData });
        }
        if code == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF as c_int {
            return Message::End { partition, offset };
        }
        Message::Failed {
            partition,
            offset,
            failure: Failure { code, text: owned_text(sys::rd_kafka_message_errstr(message)) },
        }
    }
}

/// # Safety
/// `start` is null or points to `size` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *const u8, size: usize) -> Option<&'a [u8]> {
    // SAFETY: not null, and the caller vouches for the rest.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start, size) })
}
