//! The two ways of a connection, message by message.

use std::io::ErrorKind;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::ProxyError;
use super::frame::Frame;

/// Most of what is taken off a socket at once.
const CHUNK: usize = 64 * 1024;

/// What comes in.
pub(super) struct Incoming {
    socket: OwnedReadHalf,
    chunk: Box<[u8]>,
    received: Vec<u8>,
}

/// What goes out; the way is closed when this is dropped.
pub(super) struct Outgoing {
    socket: OwnedWriteHalf,
}

impl Incoming {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        Self { socket, chunk: vec![0; CHUNK].into(), received: Vec::new() }
    }

    /// The next message; none when the sender has ended the connection, be it in the middle of one. Whoever stops
    /// waiting for it finds it later.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, ProxyError> {
        loop {
            if let Some(frame) = Frame::take(&mut self.received)? {
                return Ok(Some(frame));
            }
            self.socket.readable().await?;
            match self.socket.try_read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(length) => self.received.extend_from_slice(&self.chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Outgoing {
    pub(super) fn new(socket: OwnedWriteHalf) -> Self {
        Self { socket }
    }

    /// Returns when the whole message is on its way.
    pub(super) async fn send(&self, mut bytes: &[u8]) -> Result<(), ProxyError> {
        while !bytes.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
