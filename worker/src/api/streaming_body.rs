//! Streams large answers in pieces: each piece is made when the client has taken the earlier ones.
//!
//! Only its own answer waits for a slow client: no thread, no lock, no other request. An answer that cannot be finished
//! ends in an error of the connection, never in a body that looks complete.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;

/// The least bytes of a piece, except for the last one.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// The time limit for a whole answer. After it, the connection is closed and the answer's memory is freed.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The body that `pieces` are, as far as they are taken in time.
pub(super) fn body(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    within(READ_TIMEOUT, pieces)
}

/// What is made of values, a piece at a time, between which other requests get their turn.
pub(super) fn written(pieces: impl Iterator<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    body(stream::unfold(pieces, |mut pieces| async move {
        tokio::task::yield_now().await;
        Some((pieces.next()?, pieces))
    }))
}

fn within(limit: Duration, pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    let deadline = Instant::now() + limit;
    Body::from_stream(pieces.map(move |piece| {
        let piece = if Instant::now() < deadline {
            piece
        } else {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"))
        };
        piece.inspect_err(|error| tracing::debug!(%error, "an answer is not sent to its end"))
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn numbers(count: u32) -> impl Iterator<Item = io::Result<Bytes>> + Send {
        (0..count).map(|number| Ok(format!("{number}\n").into()))
    }

    #[tokio::test]
    async fn a_long_answer_arrives_whole_and_in_order() {
        let read = to_bytes(written(numbers(100_000)), usize::MAX).await.unwrap();
        let expected: String = (0..100_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn an_answer_that_fails_midway_is_an_error_and_not_a_short_answer() {
        let pieces = numbers(3).chain([Err(io::Error::other("the other half is missing"))]);
        assert!(to_bytes(written(pieces), usize::MAX).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_in_time_ends_in_an_error() {
        let limit = Duration::from_millis(50);
        let slow = stream::iter(numbers(3)).then(move |piece| async move {
            tokio::time::sleep(limit).await;
            piece
        });
        assert!(to_bytes(within(limit, slow), usize::MAX).await.is_err());
        assert!(to_bytes(within(limit, stream::iter(numbers(3))), usize::MAX).await.is_ok());
    }
}
