//! A consumer without a group that reads chosen partitions from chosen offsets.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};

use crate::consumer::client::{Complaints, ReaderContext};

/// See the module.
pub(super) struct Reader {
    consumer: BaseConsumer<ReaderContext>,
    topic: String,
}

/// What was read.
pub(super) enum Seen<'a> {
    Record {
        partition: i32,
        offset: i64,
        value: Option<&'a [u8]>,
    },
    /// All below is read, be it records or transaction markers.
    Position {
        partition: i32,
        position: i64,
    },
}

impl Reader {
    /// Starts to fetch each partition of `topic` at its offset.
    pub(super) fn open(
        config: &ClientConfig,
        topic: &str,
        complaints: Arc<Complaints>,
        starts: impl Iterator<Item = (i32, i64)>,
    ) -> KafkaResult<Self> {
        let consumer: BaseConsumer<ReaderContext> = config.create_with_context(ReaderContext(complaints))?;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in starts {
            list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        }
        consumer.assign(&list)?;
        Ok(Self { consumer, topic: topic.to_owned() })
    }

    /// Reads for about `slice`; returns early when nothing comes.
    ///
    /// # Errors
    /// An offset is not in the log. Other errors of the client pass by themselves and are left to it.
    pub(super) fn read(&self, slice: Duration, mut note: impl FnMut(Seen<'_>)) -> KafkaResult<()> {
        let end = Instant::now() + slice;
        let mut next = self.consumer.poll(slice);
        while let Some(polled) = next {
            match polled {
                Ok(record) => {
                    note(Seen::Record {
                        partition: record.partition(),
                        offset: record.offset(),
                        value: record.payload(),
                    });
                }
                Err(KafkaError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange)) => {
                    return Err(KafkaError::MessageConsumption(Code::OffsetOutOfRange));
                }
                Err(fatal @ KafkaError::MessageConsumptionFatal(_)) => return Err(fatal),
                Err(_) => {} // its context has logged it
            }
            if Instant::now() >= end {
                break;
            }
            next = self.consumer.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// How far each partition was read; those nothing was read of are left out.
    pub(super) fn positions(&self) -> Vec<(i32, i64)> {
        let known = |list: TopicPartitionList| {
            let elements = list.elements();
            let position = |offset| if let Offset::Offset(position) = offset { Some(position) } else { None };
            elements.iter().filter_map(|element| Some((element.partition(), position(element.offset())?))).collect()
        };
        self.consumer.position().map(known).unwrap_or_default()
    }

    /// Stops fetching partitions that are done.
    pub(super) fn pause(&self, partitions: impl Iterator<Item = i32>) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        if let Err(error) = self.consumer.pause(&list) {
            // Only wasteful: what still comes is not asked for and dropped.
            tracing::debug!(%error, "cannot pause restored partitions");
        }
    }
}
