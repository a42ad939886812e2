//! The records of a consumer, away from its own queue: in go the partitions to take from there, out come messages
//! in batches.
//!
//! Taken one by one from the consumer's own queue, each record is an event that is made and freed, and a look at the
//! clock or two. That queue cannot be read in batches: what else comes by it, a rebalance above all, librdkafka would
//! take for callbacks that nobody has set. So the partitions' queues are forwarded to one of our own, as they are by
//! default to the consumer's.

use std::ffi::c_void;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

use super::list::{Element, list_of};
use super::messages::Messages;
use super::object::{Owned, c_text};
use crate::Error;

type NativeQueue = Owned<sys::rd_kafka_queue_t>;

/// A queue that partitions are forwarded to. It must not outlive its consumer.
pub(crate) struct DataQueue {
    data: NativeQueue,
    /// The consumer's own, which wakes up whoever waits at `data`.
    events: NativeQueue,
}

impl DataQueue {
    pub(crate) fn new<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Result<Self, Error> {
        let client = consumer.client().native_ptr();
        // SAFETY: the client is live and outlives both queues, each of which gets an owner at once. The wake-up is given
        // a queue that is live until it is taken back, in `drop`.
        unsafe {
            let data = Owned::new(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy)?;
            let events = Owned::new(sys::rd_kafka_queue_get_consumer(client), sys::rd_kafka_queue_destroy)?;
            sys::rd_kafka_queue_cb_event_enable(events.as_ptr(), Some(wake), data.as_ptr().cast());
            Ok(Self { data, events })
        }
    }

    /// Lets the records of a partition come here. What waits in the partition's own queue follows in its order.
    pub(crate) fn forward<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        topic: &str,
        partition: i32,
    ) -> Result<(), Error> {
        let name = c_text(topic)?;
        // SAFETY: client and name are live; the partition's queue gets an owner at once, which only gives up our hold on
        // it; both queues are live.
        unsafe {
            let queue = sys::rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), partition);
            let queue = Owned::new(queue, sys::rd_kafka_queue_destroy)?;
            sys::rd_kafka_queue_forward(queue.as_ptr(), self.data.as_ptr());
        }
        Ok(())
    }

    /// Asks the leaders of partitions for the ends of their logs, and drops the answers.
    pub(crate) fn wake_fetchers<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        topic: &str,
        partitions: &[i32],
    ) -> Result<(), Error> {
        let latest = sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64;
        let elements = partitions.iter().map(|partition| Element { offset: latest, ..Element::of(topic, *partition) });
        let (list, client) = (list_of(elements)?, consumer.client().native_ptr());
        // SAFETY: client and list are live, and librdkafka copies the list; without options it takes its defaults. The
        // request holds the queue for the answer, so that ours may go first: the answer then goes with it.
        unsafe {
            let answers = Owned::new(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy)?;
            sys::rd_kafka_ListOffsets(client, list.as_ptr(), std::ptr::null(), answers.as_ptr());
        }
        Ok(())
    }

    /// Sets the offsets in `list` to the client's own positions. The safe crate asks another thread for all its partitions
    /// first, which takes as long as some hundred records.
    pub(crate) fn look_up_positions<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        list: &mut TopicPartitionList,
    ) {
        // SAFETY: client and list are live, and the list is borrowed exclusively; the call only fills it in, and never
        // fails as a whole.
        unsafe { sys::rd_kafka_position(consumer.client().native_ptr(), list.ptr()) };
    }

    /// Lets whoever waits in [`take`](Self::take), or comes to wait next, go on.
    pub(crate) fn wake(&self) {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_yield(self.data.as_ptr()) };
    }

    /// Whether the consumer's own queue has something.
    pub(crate) fn has_events(&self) -> bool {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_length(self.events.as_ptr()) > 0 }
    }

    /// The messages that are there, so many at most. When there are none, waits for one at most as long as `wait`, until the
    /// consumer's own queue has something or it is woken up.
    pub(crate) fn take(&self, wait: Duration, at_most: usize) -> Messages<'_> {
        Messages::wait(&self.data, wait, at_most)
    }
}

impl Drop for DataQueue {
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
