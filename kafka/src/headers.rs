//! A record's headers, whatever their names: the safe crate panics at one that is not UTF-8, and anybody who may produce
//! can write such a record.

use std::ffi::CStr;

use rdkafka::message::BorrowedMessage;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

/// Names and values in their order, copied. In a name, what is not UTF-8 is replaced by `U+FFFD`.
pub fn headers(record: &BorrowedMessage<'_>) -> Vec<(String, Option<Vec<u8>>)> {
    let mut all = std::ptr::null_mut();
    // SAFETY: the message is live as long as `record`; the headers that are found belong to it and are only read.
    if unsafe { sys::rd_kafka_message_headers(record.ptr(), &raw mut all) } != OK {
        return Vec::new();
    }
    let mut found = Vec::new();
    loop {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: as above; past the last header it answers with an error and writes nothing.
        let code =
            unsafe { sys::rd_kafka_header_get_all(all, found.len(), &raw mut name, &raw mut value, &raw mut size) };
        if code != OK || name.is_null() {
            return found;
        }
        // SAFETY: a name ends with a zero byte; a value has `size` bytes, or is null when there is none.
        let (name, value) = unsafe {
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            (CStr::from_ptr(name).to_string_lossy().into_owned(), value)
        };
        found.push((name, value));
    }
}
