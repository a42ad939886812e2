//! Ends connections whose client has stopped reading: each holds one of the places that others wait for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream that fails once writing has made no progress for `limit`.
pub(super) struct Impatient<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, timer: None }
    }

    fn within_limit<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
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

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);
    /// Some times what the system keeps for a reader.
    const LONG: usize = 4 << 20;

    async fn write(stream: UnixStream) -> io::Result<()> {
        let (mut stream, answer) = (Impatient::new(stream, LIMIT), vec![0; LONG]);
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
}
