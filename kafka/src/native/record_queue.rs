//! The records of a consumer, many at a time: in goes a consumer of the safe crate, out come the records of the
//! partitions that were routed here, without an event, an allocation and a look at the clock for each.
//!
//! Taken one by one from the consumer's own queue, each record is an event that is made and freed, and a look at the
//! clock or two. That queue cannot be read in batches: what else comes by it, a rebalance above all, librdkafka would
//! take for callbacks that nobody has set. So the partitions' queues are forwarded to one of our own, as they are by
//! default to the consumer's.

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

/// Takes the place of `BaseConsumer::poll` for records. Everything else still comes by that call, which has to be made as
/// often as before (but that a partition is gone is only a line in the client's log); [`take`](Self::take) returns when it
/// has something.
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
        // SAFETY: the client is live and outlives both queues, each of which gets an owner at once. The wake-up is given
        // a queue that is live until it is taken back, in `drop`.
        unsafe {
            let data = Owned::new(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy)?;
            let events = Owned::new(sys::rd_kafka_queue_get_consumer(client), sys::rd_kafka_queue_destroy)?;
            sys::rd_kafka_queue_cb_event_enable(events.as_ptr(), Some(wake), data.as_ptr().cast());
            Ok(Self { data, events, consumer, topic: topic.to_owned() })
        }
    }

    /// Lets the records of partitions come here. To be called before the partitions are given to the consumer, or the
    /// first records come by `BaseConsumer::poll`; and again when the client has carried out what was asked, which
    /// `Consumer::assignment` waits for, since the end of an earlier assignment takes it back. In between nothing is lost,
    /// and the order of a partition's records is kept.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid).
    pub fn route(&self, partitions: impl IntoIterator<Item = i32>) -> Result<(), Error> {
        let (name, client) = (c_text(&self.topic)?, self.consumer.client().native_ptr());
        for partition in partitions {
            // SAFETY: client and name are live; the partition's queue gets an owner at once, which only gives up our hold
            // on it; both queues are live. What waits in the partition's own queue follows in its order.
            unsafe {
                let queue = sys::rd_kafka_queue_get_partition(client, name.as_ptr(), partition);
                let queue = Owned::new(queue, sys::rd_kafka_queue_destroy)?;
                sys::rd_kafka_queue_forward(queue.as_ptr(), self.data.as_ptr());
            }
        }
        Ok(())
    }

    /// Lets the client fetch partitions now that were assigned or go on after a pause. By itself it notices up to a second
    /// later: nobody wakes the threads that fetch, once they have nothing to do (librdkafka 2.12). A request does, here for
    /// the ends of their logs; its answer is of no interest.
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

    /// Lets whoever waits in [`take`](Self::take), or comes to wait next, go on.
    pub fn wake(&self) {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_yield(self.data.as_ptr()) };
    }

    /// Whether `BaseConsumer::poll` has something.
    pub fn has_events(&self) -> bool {
        // SAFETY: the queue is live.
        unsafe { sys::rd_kafka_queue_length(self.events.as_ptr()) > 0 }
    }

    /// What is there, `at_most` so much, but for 0 at least one. When there is nothing, waits at most as long as `wait` for
    /// something, until `BaseConsumer::poll` has something or it is [woken up](Self::wake).
    ///
    /// After a failure of a partition the client may go on with the record after the next one (librdkafka#4844): the next
    /// offset has to be sought, or assigned anew. One thread at a time is to call this: of two, each would get a part of a
    /// partition's records.
    pub fn take(&self, wait: Duration, at_most: usize) -> Batch<'_> {
        Batch::wait(&self.data, &self.topic, wait, at_most.max(1))
    }

    /// Gives the partitions of `list` the offsets that the client takes for the next ones, transaction markers counted;
    /// none to those it has given nothing of. The safe crate asks another thread for all its partitions first, after each
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
