//! Memory that is free but still this process's.

/// Gives free memory back to the system, wherever it lies.
///
/// librdkafka takes its buffers from C's allocator, as does the rest of the process. That one returns by itself only
/// what lies at the end of its heaps: a customer's state behind a hundred megabytes of freed buffers keeps them all.
/// Takes some milliseconds for each hundred megabytes, in which other threads may wait for memory. Only glibc has this
/// call; with other libraries, nothing happens.
pub fn give_back_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call has no precondition, and may come from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
