//! One librdkafka client, with its log lines, connection errors and delivery reports as plain events.

use std::ffi::{CStr, c_char, c_int};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka_sys as sys;

use super::object::{Owned, failure_of_code, owned_text, rd_kafka_event_error, wait_millis};
use crate::Error;
use crate::failure::Failure;

/// A running client. Every call below it may come from any thread.
pub(crate) struct Client {
    // Dropped in this order: a queue must go before its client.
    events: Owned<sys::rd_kafka_queue_t>,
    handle: Owned<sys::rd_kafka_t>,
}

/// What a client is for; librdkafka makes and ends them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Admin calls alone.
    Admin,
    /// Sending records.
    Producer,
}

/// An event that the client reports by itself.
pub(crate) enum ClientEvent {
    /// A connection could not be made or was lost: librdkafka's code and words.
    Error { code: i32, text: String },
    /// A log line with its syslog level and facility.
    Log { level: i32, facility: String, text: String },
    /// The delivery reports of sent records.
    Delivered(Delivered),
}

/// The delivery reports of a number of records.
pub(crate) struct Delivered {
    pub(crate) count: u64,
    /// The first of them that was not delivered.
    pub(crate) undelivered: Option<Undelivered>,
}

/// A record that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undelivered {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) failure: Failure,
}

/// Frees a client that only made admin calls: there is no group to leave, so none is waited for.
unsafe extern "C" fn destroy_admin(handle: *mut sys::rd_kafka_t) {
    // SAFETY: called once by the owner of the handle.
    unsafe { sys::rd_kafka_destroy_flags(handle, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
}

impl Purpose {
    fn client_type(self) -> sys::rd_kafka_type_t {
        match self {
            Self::Admin => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            Self::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        }
    }

    fn events(self) -> c_int {
        let always = sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_LOG;
        if self == Self::Producer { always | sys::RD_KAFKA_EVENT_DR } else { always }
    }

    fn destroy(self) -> unsafe extern "C" fn(*mut sys::rd_kafka_t) {
        if self == Self::Admin { destroy_admin } else { sys::rd_kafka_destroy }
    }
}

impl Client {
    /// Starts a client. It connects by itself, in the background.
    pub(crate) fn start(config: &ClientConfig, purpose: Purpose) -> Result<Self, Error> {
        let config = config.create_native_config().map_err(|error| Error::invalid(error.to_string()))?;
        // SAFETY: a live configuration that we own.
        unsafe { sys::rd_kafka_conf_set_events(config.ptr(), purpose.events()) };
        let mut reason: [c_char; 512] = [0; 512];
        // SAFETY: the configuration is live, the buffer has the stated size, and librdkafka ends its text with a zero.
        let handle =
            unsafe { sys::rd_kafka_new(purpose.client_type(), config.ptr(), reason.as_mut_ptr(), reason.len()) };
        if handle.is_null() {
            // SAFETY: see above.
            let reason = unsafe { CStr::from_ptr(reason.as_ptr()) };
            return Err(Error::invalid(reason.to_string_lossy()));
        }
        // A client that could be made owns its configuration.
        std::mem::forget(config);
        // SAFETY: new, live and ours.
        let handle = unsafe { Owned::new(handle, purpose.destroy()) }?;
        // SAFETY: the handle is live; errors, logs, delivery reports and what concerns the group then all come by one
        // queue, which gets an owner of its own.
        let events = unsafe {
            let queue = if purpose == Purpose::Producer {
                sys::rd_kafka_queue_get_main(handle.as_ptr())
            } else {
                sys::rd_kafka_poll_set_consumer(handle.as_ptr());
                sys::rd_kafka_queue_get_consumer(handle.as_ptr())
            };
            sys::rd_kafka_set_log_queue(handle.as_ptr(), std::ptr::null_mut());
            Owned::new(queue, sys::rd_kafka_queue_destroy)
        }?;
        Ok(Self { events, handle })
    }

    pub(super) const fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.handle.as_ptr()
    }

    /// The client's next event; `None` if none comes within `wait`.
    pub(crate) fn next_event(&self, wait: Duration) -> Option<ClientEvent> {
        loop {
            // SAFETY: the queue is live as long as `self`; the event gets an owner at once.
            let event = unsafe {
                Owned::new(
                    sys::rd_kafka_queue_poll(self.events.as_ptr(), wait_millis(wait)),
                    sys::rd_kafka_event_destroy,
                )
            };
            let event = event.ok()?;
            // SAFETY: the event is live.
            match unsafe { sys::rd_kafka_event_type(event.as_ptr()) } {
                sys::RD_KAFKA_EVENT_ERROR => return Some(error_event(&event)),
                sys::RD_KAFKA_EVENT_LOG => return Some(log_event(&event)),
                sys::RD_KAFKA_EVENT_DR => return Some(ClientEvent::Delivered(delivery_event(&event))),
                _ => {}
            }
        }
    }

    /// Whether any broker has ever described the cluster to this client.
    pub(crate) fn has_met_a_broker(&self) -> bool {
        // SAFETY: a live handle; with no time to wait the call only looks at what is known. The text is ours to free,
        // and librdkafka's allocator is C's own.
        let cluster_id = unsafe { Owned::new(sys::rd_kafka_clusterid(self.as_ptr(), 0), free_text) };
        cluster_id.is_ok()
    }
}

unsafe extern "C" fn free_text(text: *mut c_char) {
    // SAFETY: text that librdkafka allocated for the caller; no client is needed to free it.
    unsafe { sys::rd_kafka_mem_free(std::ptr::null_mut(), text.cast()) };
}

fn error_event(event: &Owned<sys::rd_kafka_event_t>) -> ClientEvent {
    // SAFETY: the event is live, and its text is copied before it goes.
    unsafe {
        ClientEvent::Error {
            code: rd_kafka_event_error(event.as_ptr()),
            text: owned_text(sys::rd_kafka_event_error_string(event.as_ptr())),
        }
    }
}

fn log_event(event: &Owned<sys::rd_kafka_event_t>) -> ClientEvent {
    let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
    // SAFETY: a live log event; both texts belong to it and are copied before it goes.
    unsafe {
        sys::rd_kafka_event_log(event.as_ptr(), &raw mut facility, &raw mut text, &raw mut level);
        ClientEvent::Log { level, facility: owned_text(facility), text: owned_text(text) }
    }
}

fn delivery_event(event: &Owned<sys::rd_kafka_event_t>) -> Delivered {
    let mut delivered = Delivered { count: 0, undelivered: None };
    loop {
        // SAFETY: a live delivery report, whose messages live as long as it does; null ends them.
        let message = unsafe { sys::rd_kafka_event_message_next(event.as_ptr()) };
        if message.is_null() {
            return delivered;
        }
        delivered.count += 1;
        if delivered.undelivered.is_none() {
            // SAFETY: just found to be there.
            delivered.undelivered = unsafe { undelivered(message) };
        }
    }
}

/// # Safety
/// `message` is a live message of a delivery report.
unsafe fn undelivered(message: *const sys::rd_kafka_message_t) -> Option<Undelivered> {
    // SAFETY: every field of a live message is initialised, its topic lives as long; the code is read as the plain
    // number it is.
    unsafe {
        let mut failure = failure_of_code((&raw const (*message).err).cast::<c_int>().read())?;
        let explained = owned_text(sys::rd_kafka_message_produce_errstr(message));
        if !explained.is_empty() {
            failure.text = format!("{}: {explained}", failure.text);
        }
        Some(Undelivered {
            topic: owned_text(sys::rd_kafka_topic_name((&raw const (*message).rkt).read())),
            partition: (&raw const (*message).partition).read(),
            failure,
        })
    }
}
