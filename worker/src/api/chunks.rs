//! Large answers as a stream of chunks: a blocking writer on one end, a response body on the other.
//!
//! Memory stays at a few chunks however long the answer is and however slowly it is read. An answer that cannot be
//! finished ends in an error of the connection, never in a body that looks complete.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks ready ahead of the reader.
const CHUNKS_AHEAD: usize = 2;
/// A reader slower than this for a whole answer is let go, with the memory it holds.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What a chunk's receiver sees: data, or that all of it was sent.
enum Chunk {
    Data(Bytes),
    End,
}

/// Collects what is written into chunks and hands each to the response body, waiting while the reader is behind.
pub(super) struct ChunkWriter {
    buffer: Vec<u8>,
    chunks: mpsc::Sender<Chunk>,
    runtime: Handle,
    deadline: Instant,
}

/// Runs `write` on a blocking thread and gives what it writes as a body. `write` may hold permits and data: they are
/// released when it returns, at the latest when the reader is gone or has been too slow.
pub(super) fn body(write: impl FnOnce(&mut ChunkWriter) -> io::Result<()> + Send + 'static) -> Body {
    let (chunks, received) = mpsc::channel(CHUNKS_AHEAD);
    let mut writer = ChunkWriter {
        buffer: Vec::with_capacity(CHUNK_BYTES),
        chunks,
        runtime: Handle::current(),
        deadline: Instant::now() + READ_TIMEOUT,
    };
    tokio::task::spawn_blocking(move || {
        let finished = write(&mut writer).and_then(|()| writer.flush()).and_then(|()| writer.send(Chunk::End));
        if let Err(error) = finished {
            tracing::debug!(%error, "an answer was not read to its end");
        }
    });
    Body::from_stream(stream::try_unfold(received, |mut received| async move {
        match received.recv().await {
            Some(Chunk::Data(data)) => Ok(Some((data, received))),
            Some(Chunk::End) => Ok(None),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer could not be finished")),
        }
    }))
}

impl ChunkWriter {
    fn send(&self, chunk: Chunk) -> io::Result<()> {
        let sent = async { tokio::time::timeout_at(self.deadline, self.chunks.send(chunk)).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the reader is too slow")),
        }
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        self.send(Chunk::Data(full.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_answer_arrives_whole_and_in_order() {
        let written = body(|writer| (0..100_000).try_for_each(|number| writeln!(writer, "{number}")));
        let read = axum::body::to_bytes(written, usize::MAX).await.unwrap();
        let expected: String = (0..100_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn an_answer_that_fails_midway_is_an_error_and_not_a_short_answer() {
        let written = body(|writer| {
            writer.write_all(b"half of it")?;
            Err(io::Error::other("the other half is missing"))
        });
        assert!(axum::body::to_bytes(written, usize::MAX).await.is_err());
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_the_writer() {
        let (ended, end) = std::sync::mpsc::channel();
        drop(body(move |writer| {
            let result = (0..u64::MAX).try_for_each(|number| writeln!(writer, "{number}"));
            ended.send(result.is_err()).unwrap();
            result
        }));
        assert!(tokio::task::spawn_blocking(move || end.recv().unwrap()).await.unwrap());
    }
}
