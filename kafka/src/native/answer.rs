//! Reads librdkafka's result events into plain values.

use std::ffi::{c_char, c_int};

use rdkafka_sys as sys;

use super::object::{
    Owned, failure_of, failure_of_code, owned_text, rd_kafka_ConfigEntry_source, rd_kafka_ConfigResource_error,
    rd_kafka_event_error, rd_kafka_topic_result_error,
};
use crate::failure::Failure;
use crate::{Member, TopicId, TopicPartition};

/// The answer to one request. It is only lent out by [`Queue::poll`](super::Queue::poll), and so cannot outlive the
/// client.
pub(crate) struct Answer {
    event: Owned<sys::rd_kafka_event_t>,
}

/// A partition with everything that answers say about one. Numbers are as librdkafka gives them: negative for "none".
pub(crate) struct RawPartition {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) metadata: String,
    pub(crate) leader_epoch: i32,
    pub(crate) failure: Option<Failure>,
}

/// A group that could be described.
pub(crate) struct RawGroup {
    pub(crate) state: c_int,
    pub(crate) assignor: String,
    pub(crate) members: Vec<Member>,
    pub(crate) coordinator: i32,
}

/// A topic that could be described.
pub(crate) struct RawTopic {
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<RawTopicPartition>,
}

/// One of its partitions.
pub(crate) struct RawTopicPartition {
    pub(crate) id: i32,
    /// Negative for none.
    pub(crate) leader: i32,
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
}

/// A setting that has a value.
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Given to the topic itself.
    pub(crate) is_topics_own: bool,
}

/// Where such a setting comes from.
const OF_TOPIC: c_int = sys::rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG as c_int;

impl RawPartition {
    /// Stands for a partition that an answer leaves out.
    pub(crate) fn unanswered((topic, partition): &TopicPartition) -> Self {
        Self {
            topic: topic.clone(),
            partition: *partition,
            offset: -1,
            metadata: String::new(),
            leader_epoch: -1,
            failure: Some(Failure::unanswered()),
        }
    }
}

type Named<T> = (String, Result<T, Failure>);

impl Answer {
    pub(super) const fn new(event: Owned<sys::rd_kafka_event_t>) -> Self {
        Self { event }
    }

    /// The number given with the request.
    pub(crate) fn request_index(&self) -> usize {
        // SAFETY: a live event. The pointer is the number that was sent, and is only turned back into it.
        unsafe { sys::rd_kafka_event_opaque(self.event.as_ptr()) }.addr()
    }

    /// The result, null where the event is of another type; an error when the request failed as a whole. It belongs to
    /// the event.
    fn result<T>(&self, of: unsafe extern "C" fn(*mut sys::rd_kafka_event_t) -> *const T) -> Result<*const T, Failure> {
        let event = self.event.as_ptr();
        // SAFETY: a live event.
        unsafe {
            outcome(rd_kafka_event_error(event), sys::rd_kafka_event_error_string(event))?;
            Ok(of(event))
        }
    }

    /// The committed offsets of a group.
    pub(crate) fn committed(&self) -> Result<Vec<RawPartition>, Failure> {
        let result = self.result(sys::rd_kafka_event_ListConsumerGroupOffsets_result)?;
        let mut partitions = Vec::new();
        // SAFETY: null, which `elements` takes for empty, or live: groups and lists belong to the event, which outlives
        // this block.
        unsafe {
            for group in elements(result, sys::rd_kafka_ListConsumerGroupOffsets_result_groups) {
                if let Some(failure) = failure_of(sys::rd_kafka_group_result_error(group)) {
                    return Err(failure);
                }
                partitions.extend(read_list(sys::rd_kafka_group_result_partitions(group)));
            }
        }
        Ok(partitions)
    }

    /// Where logs begin or end. Succeeds when at least one leader answered.
    pub(crate) fn offsets(&self) -> Result<Vec<RawPartition>, Failure> {
        let result = self.result(sys::rd_kafka_event_ListOffsets_result)?;
        // SAFETY: as in `committed`.
        let mut partitions: Vec<_> = unsafe {
            let infos = elements(result, sys::rd_kafka_ListOffsets_result_infos);
            infos.map(|info| read_partition(sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info))).collect()
        };
        // A leader that did not answer leaves a negative placeholder and no failure.
        let unanswered = |it: &RawPartition| it.failure.is_none() && it.offset < 0;
        if partitions.iter().all(unanswered) {
            return Err(Failure::unanswered());
        }
        for partition in partitions.iter_mut().filter(|it| unanswered(it)) {
            partition.failure = Some(Failure::unanswered());
        }
        Ok(partitions)
    }

    /// The group asked for.
    pub(crate) fn group(&self) -> Result<RawGroup, Failure> {
        let result = self.result(sys::rd_kafka_event_DescribeConsumerGroups_result)?;
        // SAFETY: as in `committed`.
        unsafe { read_group(only(result, sys::rd_kafka_DescribeConsumerGroups_result_groups)?) }
    }

    /// The topics asked for, by name.
    pub(crate) fn topics(&self) -> Result<Vec<Named<RawTopic>>, Failure> {
        let result = self.result(sys::rd_kafka_event_DescribeTopics_result)?;
        // SAFETY: as in `committed`.
        Ok(unsafe { elements(result, sys::rd_kafka_DescribeTopics_result_topics).map(|it| read_topic(it)).collect() })
    }

    /// The settings asked for, those without a value left out.
    pub(crate) fn settings(&self) -> Result<Vec<Setting>, Failure> {
        let result = self.result(sys::rd_kafka_event_DescribeConfigs_result)?;
        // SAFETY: as in `committed`.
        unsafe {
            let resource = only(result, sys::rd_kafka_DescribeConfigs_result_resources)?;
            resource_outcome(resource)?;
            let entries = elements(resource, sys::rd_kafka_ConfigResource_configs);
            Ok(entries.filter_map(|entry| read_setting(entry)).collect())
        }
    }

    /// Whether a topic was created.
    pub(crate) fn created(&self) -> Result<(), Failure> {
        let result = self.result(sys::rd_kafka_event_CreateTopics_result)?;
        // SAFETY: as in `committed`.
        unsafe { topic_outcome(only(result, sys::rd_kafka_CreateTopics_result_topics)?) }
    }

    /// Whether a topic was given partitions.
    pub(crate) fn partitions_created(&self) -> Result<(), Failure> {
        let result = self.result(sys::rd_kafka_event_CreatePartitions_result)?;
        // SAFETY: as in `committed`.
        unsafe { topic_outcome(only(result, sys::rd_kafka_CreatePartitions_result_topics)?) }
    }

    /// Whether a topic was configured.
    pub(crate) fn settings_altered(&self) -> Result<(), Failure> {
        let result = self.result(sys::rd_kafka_event_AlterConfigs_result)?;
        // SAFETY: as in `committed`.
        unsafe { resource_outcome(only(result, sys::rd_kafka_AlterConfigs_result_resources)?) }
    }

    /// The ids of the brokers.
    pub(crate) fn brokers(&self) -> Result<Vec<i32>, Failure> {
        let result = self.result(sys::rd_kafka_event_DescribeCluster_result)?;
        // SAFETY: as in `committed`.
        Ok(unsafe { elements(result, sys::rd_kafka_DescribeCluster_result_nodes).map(|it| node_id(it)).collect() })
    }
}

/// The one element of an answer about one thing.
///
/// # Safety
/// As for `elements`.
unsafe fn only<T, E>(
    owner: *const T,
    array_of: unsafe extern "C" fn(*const T, *mut usize) -> *mut *const E,
) -> Result<*const E, Failure> {
    // SAFETY: by the caller's promise.
    unsafe { elements(owner, array_of) }.next().ok_or_else(Failure::unanswered)
}

/// An error for every code but 0.
///
/// # Safety
/// `text` is null or as `owned_text` takes it.
unsafe fn outcome(code: c_int, text: *const c_char) -> Result<(), Failure> {
    let Some(failure) = failure_of_code(code) else { return Ok(()) };
    // SAFETY: by the caller's promise.
    let text = Some(unsafe { owned_text(text) }).filter(|text| !text.is_empty());
    Err(Failure { text: text.unwrap_or(failure.text), code })
}

/// # Safety
/// `resource` is live.
unsafe fn resource_outcome(resource: *const sys::rd_kafka_ConfigResource_t) -> Result<(), Failure> {
    // SAFETY: a live resource.
    unsafe { outcome(rd_kafka_ConfigResource_error(resource), sys::rd_kafka_ConfigResource_error_string(resource)) }
}

/// # Safety
/// `topic` is live.
unsafe fn topic_outcome(topic: *const sys::rd_kafka_topic_result_t) -> Result<(), Failure> {
    // SAFETY: a live result.
    unsafe { outcome(rd_kafka_topic_result_error(topic), sys::rd_kafka_topic_result_error_string(topic)) }
}

/// # Safety
/// `entry` is live.
unsafe fn read_setting(entry: *const sys::rd_kafka_ConfigEntry_t) -> Option<Setting> {
    // SAFETY: a live entry, whose texts are copied.
    unsafe {
        let value = sys::rd_kafka_ConfigEntry_value(entry);
        (!value.is_null()).then(|| Setting {
            name: owned_text(sys::rd_kafka_ConfigEntry_name(entry)),
            value: owned_text(value),
            is_topics_own: rd_kafka_ConfigEntry_source(entry) == OF_TOPIC,
        })
    }
}

/// The elements of an array that belongs to `owner`, null ones left out (librdkafka leaves gaps for what a broker did
/// not answer).
///
/// # Safety
/// `owner` is null or live, `array_of` is the function that gives its array, and the caller uses the elements no longer
/// than `owner` lives.
unsafe fn elements<'a, T: 'a, E: 'a>(
    owner: *const T,
    array_of: unsafe extern "C" fn(*const T, *mut usize) -> *mut *const E,
) -> impl Iterator<Item = *const E> + 'a {
    let mut count = 0;
    // SAFETY: `owner` is live; `count` is set to the length of the returned array.
    let array = if owner.is_null() { std::ptr::null_mut() } else { unsafe { array_of(owner, &raw mut count) } };
    let count = if array.is_null() { 0 } else { count };
    // SAFETY: within the array, which lives as long as `owner`.
    (0..count).map(move |index| unsafe { *array.add(index) }).filter(|element| !element.is_null())
}

/// # Safety
/// `list` is null or a live list.
unsafe fn read_list(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<RawPartition> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: a live list has `cnt` elements at `elems`.
    unsafe { (0..usize::try_from((*list).cnt).unwrap_or(0)).map(|at| read_partition((*list).elems.add(at))).collect() }
}

/// Reads the fields one by one: a reference to the whole would claim that its error code is one of those the bindings
/// list, which a broker decides.
///
/// # Safety
/// `partition` is a live element.
unsafe fn read_partition(partition: *const sys::rd_kafka_topic_partition_t) -> RawPartition {
    // SAFETY: every field of a live element is initialised; texts are copied; metadata has the stated size or is null.
    unsafe {
        let metadata = (&raw const (*partition).metadata).read().cast::<u8>();
        let size = (&raw const (*partition).metadata_size).read();
        let bytes = if metadata.is_null() { &[] } else { std::slice::from_raw_parts(metadata, size) };
        RawPartition {
            topic: owned_text((&raw const (*partition).topic).read()),
            partition: (&raw const (*partition).partition).read(),
            offset: (&raw const (*partition).offset).read(),
            metadata: String::from_utf8_lossy(bytes).into_owned(),
            leader_epoch: sys::rd_kafka_topic_partition_get_leader_epoch(partition),
            failure: failure_of_code((&raw const (*partition).err).cast::<c_int>().read()),
        }
    }
}

/// # Safety
/// `group` is a live description.
unsafe fn read_group(group: *const sys::rd_kafka_ConsumerGroupDescription_t) -> Result<RawGroup, Failure> {
    // SAFETY: everything read belongs to the live description and is copied.
    unsafe {
        if let Some(failure) = failure_of(sys::rd_kafka_ConsumerGroupDescription_error(group)) {
            return Err(failure);
        }
        let members = 0..sys::rd_kafka_ConsumerGroupDescription_member_count(group);
        Ok(RawGroup {
            state: super::object::rd_kafka_ConsumerGroupDescription_state(group),
            assignor: owned_text(sys::rd_kafka_ConsumerGroupDescription_partition_assignor(group)),
            members: members
                .map(|index| read_member(sys::rd_kafka_ConsumerGroupDescription_member(group, index)))
                .collect(),
            coordinator: node_id(sys::rd_kafka_ConsumerGroupDescription_coordinator(group)),
        })
    }
}

/// # Safety
/// `member` is a live description.
unsafe fn read_member(member: *const sys::rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: everything read belongs to the live description and is copied; a member without an assignment has an
    // empty list or none.
    unsafe {
        let assignment = sys::rd_kafka_MemberDescription_assignment(member);
        let partitions = if assignment.is_null() {
            Vec::new()
        } else {
            read_list(sys::rd_kafka_MemberAssignment_partitions(assignment))
        };
        Member {
            member_id: owned_text(sys::rd_kafka_MemberDescription_consumer_id(member)),
            client_id: owned_text(sys::rd_kafka_MemberDescription_client_id(member)),
            host: owned_text(sys::rd_kafka_MemberDescription_host(member)),
            assignment: partitions.into_iter().map(|it| (it.topic, it.partition)).collect(),
        }
    }
}

/// # Safety
/// `topic` is a live description.
unsafe fn read_topic(topic: *const sys::rd_kafka_TopicDescription_t) -> Named<RawTopic> {
    // SAFETY: everything read belongs to the live description and is copied; one without an error has an id.
    unsafe {
        let name = owned_text(sys::rd_kafka_TopicDescription_name(topic));
        if let Some(failure) = failure_of(sys::rd_kafka_TopicDescription_error(topic)) {
            return (name, Err(failure));
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let partitions =
            elements(topic, sys::rd_kafka_TopicDescription_partitions).map(|partition| RawTopicPartition {
                id: sys::rd_kafka_TopicPartitionInfo_partition(partition),
                leader: node_id(sys::rd_kafka_TopicPartitionInfo_leader(partition)),
                replicas: elements(partition, sys::rd_kafka_TopicPartitionInfo_replicas).count(),
                in_sync: elements(partition, sys::rd_kafka_TopicPartitionInfo_isr).count(),
            });
        let description = RawTopic {
            id: TopicId::from_halves(
                sys::rd_kafka_Uuid_most_significant_bits(id),
                sys::rd_kafka_Uuid_least_significant_bits(id),
            ),
            partitions: partitions.collect(),
        };
        (name, Ok(description))
    }
}

/// # Safety
/// `node` is null or live.
unsafe fn node_id(node: *const sys::rd_kafka_Node_t) -> i32 {
    // SAFETY: not null, hence live.
    if node.is_null() { -1 } else { unsafe { sys::rd_kafka_Node_id(node) } }
}
