//! Reading assigned partitions in batches: in go partitions with the offsets to begin at, out come messages that are
//! lent until the next batch.
//!
//! All partitions are forwarded to one queue of our own. The consumer's own queue carries its errors and logs, and must
//! not be read in batches: librdkafka would take what else comes there for callbacks that nobody has set.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka_sys as sys;

use super::client::{Client, ClientEvent, Purpose};
use super::list::{Element, list_of};
use super::messages::Messages;
use super::object::{Owned, c_text, failure_of_code, rd_kafka_assign, rd_kafka_pause_partitions};
use crate::Error;
use crate::failure::Failure;

/// The messages of one batch at most: some milliseconds of work.
const BATCH: usize = 4096;

/// A consumer that is no member of its group.
pub(crate) struct Reader {
    // Dropped in this order: a queue must go before its client.
    data: Owned<sys::rd_kafka_queue_t>,
    client: Client,
    topic: String,
}

// SAFETY: as for the client.
unsafe impl Send for Reader {}

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
            None => Ok(Self { data, client, topic: topic.to_owned() }),
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
    pub(crate) fn batch(&mut self, wait: Duration) -> Messages<'_> {
        Messages::wait(&self.data, wait, BATCH)
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
