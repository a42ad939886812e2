//! Reading assigned partitions in batches: in go partitions with the offsets to begin at, out come messages that are
//! lent until the next batch.
//!
//! All partitions are forwarded to one queue of our own. The consumer's own queue carries its errors and logs, and must
//! not be read in batches: librdkafka would take what else comes there for callbacks that nobody has set.

use std::ffi::c_int;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;

use super::client::{Client, ClientEvent, Purpose};
use super::list::{Element, list_of};
use super::{Owned, c_text, failure_of_code, owned_text, rd_kafka_assign, rd_kafka_pause_partitions, wait_millis};
use crate::Error;
use crate::batch::ReadRecord;
use crate::failure::Failure;

/// The messages of one batch at most: some milliseconds of work.
const BATCH: usize = 4096;

/// A consumer that is no member of its group.
pub(crate) struct Reader {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    // Dropped in this order: a queue must go before its client.
    data: Owned<sys::rd_kafka_queue_t>,
    client: Client,
    topic: String,
}

// SAFETY: as for the client; the messages are only used with exclusive access, and none are left between two batches.
unsafe impl Send for Reader {}

/// Messages, freed when dropped.
pub(crate) struct Batch<'reader> {
    messages: &'reader mut Vec<*mut sys::rd_kafka_message_t>,
}

/// What a batch consists of.
pub(crate) enum Message<'batch> {
    Record(ReadRecord<'batch>),
    /// All records below `offset` are read, and there are no more for now.
    End {
        partition: i32,
        offset: i64,
    },
    /// A partition can not be read on without a gap.
    Failed {
        partition: i32,
        failure: Failure,
    },
}

impl Reader {
    /// Starts to fetch each partition of `topic` at its offset.
    pub(crate) fn open(config: &ClientConfig, topic: &str, starts: &[(i32, i64)]) -> Result<Self, Error> {
        let client = Client::start(config, Purpose::Reader)?;
        // SAFETY: the client is live and outlives the queue, which gets an owner at once.
        let data = unsafe { Owned::new(sys::rd_kafka_queue_new(client.as_ptr()), sys::rd_kafka_queue_destroy) }?;
        let name = c_text(topic)?;
        for (partition, _) in starts {
            // Before the assignment, so that nothing is ever fetched to another queue. What is dropped here is only our
            // hold on the partition's queue; it stays forwarded.
            // SAFETY: client and name are live; the queue gets an owner at once; both queues are live.
            unsafe {
                let queue = sys::rd_kafka_queue_get_partition(client.as_ptr(), name.as_ptr(), *partition);
                let queue = Owned::new(queue, sys::rd_kafka_queue_destroy)?;
                sys::rd_kafka_queue_forward(queue.as_ptr(), data.as_ptr());
            }
        }
        let elements =
            starts.iter().map(|(partition, offset)| Element { offset: *offset, ..Element::of(topic, *partition) });
        let list = list_of(elements)?;
        // SAFETY: client and list are live, and librdkafka copies the list.
        match failure_of_code(unsafe { rd_kafka_assign(client.as_ptr(), list.as_ptr()) }) {
            Some(failure) => Err(Error::invalid(failure.text)),
            None => Ok(Self { messages: Vec::with_capacity(BATCH), data, client, topic: topic.to_owned() }),
        }
    }

    /// The next thing the client has to say, without waiting.
    pub(crate) fn next_event(&self) -> Option<ClientEvent> {
        self.client.next_event(Duration::ZERO)
    }

    /// Why a partition is not there, if that was found while batches were read; the text names it.
    pub(crate) fn take_error(&self) -> Option<Failure> {
        self.client.take_stray_error()
    }

    /// All messages that are there, up to a bound; when there are none, the first that comes within `wait`.
    pub(crate) fn batch(&mut self, wait: Duration) -> Batch<'_> {
        self.take(Duration::ZERO, BATCH);
        if self.messages.is_empty() && !wait.is_zero() {
            // librdkafka waits until as many have come as are asked for, hence for one only.
            self.take(wait, 1);
            self.take(Duration::ZERO, BATCH - self.messages.len());
        }
        Batch { messages: &mut self.messages }
    }

    fn take(&mut self, wait: Duration, at_most: usize) {
        let held = self.messages.len();
        self.messages.reserve(at_most);
        // SAFETY: the queue is live; there is room for `at_most` pointers behind those held, and as many as the call
        // says are written there. Each is a message that we own.
        unsafe {
            let room = self.messages.as_mut_ptr().add(held);
            let taken = sys::rd_kafka_consume_batch_queue(self.data.as_ptr(), wait_millis(wait), room, at_most);
            self.messages.set_len(held + usize::try_from(taken).unwrap_or(0));
        }
    }

    /// What the client takes for the next offset of each partition; those it has read nothing of are left out.
    pub(crate) fn positions(&self, partitions: impl ExactSizeIterator<Item = i32>) -> Result<Vec<(i32, i64)>, Error> {
        let list = list_of(partitions.map(|partition| Element::of(&self.topic, partition)))?;
        // SAFETY: client and list are live; the call only fills in the list, whose `cnt` elements are at `elems`, and
        // never fails as a whole.
        unsafe {
            sys::rd_kafka_position(self.client.as_ptr(), list.as_ptr());
            let elements = 0..usize::try_from((*list.as_ptr()).cnt).unwrap_or(0);
            let known = elements.map(|at| {
                let element = (*list.as_ptr()).elems.add(at);
                ((&raw const (*element).partition).read(), (&raw const (*element).offset).read())
            });
            Ok(known.filter(|(_, offset)| *offset >= 0).collect())
        }
    }

    /// Stops to fetch partitions, and drops what was fetched of them.
    pub(crate) fn pause(&self, partitions: impl ExactSizeIterator<Item = i32>) -> Result<(), Error> {
        let list = list_of(partitions.map(|partition| Element::of(&self.topic, partition)))?;
        // SAFETY: client and list are live; the call marks in the list what it did not find.
        match failure_of_code(unsafe { rd_kafka_pause_partitions(self.client.as_ptr(), list.as_ptr()) }) {
            Some(failure) => Err(Error::invalid(failure.text)),
            None => Ok(()),
        }
    }
}

impl Batch<'_> {
    /// The messages in the order in which they came; those of one partition are in the order of its log.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: the messages are live until the batch is dropped.
        self.messages.iter().map(|message| unsafe { read_message(*message) })
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

/// # Safety
/// `message` is a message of a batch that lives as long as `'batch`.
unsafe fn read_message<'batch>(message: *const sys::rd_kafka_message_t) -> Message<'batch> {
    // SAFETY: every field of a live message is initialised, and the code is read as the plain number it is; key and
    // value are null or have the stated sizes.
    unsafe {
        let code = (&raw const (*message).err).cast::<c_int>().read();
        let partition = (&raw const (*message).partition).read();
        let offset = (&raw const (*message).offset).read();
        if code == 0 {
            let epoch = sys::rd_kafka_message_leader_epoch(message);
            return Message::Record(ReadRecord {
                partition,
                offset,
                leader_epoch: (epoch >= 0).then_some(epoch),
                key: bytes((*message).key.cast(), (*message).key_len),
                value: bytes((*message).payload.cast(), (*message).len),
            });
        }
        if code == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF as c_int {
            return Message::End { partition, offset };
        }
        Message::Failed {
            partition,
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
