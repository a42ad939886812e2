//! A panic is a fault of ours in the work for one object. Contained, it costs that object a try and nobody else anything.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::FutureExt;

/// Runs a future.
///
/// # Errors
/// What a panic said. State that the work shares with others must not be left half-changed by it.
pub(crate) async fn contained<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| words(payload.as_ref()))
}

/// The same for work that does not wait.
///
/// # Errors
/// As [`contained`].
pub(crate) fn contained_now<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| words(payload.as_ref()))
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(left: i32, right: i32) -> i32 {
        std::hint::black_box(left) + right
    }

    #[tokio::test]
    async fn a_panic_comes_out_as_its_words() {
        assert_eq!(contained_now(|| add(i32::MAX, 1)).unwrap_err(), "attempt to add with overflow");
        assert_eq!(contained(async { add(i32::MAX, 1) }).await.unwrap_err(), "attempt to add with overflow");
        assert_eq!(contained(async { add(1, 1) }).await, Ok(2));
    }
}
