//! Messages on the wire: a length of four bytes, then a header that begins with what the proxy needs to know.

use super::{Api, ProxyError};

/// The bytes of a message's length.
const LENGTH: usize = 4;
/// Brokers refuse larger requests too (`socket.request.max.bytes`).
const LARGEST: u32 = 100 * 1024 * 1024;

/// One request or response, with its length.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

/// How a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) api: Api,
    pub(super) version: i16,
    /// The response has the same.
    pub(super) correlation: i32,
}

impl Frame {
    /// Takes the first message off what has been received, once it is whole.
    pub(super) fn take(received: &mut Vec<u8>) -> Result<Option<Self>, ProxyError> {
        let Some((prefix, rest)) = received.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix);
        if length > LARGEST {
            return Err(ProxyError::NotKafka(format!("a message of {length} bytes")));
        }
        let length = length as usize;
        if rest.len() < length {
            return Ok(None);
        }
        let after = received.split_off(LENGTH + length);
        Ok(Some(Self(std::mem::replace(received, after))))
    }

    /// What goes over the wire.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// All but the length.
    pub(super) fn message(&mut self) -> &mut [u8] {
        &mut self.0[LENGTH..]
    }

    /// The head of a request.
    pub(super) fn head(&self) -> Result<Head, ProxyError> {
        let key = i16::from_be_bytes(self.number(0)?);
        let version = i16::from_be_bytes(self.number(2)?);
        Ok(Head { api: Api::from(key), version, correlation: i32::from_be_bytes(self.number(4)?) })
    }

    /// Which request a response answers.
    pub(super) fn correlation(&self) -> Result<i32, ProxyError> {
        Ok(i32::from_be_bytes(self.number(0)?))
    }

    fn number<const SIZE: usize>(&self, at: usize) -> Result<[u8; SIZE], ProxyError> {
        let bytes = self.0.get(LENGTH + at..LENGTH + at + SIZE).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| ProxyError::NotKafka(format!("a message of {} bytes", self.0.len() - LENGTH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Result<(Vec<Frame>, Vec<u8>), ProxyError> {
        let (mut frames, mut received) = (Vec::new(), bytes.to_vec());
        while let Some(frame) = Frame::take(&mut received)? {
            frames.push(frame);
        }
        Ok((frames, received))
    }

    #[test]
    fn messages_are_told_apart_and_keep_every_byte() {
        let bytes = b"\0\0\0\x0a\0\x1a\0\x01\0\0\x01\x02\0\0\0\0\0\x04\0\0\0\x09";
        let (frames, rest) = frames(bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!(frames.iter().flat_map(Frame::bytes).copied().collect::<Vec<_>>(), bytes);
        assert_eq!(frames[0].head().unwrap(), Head { api: Api::EndTxn, version: 1, correlation: 258 });
        assert_eq!(frames[1].correlation().unwrap(), 9);
    }

    #[test]
    fn a_message_is_taken_when_it_is_whole() {
        for part in [&b"\0\0"[..], b"\0\0\0\x04", b"\0\0\0\x04\0\0\0"] {
            let (frames, rest) = frames(part).unwrap();
            assert!(frames.is_empty() && rest == part);
        }
        let (frames, rest) = frames(b"\0\0\0\x04\0\0\0\x01\0\0").unwrap();
        assert_eq!((frames.len(), rest), (1, vec![0, 0]));
    }

    #[test]
    fn what_cannot_be_a_message_of_kafka_is_refused() {
        let error = frames(b"GET / HTTP/1.1").unwrap_err().to_string();
        assert!(error.contains("a message of 1195725856 bytes"), "{error}");
        let (frames, _) = frames(b"\0\0\0\x02\0\x1a").unwrap();
        assert!(frames[0].head().is_err() && frames[0].correlation().is_err());
    }
}
