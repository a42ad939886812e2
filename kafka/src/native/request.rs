//! Sends admin requests. Each has an index, by which its [`Answer`] is known; all answers arrive on one queue.

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

use rdkafka_sys as sys;

use super::answer::Answer;
use super::client::Client;
use super::list::{Element, List, list_of};
use super::object::{Owned, c_text, failure_of_code};
use crate::Error;
use crate::{At, Isolation, TopicPartition};

/// The time given to requests that go to a group's coordinator: the most there is. A request whose time ends while its
/// coordinator is away is freed, yet sent when the coordinator returns, and that aborts the process
/// (confluentinc/librdkafka#4605, open). So the caller watches the time, and replaces the client when it is over.
const COORDINATED: Duration = Duration::from_secs(3600);

/// What every request carries besides its question.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The index of the request within its call; comes back with the answer.
    pub(crate) request_index: usize,
    /// How long librdkafka may take, finding the right broker included.
    pub(crate) timeout: Duration,
}

/// Where the answers to requests arrive. It cannot outlive its client.
pub(crate) struct Queue<'client> {
    native: Owned<sys::rd_kafka_queue_t>,
    client: &'client Client,
}

type Options = Owned<sys::rd_kafka_AdminOptions_t>;

/// A request about a number of things of one type.
type Call<T> = unsafe extern "C" fn(
    *mut sys::rd_kafka_t,
    *mut *mut T,
    usize,
    *const sys::rd_kafka_AdminOptions_t,
    *mut sys::rd_kafka_queue_t,
);

/// What has settings.
#[derive(Clone, Copy)]
pub(crate) enum Resource<'a> {
    Topic(&'a str),
    Broker(i32),
}

impl Resource<'_> {
    fn native(self) -> Result<Owned<sys::rd_kafka_ConfigResource_t>, Error> {
        let (kind, name) = match self {
            Self::Topic(name) => (sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, c_text(name)?),
            Self::Broker(id) => (sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER, c_text(&id.to_string())?),
        };
        // SAFETY: the name is live and copied into the resource, which is ours.
        unsafe {
            Owned::new(sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()), sys::rd_kafka_ConfigResource_destroy)
        }
    }
}

impl<'client> Queue<'client> {
    pub(crate) fn new(client: &'client Client) -> Result<Self, Error> {
        // SAFETY: the client is live and outlives the queue, which gets an owner at once. Requests that are answered
        // after the queue is gone hold their own reference and are dropped by librdkafka.
        let native = unsafe { Owned::new(sys::rd_kafka_queue_new(client.as_ptr()), sys::rd_kafka_queue_destroy) }?;
        Ok(Self { native, client })
    }

    /// Waits for the next answer and has it read; `None` when there was none in time.
    pub(crate) fn poll<R>(&self, wait: Duration, read: impl FnOnce(&Answer) -> R) -> Option<R> {
        // SAFETY: the queue is live; the event gets an owner at once.
        let event = unsafe {
            Owned::new(sys::rd_kafka_queue_poll(self.native.as_ptr(), millis(wait)), sys::rd_kafka_event_destroy)
        };
        event.ok().map(|event| read(&Answer::new(event)))
    }

    /// Asks what a group has committed, for the given partitions or for all that have a commit.
    pub(crate) fn ask_committed(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        require_stable: bool,
        limits: Limits,
    ) -> Result<(), Error> {
        let limits = Limits { timeout: COORDINATED, ..limits };
        let options = self.options(limits)?;
        // SAFETY: live options.
        let refusal = unsafe {
            sys::rd_kafka_AdminOptions_set_require_stable_offsets(options.as_ptr(), c_int::from(require_stable))
        };
        refuse(refusal)?;
        let group = c_text(group)?;
        let partitions = partitions.map(|partitions| element_list(partitions, 0)).transpose()?;
        let list = partitions.as_ref().map_or(std::ptr::null_mut(), Owned::as_ptr);
        // SAFETY: group and list (null means all) are live and copied by the call; the result is ours.
        let request = unsafe {
            Owned::new(
                sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list),
                sys::rd_kafka_ListConsumerGroupOffsets_destroy,
            )
        }?;
        // SAFETY: a call about such an object.
        unsafe { self.ask_about(sys::rd_kafka_ListConsumerGroupOffsets, &request, &options) };
        Ok(())
    }

    /// Asks where logs begin or end.
    pub(crate) fn ask_offsets(
        &self,
        partitions: &[TopicPartition],
        at: At,
        isolation: Isolation,
        limits: Limits,
    ) -> Result<(), Error> {
        let options = self.options(limits)?;
        let level = match isolation {
            Isolation::ReadUncommitted => sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            Isolation::ReadCommitted => sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
        };
        // SAFETY: live options.
        refuse(unsafe { sys::rd_kafka_AdminOptions_set_isolation_level(options.as_ptr(), level) })?;
        let which = match at {
            At::Earliest => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST,
            At::Latest => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST,
        };
        let list = element_list(partitions, which as i64)?;
        // SAFETY: all objects are live, and librdkafka copies the list.
        unsafe {
            sys::rd_kafka_ListOffsets(self.client.as_ptr(), list.as_ptr(), options.as_ptr(), self.native.as_ptr());
        }
        Ok(())
    }

    /// Asks for the state and the members of one group: answers for several come only when the last one is there.
    pub(crate) fn ask_group(&self, group: &str, limits: Limits) -> Result<(), Error> {
        let limits = Limits { timeout: COORDINATED, ..limits };
        let options = self.options(limits)?;
        let group = c_text(group)?;
        let mut groups = [group.as_ptr()];
        // SAFETY: all objects are live, the array has the stated length, and librdkafka copies the names.
        unsafe {
            sys::rd_kafka_DescribeConsumerGroups(
                self.client.as_ptr(),
                groups.as_mut_ptr(),
                groups.len(),
                options.as_ptr(),
                self.native.as_ptr(),
            );
        }
        Ok(())
    }

    /// Asks for the ids and partitions of topics.
    pub(crate) fn ask_topics(&self, topics: &[&str], limits: Limits) -> Result<(), Error> {
        let options = self.options(limits)?;
        let names = topics.iter().map(|topic| c_text(topic)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the names are live and copied into the collection, which is ours.
        let collection = unsafe {
            Owned::new(
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
                sys::rd_kafka_TopicCollection_destroy,
            )
        }?;
        // SAFETY: all objects are live, and librdkafka copies the collection.
        unsafe {
            sys::rd_kafka_DescribeTopics(
                self.client.as_ptr(),
                collection.as_ptr(),
                options.as_ptr(),
                self.native.as_ptr(),
            );
        }
        Ok(())
    }

    /// Asks for the settings of a topic or a broker.
    pub(crate) fn ask_settings(&self, of: Resource<'_>, limits: Limits) -> Result<(), Error> {
        let options = self.options(limits)?;
        let resource = of.native()?;
        // SAFETY: a call about such an object.
        unsafe { self.ask_about(sys::rd_kafka_DescribeConfigs, &resource, &options) };
        Ok(())
    }

    /// Asks that a topic has these settings and no others.
    pub(crate) fn ask_to_alter(&self, topic: &str, settings: &[(&str, &str)], limits: Limits) -> Result<(), Error> {
        let options = self.options(limits)?;
        let resource = Resource::Topic(topic).native()?;
        set_all(&resource, sys::rd_kafka_ConfigResource_set_config, settings)?;
        // SAFETY: a call about such an object.
        unsafe { self.ask_about(sys::rd_kafka_AlterConfigs, &resource, &options) };
        Ok(())
    }

    /// Asks for a new topic, with the brokers' own replication factor if none is given.
    pub(crate) fn ask_to_create(
        &self,
        topic: &str,
        partitions: i32,
        replication: Option<i32>,
        settings: &[(&str, &str)],
        limits: Limits,
    ) -> Result<(), Error> {
        let options = self.options(limits)?;
        let (name, replication) = (c_text(topic)?, replication.unwrap_or(-1));
        // SAFETY: the name is live and copied into the topic, which is ours; no text is asked for in return.
        let new = unsafe {
            let new = sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replication, std::ptr::null_mut(), 0);
            Owned::new(new, sys::rd_kafka_NewTopic_destroy)
        }
        .map_err(|_| {
            Error::invalid(format!("no topic can have {partitions} partitions, {replication} replicas each"))
        })?;
        set_all(&new, sys::rd_kafka_NewTopic_set_config, settings)?;
        // SAFETY: a call about such an object.
        unsafe { self.ask_about(sys::rd_kafka_CreateTopics, &new, &options) };
        Ok(())
    }

    /// Asks that a topic has so many partitions.
    pub(crate) fn ask_to_add(&self, topic: &str, partitions: usize, limits: Limits) -> Result<(), Error> {
        let options = self.options(limits)?;
        let name = c_text(topic)?;
        // SAFETY: the name is live and copied into the request, which is ours; no text is asked for in return.
        let more = unsafe {
            let more = sys::rd_kafka_NewPartitions_new(name.as_ptr(), partitions, std::ptr::null_mut(), 0);
            Owned::new(more, sys::rd_kafka_NewPartitions_destroy)
        }
        .map_err(|_| Error::invalid(format!("no topic can have {partitions} partitions")))?;
        // SAFETY: a call about such an object.
        unsafe { self.ask_about(sys::rd_kafka_CreatePartitions, &more, &options) };
        Ok(())
    }

    /// Asks which brokers there are.
    pub(crate) fn ask_brokers(&self, limits: Limits) -> Result<(), Error> {
        let options = self.options(limits)?;
        // SAFETY: all objects are live.
        unsafe { sys::rd_kafka_DescribeCluster(self.client.as_ptr(), options.as_ptr(), self.native.as_ptr()) };
        Ok(())
    }

    /// # Safety
    /// `call` is librdkafka's for requests of this type.
    unsafe fn ask_about<T>(&self, call: Call<T>, about: &Owned<T>, options: &Options) {
        let mut all = [about.as_ptr()];
        // SAFETY: all objects are live, the array has the stated length, and librdkafka copies what it keeps.
        unsafe {
            call(self.client.as_ptr(), all.as_mut_ptr(), all.len(), options.as_ptr(), self.native.as_ptr());
        }
    }

    fn options(&self, limits: Limits) -> Result<Options, Error> {
        let any = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ANY;
        // SAFETY: the client is live; the options get an owner at once.
        let options = unsafe {
            Owned::new(sys::rd_kafka_AdminOptions_new(self.client.as_ptr(), any), sys::rd_kafka_AdminOptions_destroy)
        }?;
        let (millis, no_text) = (millis(limits.timeout), std::ptr::null_mut());
        // The index travels as the opaque pointer and is never followed: a plain number is enough.
        let request_index: *mut c_void = std::ptr::without_provenance_mut(limits.request_index);
        // SAFETY: live options; no text is asked for in return, so there is no buffer. The time is within the limits
        // that librdkafka checks, so it cannot refuse.
        unsafe {
            sys::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), millis, no_text, 0);
            // For a broker that makes something: it answers when it is made, as far as the time goes.
            sys::rd_kafka_AdminOptions_set_operation_timeout(options.as_ptr(), millis, no_text, 0);
            sys::rd_kafka_AdminOptions_set_opaque(options.as_ptr(), request_index);
        }
        Ok(options)
    }
}

/// Milliseconds as librdkafka takes them: at least 1, at most its own bound of an hour.
fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX).clamp(1, 3_600_000)
}

fn element_list(partitions: &[TopicPartition], offset: i64) -> Result<List, Error> {
    list_of(partitions.iter().map(|(topic, partition)| Element { offset, ..Element::of(topic, *partition) }))
}

/// Gives what is asked for its settings.
fn set_all<T>(
    of: &Owned<T>,
    set: unsafe extern "C" fn(*mut T, *const c_char, *const c_char) -> sys::rd_kafka_resp_err_t,
    settings: &[(&str, &str)],
) -> Result<(), Error> {
    for (name, value) in settings {
        let (name, value) = (c_text(name)?, c_text(value)?);
        // SAFETY: the object and both texts are live, and the texts are copied.
        let code = unsafe { set(of.as_ptr(), name.as_ptr(), value.as_ptr()) };
        failure_of_code(code as c_int).map_or(Ok(()), |failure| Err(Error::invalid(failure.text)))?;
    }
    Ok(())
}

/// Turns a returned error object, which is ours to free, into a refusal.
fn refuse(error: *mut sys::rd_kafka_error_t) -> Result<(), Error> {
    // SAFETY: null, or an error object that the caller was just given.
    let Ok(error) = (unsafe { Owned::new(error, sys::rd_kafka_error_destroy) }) else {
        return Ok(());
    };
    // SAFETY: the object is live.
    match unsafe { super::object::failure_of(error.as_ptr()) } {
        Some(failure) => Err(Error::invalid(failure.text)),
        None => Ok(()),
    }
}
