//! The base of this module: the owner of a librdkafka object, and its texts, waits and failures.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka_sys as sys;

use crate::Error;
use crate::failure::Failure;

// The generated bindings declare these with Rust enums as results. The C side hands through whatever number a broker
// sent, and a Rust enum must never hold a number it does not list, hence our own declarations with plain integers.
unsafe extern "C" {
    pub(super) fn rd_kafka_event_error(event: *mut sys::rd_kafka_event_t) -> c_int;
    pub(super) fn rd_kafka_error_code(error: *const sys::rd_kafka_error_t) -> c_int;
    pub(super) fn rd_kafka_err2str(code: c_int) -> *const c_char;
    pub(super) fn rd_kafka_ConfigResource_error(resource: *const sys::rd_kafka_ConfigResource_t) -> c_int;
    pub(super) fn rd_kafka_producev(client: *mut sys::rd_kafka_t, ...) -> c_int;
    pub(super) fn rd_kafka_ConfigEntry_source(entry: *const sys::rd_kafka_ConfigEntry_t) -> c_int;
    pub(super) fn rd_kafka_topic_result_error(result: *const sys::rd_kafka_topic_result_t) -> c_int;
    pub(super) fn rd_kafka_ConsumerGroupDescription_state(
        group: *const sys::rd_kafka_ConsumerGroupDescription_t,
    ) -> c_int;
}

/// The one owner of a librdkafka object: frees it when dropped.
pub(crate) struct Owned<T> {
    pointer: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

// SAFETY: librdkafka's clients and queues are made for concurrent use from any thread, freeing included, as long as
// nobody uses them afterwards, which ownership rules out.
unsafe impl Send for Owned<sys::rd_kafka_t> {}
// SAFETY: as above.
unsafe impl Sync for Owned<sys::rd_kafka_t> {}
// SAFETY: as above.
unsafe impl Send for Owned<sys::rd_kafka_queue_t> {}
// SAFETY: as above.
unsafe impl Sync for Owned<sys::rd_kafka_queue_t> {}

impl<T> Owned<T> {
    /// Takes ownership; null is an error.
    ///
    /// # Safety
    /// `pointer` is null, or nobody else frees it and `free` is how librdkafka wants it freed, from any thread.
    pub(crate) unsafe fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Result<Self, Error> {
        let pointer = NonNull::new(pointer).ok_or_else(|| Error::invalid("librdkafka handed out no object"))?;
        Ok(Self { pointer, free })
    }

    pub(crate) const fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by the promise given to `new` the object is live, ours alone and freed by this function.
        unsafe { (self.free)(self.pointer.as_ptr()) };
    }
}

/// Copies librdkafka's text; null becomes the empty string, and bytes that are not UTF-8 are replaced.
///
/// # Safety
/// `text` is null or points to a string that ends in a zero byte and lives during the call.
pub(crate) unsafe fn owned_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Text as C takes it.
pub(super) fn c_text(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::invalid(format!("the name {text:?} has a zero byte")))
}

/// Milliseconds to wait for something, rounded up: no wait becomes none, and none stays none.
pub(super) fn wait_millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}

/// The failure in an error object; `None` when there is none.
///
/// # Safety
/// `error` is null or a live error object.
pub(super) unsafe fn failure_of(error: *const sys::rd_kafka_error_t) -> Option<Failure> {
    if error.is_null() {
        return None;
    }
    // SAFETY: a live error object, by the caller's promise; its text lives as long and is copied at once.
    let (code, text) = unsafe { (rd_kafka_error_code(error), owned_text(sys::rd_kafka_error_string(error))) };
    // Some answers have no text of their own and end where it should be.
    failure_of_code(code).map(|known| match text.trim_end().strip_suffix(':') {
        Some(text) => Failure { code, text: format!("{text}: {}", known.text) },
        None => Failure { code, text },
    })
}

/// The failure that a bare code stands for; `None` for 0.
pub(crate) fn failure_of_code(code: c_int) -> Option<Failure> {
    // SAFETY: takes any number and returns a static string.
    (code != 0).then(|| Failure { code, text: unsafe { owned_text(rd_kafka_err2str(code)) } })
}
