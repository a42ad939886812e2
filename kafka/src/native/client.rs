//! One librdkafka client for admin calls, and what it reports about itself: in goes a configuration, out come its log
//! lines and connection errors as plain events.

use std::ffi::{CStr, c_char};

use rdkafka::ClientConfig;
use rdkafka_sys as sys;

use super::{Owned, owned_text, rd_kafka_event_error};
use crate::Error;

/// A running client. Every call below it may come from any thread.
pub(crate) struct Client {
    // Dropped in this order: a queue must go before its client.
    events: Owned<sys::rd_kafka_queue_t>,
    handle: Owned<sys::rd_kafka_t>,
}

// SAFETY: librdkafka's client handles and queues are made for concurrent use from any thread, freeing included, as long
// as nobody uses them afterwards, which ownership rules out.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

/// Something the client says about itself, unasked.
pub(crate) enum ClientEvent {
    /// A connection could not be made or was lost: librdkafka's code and words.
    Error { code: i32, text: String },
    /// A log line with its syslog level and facility.
    Log { level: i32, facility: String, text: String },
}

/// Frees a client that only made admin calls: there is no group to leave, so none is waited for.
unsafe extern "C" fn destroy(handle: *mut sys::rd_kafka_t) {
    // SAFETY: called once by the owner of the handle.
    unsafe { sys::rd_kafka_destroy_flags(handle, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
}

impl Client {
    /// Starts a client of the consumer type. It connects by itself, in the background.
    pub(crate) fn start(config: &ClientConfig) -> Result<Self, Error> {
        let config = config.create_native_config().map_err(|error| Error::invalid(error.to_string()))?;
        let events = sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_LOG;
        // SAFETY: a live configuration that we own.
        unsafe { sys::rd_kafka_conf_set_events(config.ptr(), events) };
        let mut reason: [c_char; 512] = [0; 512];
        // SAFETY: the configuration is live, the buffer has the stated size, and librdkafka ends its text with a zero.
        let handle = unsafe {
            sys::rd_kafka_new(sys::rd_kafka_type_t::RD_KAFKA_CONSUMER, config.ptr(), reason.as_mut_ptr(), reason.len())
        };
        if handle.is_null() {
            // SAFETY: see above.
            let reason = unsafe { CStr::from_ptr(reason.as_ptr()) };
            return Err(Error::invalid(reason.to_string_lossy()));
        }
        // A client that could be made owns its configuration.
        std::mem::forget(config);
        // SAFETY: new, live and ours.
        let handle = unsafe { Owned::new(handle, destroy) }?;
        // SAFETY: the handle is live; errors, logs and what concerns the group then all come by one queue, which gets
        // an owner of its own.
        let events = unsafe {
            sys::rd_kafka_poll_set_consumer(handle.as_ptr());
            sys::rd_kafka_set_log_queue(handle.as_ptr(), std::ptr::null_mut());
            Owned::new(sys::rd_kafka_queue_get_consumer(handle.as_ptr()), sys::rd_kafka_queue_destroy)
        }?;
        Ok(Self { events, handle })
    }

    pub(super) const fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.handle.as_ptr()
    }

    /// The next thing the client has to say; `None` when it has said everything.
    pub(crate) fn next_event(&self) -> Option<ClientEvent> {
        loop {
            // SAFETY: the queue is live as long as `self`; the event gets an owner at once.
            let event =
                unsafe { Owned::new(sys::rd_kafka_queue_poll(self.events.as_ptr(), 0), sys::rd_kafka_event_destroy) };
            let event = event.ok()?;
            // SAFETY: the event is live.
            match unsafe { sys::rd_kafka_event_type(event.as_ptr()) } {
                sys::RD_KAFKA_EVENT_ERROR => return Some(error_event(&event)),
                sys::RD_KAFKA_EVENT_LOG => return Some(log_event(&event)),
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
