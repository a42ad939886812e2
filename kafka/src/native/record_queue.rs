//! The records of a consumer in batches: it wraps a consumer of the safe crate and delivers the records of the
//! partitions forwarded here, without an event, an allocation and a clock read per record.
//!
//! Taken one by one from the consumer's own queue, each record costs an event, an allocation and one or two clock
//! reads. That queue cannot be read in batches: librdkafka would pass its other events, above all rebalances, to
//! callbacks that nobody has set. So the partitions' queues are forwarded to a queue of our own, as they are to the
//! consumer's by default.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

use super::batch::Batch;
use super::list::{Element, list_of};
use super::object::{Owned, c_text};
use crate::Error;

type NativeQueue = Owned<sys::rd_kafka_queue_t>;

/// Replaces `BaseConsumer::poll` for records. All other events still come by that call, which must be made as often as
/// before; [`take`](Self::take) returns when it has one. (That a partition is gone is only a line in the client's log.)
pub struct RecordQueue<C: ConsumerContext + 'static> {
    // Dropped in this order: the queues must go before their consumer.
    data: NativeQueue,
    /// The consumer's own, which wakes up whoever waits at `data`.
    events: NativeQueue,
    consumer: Arc<BaseConsumer<C>>,
    topic: String,
}

impl<C: ConsumerContext + 'static> RecordQueue<C> {
    /// For records of `topic`.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): the consumer has no `group.id`.
    pub fn new(consumer: Arc<BaseConsumer<C>>, topic: &str) -> Result<Self, Error> {
        let client = consumer.client().native_ptr();
        // SAFETY: the client is live and outlives both queues, each of which gets an owner at once. The wake-up is
        // given a queue that is live until it is taken back, in `drop`.
        unsafe {
            let data = Owned::new(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy)?;
            let events = Owned::new(sys::rd_kafka_queue_get_consumer(client), sys::rd_kafka_queue_destroy)?;
            sys::rd_kafka_queue_cb_event_enable(events.as_ptr(), Some(wake), data.as_ptr().cast());
            Ok(Self { data, events, consumer, topic: topic.to_owned() })
        }
    }

    /// Forwards the records of partitions to this queue. Call it before the consumer is assigned the partitions, or the
    /// first records come by `BaseConsumer::poll`. Call it again when the client has carried out the assignment, which
    /// `Consumer::assignment` waits for: the end of an earlier assignment undoes it. In between, no record is
    /// lost, and the order of a partition's records is kept.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid).
    pub fn forward(&self, partitions: impl IntoIterator<Item = i32>) -> Result<(), Error> {
        let (name, client) = (c_text(&self.topic)?, self.consumer.client().native_ptr());
        for partition in partitions {
            // SAFETY: client and name are live; the partition's queue gets an owner at once, which only gives up our
            // hold on it; both queues are live. What waits in the partition's own queue follows in its order.
            unsafe {
                let queue = sys::rd_kafka_queue_get_partition(client, name.as_ptr(), partition);
                let queue = Owned::new(queue, sys::rd_kafka_queue_destroy)?;
                sys::rd_kafka_queue_forward(queue.as_ptr(), self.data.as_ptr());
            }
        }
        Ok(())
    }

    /// Makes the client fetch partitions now that were assigned or resumed. By itself it starts up to a second later,
    /// because nothing wakes its idle fetch threads (librdkafka 2.12). A request does: this one asks for the ends of
    /// the logs and ignores the answer.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid).
    pub fn wake_fetchers(&self, partitions: &[i32]) -> Result<(), Error> {
        let offset = sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64;
        let elements = partitions.iter().map(|partition| Element { offset, ..Element::of(&self.topic, *partition) });
        let (list, client) = (list_of(elements)?, self.consumer.client().native_ptr());
        // SAFETY: client and list are live, and librdkafka copies the list; without options it takes its defaults. The
        // request holds the queue for the answer, so that ours may go first: the answer then goes with it.
        unsafe {
            let answers = Owned::new(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy)?;
            sys::rd_kafka_ListOffsets(client, list.as_ptr(), std::ptr::null(), answers.as_ptr());
        }
        Ok(())
    }

    /// Ends the current or the next wait in [`take`](Self::take).
    pub fn wake(&self) {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_yield(self.data.as_ptr()) };
    }

    /// Whether `BaseConsumer::poll` has an event.
    pub fn has_events(&self) -> bool {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_length(self.events.as_ptr()) > 0 }
    }

    /// Takes up to `at_most` records (0 counts as 1). If there are none, waits up to `wait`. The wait also ends when
    /// `BaseConsumer::poll` has an event, or on [`wake`](Self::wake).
    ///
    /// After a failure of a partition the client may skip a record (librdkafka#4844): seek to the next offset, or
    /// assign the partition again. Only one thread at a time may call this: two would each get a part of a partition's
    /// records.
    pub fn take(&self, wait: Duration, at_most: usize) -> Batch<'_> {
        Batch::wait(&self.data, &self.topic, wait, at_most.max(1))
    }

    /// Fills `list` with the client's next offsets, which are past transaction markers too. A partition without
    /// delivered records gets none. The safe crate's call would ask another thread for all partitions first, after each
    /// batch.
    pub(crate) fn look_up_positions(&self, list: &mut TopicPartitionList) {
        // SAFETY: client and list are live, and the list is borrowed exclusively; the call only fills it in, and never
        // fails as a whole.
        unsafe { sys::rd_kafka_position(self.consumer.client().native_ptr(), list.ptr()) };
    }

    pub(crate) fn consumer(&self) -> &BaseConsumer<C> {
        &self.consumer
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }
}

impl<C: ConsumerContext + 'static> Drop for RecordQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is live; after this nobody wakes up the other one.
        unsafe { sys::rd_kafka_queue_cb_event_enable(self.events.as_ptr(), None, std::ptr::null_mut()) };
    }
}

/// Called by librdkafka's threads when something comes to the consumer's own queue, whose lock they hold.
unsafe extern "C" fn wake(_: *mut sys::rd_kafka_t, data: *mut c_void) {
    // SAFETY: the queue that was given to `rd_kafka_queue_cb_event_enable`, which is live.
    unsafe { sys::rd_kafka_queue_yield(data.cast()) };
}
