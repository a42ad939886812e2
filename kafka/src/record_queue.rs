//! The records of a consumer, many at a time: in goes a consumer of the safe crate, out come the records of the
//! partitions that were routed here, without an event, an allocation and a look at the clock for each.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::Error;
use crate::ReadRecord;
use crate::error::partition_name;
use crate::failure::Failure;
use crate::native::{DataQueue, Message, Messages, NativeMessage};

/// Takes the place of `BaseConsumer::poll` for records. Everything else still comes by that call, which has to be made as
/// often as before (but that a partition is gone is only a line in the client's log); [`take`](Self::take) returns when it has something.
pub struct RecordQueue<C: ConsumerContext + 'static> {
    // Dropped in this order: the queue must go before its consumer.
    native: DataQueue,
    consumer: Arc<BaseConsumer<C>>,
    topic: String,
}

/// What was taken at once; freed when dropped.
pub struct Batch<'queue> {
    messages: Messages<'queue>,
    topic: &'queue str,
}

/// A record, lent as long as its batch.
#[derive(Clone, Copy)]
pub struct FetchedRecord<'a> {
    read: ReadRecord<'a>,
    native: NativeMessage<'a>,
}

/// What a partition gives.
pub enum Fetched<'a> {
    /// Its next record.
    Record(FetchedRecord<'a>),
    /// All its records so far were given; only with `enable.partition.eof`, once for each such offset. Not for a member of a
    /// group: of an end that is taken in a batch, librdkafka 2.12 takes the offset for that of a record, and goes on after
    /// it when the next rebalance is over (mended in 2.13).
    End {
        /// Which one.
        partition: i32,
        /// The one after its last record or marker so far.
        offset: i64,
    },
    /// It is not, or not now, fetched any further; [`OutOfRange`](crate::ErrorKind::OutOfRange) when its log does not hold the
    /// offset that is next.
    Failed {
        /// Which one.
        partition: i32,
        /// What happened.
        error: Error,
    },
}

impl<'a> std::ops::Deref for FetchedRecord<'a> {
    type Target = ReadRecord<'a>;

    fn deref(&self) -> &ReadRecord<'a> {
        &self.read
    }
}

impl FetchedRecord<'_> {
    /// Names and values of its headers in their order, copied, whatever their names: the safe crate panics at one that is
    /// not UTF-8, and anybody who may produce can write such a record. In a name, what is not UTF-8 is replaced by
    /// `U+FFFD`.
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.native.headers()
    }
}

impl<C: ConsumerContext + 'static> RecordQueue<C> {
    /// For records of `topic`.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): the consumer has no `group.id`.
    pub fn new(consumer: Arc<BaseConsumer<C>>, topic: &str) -> Result<Self, Error> {
        let native = DataQueue::new(&*consumer)?;
        Ok(Self { native, consumer, topic: topic.to_owned() })
    }

    /// Lets the records of partitions come here. To be called before the partitions are given to the consumer, or the
    /// first records come by `BaseConsumer::poll`; and again when the client has carried out what was asked, which
    /// `Consumer::assignment` waits for, since the end of an earlier assignment takes it back. In between nothing is lost,
    /// and the order of a partition's records is kept.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid).
    pub fn route(&self, partitions: impl IntoIterator<Item = i32>) -> Result<(), Error> {
        partitions.into_iter().try_for_each(|partition| self.native.forward(&self.consumer, &self.topic, partition))
    }

    /// Lets the client fetch partitions now that were assigned or go on after a pause. By itself it notices up to a second
    /// later: nobody wakes the threads that fetch, once they have nothing to do (librdkafka 2.12). A request does; its answer
    /// is of no interest.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid).
    pub fn wake_fetchers(&self, partitions: &[i32]) -> Result<(), Error> {
        self.native.wake_fetchers(&self.consumer, &self.topic, partitions)
    }

    /// Lets whoever waits in [`take`](Self::take), or comes to wait next, go on.
    pub fn wake(&self) {
        self.native.wake();
    }

    /// Whether `BaseConsumer::poll` has something.
    pub fn has_events(&self) -> bool {
        self.native.has_events()
    }

    /// What is there, `at_most` so much, but for 0 at least one. When there is nothing, waits at most as long as `wait` for
    /// something, until `BaseConsumer::poll` has something or it is [woken up](Self::wake).
    ///
    /// After a failure of a partition the client may go on with the record after the next one (librdkafka#4844): the next
    /// offset has to be sought, or assigned anew. One thread at a time is to call this: of two, each would get a part of a
    /// partition's records.
    pub fn take(&self, wait: Duration, at_most: usize) -> Batch<'_> {
        Batch { messages: self.native.take(wait, at_most.max(1)), topic: &self.topic }
    }

    /// Gives the partitions of `list` the offsets that the client takes for the next ones, transaction markers counted;
    /// none to those it has given nothing of.
    pub(crate) fn look_up_positions(&self, list: &mut TopicPartitionList) {
        self.native.look_up_positions(&self.consumer, list);
    }

    pub(crate) fn consumer(&self) -> &BaseConsumer<C> {
        &self.consumer
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }
}

impl Batch<'_> {
    /// How much it is.
    pub fn len(&self) -> usize {
        self.messages.iter().len()
    }

    /// Whether there was nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, the records of one partition in the order of its log.
    pub fn iter(&self) -> impl Iterator<Item = Fetched<'_>> {
        self.messages.iter().map(|message| match message {
            Message::Record(read, native) => Fetched::Record(FetchedRecord { read, native }),
            Message::Failed { partition, offset, failure } => {
                Fetched::Failed { partition, error: error_of(self.topic, partition, offset, failure) }
            }
            Message::End { partition, offset } => Fetched::End { partition, offset },
        })
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
