//! A producer and its transactions. Calls take a timeout and return plain outcomes with librdkafka's flags.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Code;
use sys::rd_kafka_vtype_t as Argument;

use super::client::{Client, ClientEvent, Purpose};
use super::list::{Element, List, list_of};
use super::object::{Owned, c_text, failure_of, failure_of_code, rd_kafka_producev, wait_millis};
use crate::failure::Failure;
use crate::{Error, GroupMetadata, OffsetToCommit, Record};

/// librdkafka's number for a partition of its own choice.
const ANY_PARTITION: i32 = -1;

/// One client of the producer type.
pub(crate) struct Producer {
    client: Arc<Client>,
}

/// A call that adds a group's offsets: all that it needs, so that it can be left to itself.
struct Addition {
    client: Arc<Client>,
    offsets: List,
    membership: GroupMetadata,
    timeout: Duration,
}

// SAFETY: the list is plain data with this one owner; the others may move anyway.
unsafe impl Send for Addition {}

/// A failed call, with librdkafka's flags for what may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallFailure {
    pub(crate) failure: Failure,
    /// The client can no longer be used.
    pub(crate) is_fatal: bool,
    /// The same call resumes where this one stopped.
    pub(crate) is_retriable: bool,
}

type Headers = Owned<sys::rd_kafka_headers_t>;

impl Producer {
    pub(crate) fn start(config: &ClientConfig) -> Result<Self, Error> {
        Ok(Self { client: Arc::new(Client::start(config, Purpose::Producer)?) })
    }

    /// The client's next event; `None` if none comes within `wait`.
    pub(crate) fn next_event(&self, wait: Duration) -> Option<ClientEvent> {
        self.client.next_event(wait)
    }

    /// Queues a copy of the record. Each queued record gets one delivery report.
    pub(crate) fn produce(&self, record: &Record<'_>) -> Result<(), Failure> {
        let topic = c_text(record.topic).map_err(invalid)?;
        let headers = headers_of(record.headers).map_err(invalid)?;
        let (key, key_size) = raw(record.key);
        let (value, value_size) = raw(record.value);
        // SAFETY: a live client; each argument has the type its name stands for, and the list of them is ended. All
        // texts and bytes are copied by the call, the headers are taken over if it succeeds and left alone if not.
        let code = unsafe {
            rd_kafka_producev(
                self.client.as_ptr(),
                Argument::RD_KAFKA_VTYPE_TOPIC,
                topic.as_ptr(),
                Argument::RD_KAFKA_VTYPE_PARTITION,
                record.partition.unwrap_or(ANY_PARTITION),
                Argument::RD_KAFKA_VTYPE_MSGFLAGS,
                sys::RD_KAFKA_MSG_F_COPY,
                Argument::RD_KAFKA_VTYPE_KEY,
                key,
                key_size,
                Argument::RD_KAFKA_VTYPE_VALUE,
                value,
                value_size,
                Argument::RD_KAFKA_VTYPE_HEADERS,
                headers.as_ref().map_or(std::ptr::null_mut(), Owned::as_ptr),
                Argument::RD_KAFKA_VTYPE_END,
            )
        };
        match failure_of_code(code) {
            Some(failure) => Err(failure),
            None => {
                std::mem::forget(headers);
                Ok(())
            }
        }
    }

    /// Queues copies of the records for one partition, in order, and returns how many. Each queued record gets one
    /// delivery report.
    ///
    /// One call that looks up topic and partition once is less work than [`produce`](Self::produce) for each record.
    pub(crate) fn produce_records<'a>(
        &self,
        topic: &str,
        partition: i32,
        records: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> (usize, Result<(), Failure>) {
        let topic = match self.topic(topic) {
            Ok(topic) => topic,
            Err(error) => return (0, Err(invalid(error))),
        };
        let mut messages: Vec<_> = records.map(message).collect();
        let count = i32::try_from(messages.len()).unwrap_or(i32::MAX);
        let (first, flags) = (messages.as_mut_ptr(), sys::RD_KAFKA_MSG_F_COPY);
        // SAFETY: a live topic of a live client, and not more messages than there are. All bytes are copied by the
        // call, which only writes to each message's error.
        let queued = unsafe { sys::rd_kafka_produce_batch(topic.as_ptr(), partition, flags, first, count) };
        // SAFETY: a message of the list; the code is read as the plain number it is.
        let code = |index| unsafe { (&raw const (*first.add(index)).err).cast::<c_int>().read() };
        let refused = (0..messages.len()).find_map(|index| failure_of_code(code(index)));
        (usize::try_from(queued).unwrap_or(0), refused.map_or(Ok(()), Err))
    }

    /// The client's topic of this name. It must not outlive the client.
    fn topic(&self, name: &str) -> Result<Owned<sys::rd_kafka_topic_t>, Error> {
        let name = c_text(name)?;
        // SAFETY: a live client and a text that ends; without a configuration it gets the client's.
        unsafe {
            let topic = sys::rd_kafka_topic_new(self.client.as_ptr(), name.as_ptr(), std::ptr::null_mut());
            Owned::new(topic, sys::rd_kafka_topic_destroy)
        }
    }

    /// Registers the transactional id with its coordinator.
    pub(crate) fn init(&self, timeout: Duration) -> Result<(), CallFailure> {
        // SAFETY: a live client; the returned error is ours.
        unsafe { outcome(sys::rd_kafka_init_transactions(self.client.as_ptr(), wait_millis(timeout))) }
    }

    /// Begins a transaction, which asks no broker.
    pub(crate) fn begin(&self) -> Result<(), CallFailure> {
        // SAFETY: as in `init`.
        unsafe { outcome(sys::rd_kafka_begin_transaction(self.client.as_ptr())) }
    }

    /// Adds a group's offsets to the open transaction, as the given member of the group.
    ///
    /// librdkafka does not keep this call's time: without a coordinator it waits for the state of any connection to
    /// change, however long that takes (confluentinc/librdkafka#5456 and #5511, open). So the call has a thread of its
    /// own, which is left to itself when the time is over. It ends, and the client with it once nobody else has it,
    /// when the coordinator is found. That is tried whenever a connection comes or goes: with `connections.max.idle.ms`
    /// at least that often.
    pub(crate) fn send_offsets(
        &self,
        offsets: &[OffsetToCommit<'_>],
        membership: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), CallFailure> {
        let elements = offsets.iter().map(|it| Element {
            topic: it.topic,
            partition: it.partition,
            offset: it.offset,
            leader_epoch: it.leader_epoch,
            metadata: it.metadata,
        });
        let offsets = list_of(elements).map_err(|error| CallFailure::from(invalid(error)))?;
        let addition = Addition { client: Arc::clone(&self.client), offsets, membership: membership.clone(), timeout };
        let (done, outcome) = mpsc::sync_channel(1);
        let call = move || {
            let outcome = addition.call();
            // The client first: in all other cases it ends where its owner drops it.
            drop(addition);
            let _ = done.send(outcome);
        };
        let failed = |text: String| Failure { code: Code::RD_KAFKA_RESP_ERR__TIMED_OUT as i32, text };
        if let Err(error) = thread::Builder::new().name("send-offsets".into()).spawn(call) {
            return Err(failed(format!("there is no thread to send offsets with: {error}")).into());
        }
        outcome.recv_timeout(timeout).unwrap_or_else(|_| {
            Err(failed("the group's coordinator was not found, or did not answer, in time".into()).into())
        })
    }

    /// Commits the open transaction. It would wait for delivery reports that nobody reads, so read them before.
    pub(crate) fn commit(&self, timeout: Duration) -> Result<(), CallFailure> {
        // SAFETY: as in `init`.
        unsafe { outcome(sys::rd_kafka_commit_transaction(self.client.as_ptr(), wait_millis(timeout))) }
    }

    /// Aborts the open transaction. It would wait for delivery reports that nobody reads, so read them before.
    pub(crate) fn abort(&self, timeout: Duration) -> Result<(), CallFailure> {
        // SAFETY: as in `init`.
        unsafe { outcome(sys::rd_kafka_abort_transaction(self.client.as_ptr(), wait_millis(timeout))) }
    }
}

impl Addition {
    fn call(&self) -> Result<(), CallFailure> {
        // SAFETY: as in `Producer::init`; list and membership are live, and librdkafka copies both.
        unsafe {
            outcome(sys::rd_kafka_send_offsets_to_transaction(
                self.client.as_ptr(),
                self.offsets.as_ptr(),
                self.membership.as_ptr(),
                wait_millis(self.timeout),
            ))
        }
    }
}

impl From<Failure> for CallFailure {
    /// A failure that no call of the transaction's is waiting to go on with.
    fn from(failure: Failure) -> Self {
        Self { failure, is_fatal: false, is_retriable: false }
    }
}

/// Reads the error that a call returned, which is ours to free.
///
/// # Safety
/// `error` is null or an error object that the caller was just given.
unsafe fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), CallFailure> {
    // SAFETY: by the caller's promise.
    let Ok(error) = (unsafe { Owned::new(error, sys::rd_kafka_error_destroy) }) else {
        return Ok(());
    };
    // SAFETY: the object is live.
    unsafe {
        let Some(failure) = failure_of(error.as_ptr()) else {
            return Ok(());
        };
        Err(CallFailure {
            failure,
            is_fatal: sys::rd_kafka_error_is_fatal(error.as_ptr()) != 0,
            is_retriable: sys::rd_kafka_error_is_retriable(error.as_ptr()) != 0,
        })
    }
}

fn headers_of(headers: &[(&str, Option<&[u8]>)]) -> Result<Option<Headers>, Error> {
    if headers.is_empty() {
        return Ok(None);
    }
    // SAFETY: the size is only a hint; the list is ours.
    let list = unsafe { Owned::new(sys::rd_kafka_headers_new(headers.len()), sys::rd_kafka_headers_destroy) }?;
    for (name, value) in headers {
        let (value, size) = raw(*value);
        // SAFETY: a live list; name and value have the stated sizes and are copied.
        unsafe {
            sys::rd_kafka_header_add(
                list.as_ptr(),
                name.as_ptr().cast(),
                name.len().cast_signed(),
                value,
                size.cast_signed(),
            );
        }
    }
    Ok(Some(list))
}

/// A record as librdkafka takes it by the batch.
fn message((key, value): (&[u8], &[u8])) -> sys::rd_kafka_message_t {
    sys::rd_kafka_message_t {
        err: Code::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: std::ptr::null_mut(),
        partition: 0,
        payload: value.as_ptr().cast_mut().cast(),
        len: value.len(),
        key: key.as_ptr().cast_mut().cast(),
        key_len: key.len(),
        offset: 0,
        _private: std::ptr::null_mut(),
    }
}

/// Bytes as C takes them; none are null, which is not the same as an empty value.
fn raw(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((std::ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

fn invalid(error: Error) -> Failure {
    Failure { code: Code::RD_KAFKA_RESP_ERR__INVALID_ARG as i32, text: error.to_string() }
}
