//! The border to librdkafka: each of its objects has one owner here that frees it, and every pointer that comes out of
//! it is copied into plain values before it can dangle.

use std::ffi::{CStr, c_char};

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
