//! A panic is a bug in the work for one object. It is caught, so it costs that object one attempt and the others
//! nothing.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::FutureExt;

/// Runs a future and catches a panic. The work must not leave state that it shares with others half-changed.
///
/// # Errors
/// The message of the panic.
pub(crate) async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| message(payload.as_ref()))
}

/// The same for work that does not wait.
///
/// # Errors
/// As [`catch_panic`].
pub(crate) fn catch_panic_now<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| message(payload.as_ref()))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(left: i32, right: i32) -> i32 {
        std::hint::black_box(left) + right
    }

    #[tokio::test]
    async fn a_panic_becomes_its_message() {
        assert_eq!(catch_panic_now(|| add(i32::MAX, 1)).unwrap_err(), "attempt to add with overflow");
        assert_eq!(catch_panic(async { add(i32::MAX, 1) }).await.unwrap_err(), "attempt to add with overflow");
        assert_eq!(catch_panic(async { add(1, 1) }).await, Ok(2));
    }
}
