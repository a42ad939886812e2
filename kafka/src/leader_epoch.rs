//! Leader epochs on the safe crate's types, which have them and do not show them.
//!
//! The epoch says under which leader a record was written. Sent along with an offset it lets the brokers tell whether
//! their log still is the one that was read (KIP-320), or was cut off meanwhile and grew again to something else.

use std::ffi::CString;

use rdkafka::TopicPartitionList;
use rdkafka_sys as sys;

use crate::Error;
use crate::error::partition_name;

/// Gives a partition of `list` the leader epoch of the last record read before its offset.
///
/// When the offset is then sought (`seek_partitions`), librdkafka first asks whether the log holds that offset under
/// that epoch, and with `auto.offset.reset=error` a partition that does not is an `AutoOffsetReset` error instead of
/// being read over. An assignment alone asks only if the client has not seen the topic's leaders before, or when the
/// leader changes.
///
/// # Errors
/// Of kind [`Invalid`](crate::ErrorKind::Invalid) when the list does not have the partition.
pub fn set_leader_epoch(list: &mut TopicPartitionList, topic: &str, partition: i32, epoch: i32) -> Result<(), Error> {
    let missing = || Error::invalid(format!("the list does not have {}", partition_name(topic, partition)));
    let name = CString::new(topic).map_err(|_| missing())?;
    // SAFETY: the list is live and borrowed exclusively; what is found is one of its elements, and nothing is added to
    // it before the epoch is set.
    unsafe {
        let element = sys::rd_kafka_topic_partition_list_find(list.ptr(), name.as_ptr(), partition);
        if element.is_null() {
            return Err(missing());
        }
        sys::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
    }
    Ok(())
}
