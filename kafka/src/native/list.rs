//! Lists of partitions in librdkafka's form.

use std::ffi::c_int;

use rdkafka_sys as sys;

use super::object::{Owned, c_text};
use crate::Error;

/// A list that is ours to free.
pub(super) type List = Owned<sys::rd_kafka_topic_partition_list_t>;

/// The values of one partition in a list.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) leader_epoch: Option<i32>,
    pub(super) metadata: &'a str,
}

impl<'a> Element<'a> {
    /// Only names a partition.
    pub(super) const fn of(topic: &'a str, partition: i32) -> Self {
        Self { topic, partition, offset: 0, leader_epoch: None, metadata: "" }
    }
}

pub(super) fn list_of<'a>(elements: impl ExactSizeIterator<Item = Element<'a>>) -> Result<List, Error> {
    let size = c_int::try_from(elements.len()).unwrap_or(0);
    // SAFETY: the size is only a hint; the list is ours.
    let list = unsafe {
        Owned::new(sys::rd_kafka_topic_partition_list_new(size), sys::rd_kafka_topic_partition_list_destroy)
    }?;
    for element in elements {
        let topic = c_text(element.topic)?;
        // SAFETY: the list is live and ours alone; the topic is copied; the new element is valid until the next one is
        // added, and its `offset` is a plain number.
        unsafe {
            let added = sys::rd_kafka_topic_partition_list_add(list.as_ptr(), topic.as_ptr(), element.partition);
            (&raw mut (*added).offset).write(element.offset);
            if let Some(epoch) = element.leader_epoch {
                sys::rd_kafka_topic_partition_set_leader_epoch(added, epoch);
            }
            set_metadata(added, element.metadata)?;
        }
    }
    Ok(list)
}

/// # Safety
/// `element` is a live element without metadata.
unsafe fn set_metadata(element: *mut sys::rd_kafka_topic_partition_t, metadata: &str) -> Result<(), Error> {
    if metadata.is_empty() {
        return Ok(());
    }
    // SAFETY: no client is needed to allocate with librdkafka's own allocator, which the list will free it with.
    let copy = unsafe { sys::rd_kafka_mem_malloc(std::ptr::null_mut(), metadata.len()) };
    if copy.is_null() {
        return Err(Error::invalid("there is no memory for a commit's metadata"));
    }
    // SAFETY: both have the stated length, the new one is not part of the old; the element owns the copy from now on.
    unsafe {
        std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast(), metadata.len());
        (&raw mut (*element).metadata).write(copy);
        (&raw mut (*element).metadata_size).write(metadata.len());
    }
    Ok(())
}
