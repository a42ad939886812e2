//! Ends connections whose client has stopped reading its answer, or does not come to the end of a request's head: each
//! holds one of the places that others wait for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::connections::Connection;

/// How long a client may take.
#[derive(Clone, Copy)]
pub(super) struct IoTimeouts {
    /// From the first byte of a request to the end of its head.
    pub(super) head: Duration,
    /// Until it takes something more of its answer.
    pub(super) write: Duration,
}

/// A stream that fails when its client takes longer; it notes at the `connection` whether the client reads.
pub(super) struct TimeoutStream<S> {
    stream: S,
    timeouts: IoTimeouts,
    connection: Arc<Connection>,
    /// A head that has begun and is not known to be complete.
    head: Option<PartialHead>,
    /// Runs while a write waits.
    writing: Option<Pin<Box<Sleep>>>,
}

/// The head of a request, as far as it has come.
struct PartialHead {
    /// It has to be complete by then.
    end_by: Instant,
    /// Requests of the connection before it.
    requests_before: u64,
    /// Only once more of it is waited for: most heads come in one piece.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> TimeoutStream<S> {
    pub(super) fn new(stream: S, timeouts: IoTimeouts, connection: Arc<Connection>) -> Self {
        Self { stream, timeouts, connection, head: None, writing: None }
    }

    fn within_limit<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.writing.take().is_some() {
                self.connection.set_reading(true);
            }
            return written;
        }
        let Self { timeouts, connection, writing, .. } = self;
        let timer = writing.get_or_insert_with(|| {
            connection.set_reading(false);
            Box::pin(sleep(timeouts.write))
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, into);
        if read.is_pending() {
            this.connection.is_read();
        }
        let requests = this.connection.requests();
        this.head.take_if(|head| head.requests_before != requests);
        if this.connection.is_working() {
            return read;
        }
        let Some(head) = &mut this.head else {
            if into.filled().len() > before {
                let end_by = Instant::now() + this.timeouts.head;
                this.head = Some(PartialHead { end_by, requests_before: requests, timer: None });
            }
            return read;
        };
        let timer = head.timer.get_or_insert_with(|| Box::pin(sleep_until(head.end_by)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not end its request")))
            }
            Poll::Pending => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.within_limit(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bytes);
        this.within_limit(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Instant;

    use tokio::net::UnixStream;

    use super::super::connections::{Bounds, Connections};
    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);
    /// Some times what the system keeps for a reader.
    const LONG: usize = 4 << 20;

    fn with_timeouts(stream: UnixStream) -> TimeoutStream<UnixStream> {
        TimeoutStream::new(stream, IoTimeouts { head: LIMIT, write: LIMIT }, Connection::new())
    }

    async fn write(stream: UnixStream) -> io::Result<()> {
        let (mut stream, answer) = (with_timeouts(stream), vec![0; LONG]);
        let mut left = &answer[..];
        while !left.is_empty() {
            let written = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, left)).await?;
            left = &left[written..];
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_given_up() {
        let (near, _far) = UnixStream::pair().unwrap();
        let begun = Instant::now();
        assert_eq!(write(near).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_slow_client_that_reads_on_is_served() {
        let (near, far) = UnixStream::pair().unwrap();
        let begun = Instant::now();
        let writer = tokio::spawn(write(near));
        let (mut read, mut part) = (0, vec![0; LONG / 20]);
        while read < LONG {
            sleep(LIMIT / 10).await;
            far.readable().await.unwrap();
            read += far.try_read(&mut part).unwrap_or(0);
        }
        writer.await.unwrap().unwrap();
        assert!(begun.elapsed() > LIMIT, "longer than the limit as a whole");
    }

    async fn read(stream: &mut TimeoutStream<UnixStream>) -> io::Result<usize> {
        let mut into = [0; 16];
        let mut into = ReadBuf::new(&mut into);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut into)).await?;
        Ok(into.filled().len())
    }

    #[tokio::test]
    async fn a_head_that_comes_byte_by_byte_is_not_waited_for_and_a_silent_client_is() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut stream = with_timeouts(near);
        assert!(tokio::time::timeout(2 * LIMIT, read(&mut stream)).await.is_err(), "nothing has begun");
        let begun = Instant::now();
        let error = loop {
            far.try_write(b"x").unwrap();
            match read(&mut stream).await {
                Ok(bytes) => assert_eq!(bytes, 1),
                Err(error) => break error,
            }
            sleep(LIMIT / 10).await;
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LIMIT && begun.elapsed() < 3 * LIMIT, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_client_that_is_silent_after_its_answer_is_not_cut_off() {
        let bounds = Bounds { open: 1, reserved: 0, working: 1 };
        let slot = Connections::new(bounds).admit().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let timeouts = IoTimeouts { head: LIMIT, write: LIMIT };
        let mut stream = TimeoutStream::new(near, timeouts, slot.connection.clone());
        for part in [&b"GET / HTT"[..], b"P/1.1\r\n\r\n"] {
            far.try_write(part).unwrap();
            assert_eq!(read(&mut stream).await.unwrap(), part.len());
        }
        // Answered at once, with no read in between.
        drop(slot.begin(false).unwrap());
        assert!(tokio::time::timeout(2 * LIMIT, read(&mut stream)).await.is_err(), "it was cut off");
    }
}
