//! Ids of customers and transactions: any text, and UUIDs in the 16 bytes that they are.
//!
//! A UUID counts as one in its canonical spelling only, 36 characters with lower-case digits. Any other spelling is text,
//! so that every id comes back as it was read.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
};

use compact_str::CompactString;

use super::hex;

/// An id that is kept. Text of up to 24 bytes lies in the value itself, not behind a pointer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Id {
    Uuid([u8; 16]),
    /// Never a canonical UUID.
    Text(CompactString),
}

/// An id that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdRef<'a> {
    Uuid([u8; 16]),
    /// Never a canonical UUID.
    Text(&'a str),
}

/// The text of an id.
pub(crate) enum IdText<'a> {
    Uuid([u8; 36]),
    Text(&'a str),
}

/// Where the canonical spelling of a UUID has the digits of each four of its bytes: two times four digits.
const DIGITS: [[usize; 2]; 4] = [[0, 4], [9, 14], [19, 24], [28, 32]];

impl<'a> From<&'a str> for IdRef<'a> {
    fn from(text: &'a str) -> Self {
        uuid(text.as_bytes()).map_or(Self::Text(text), Self::Uuid)
    }
}

/// The bytes of a canonical UUID.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut bytes = [0; 16];
    for ([first, second], four) in DIGITS.into_iter().zip(bytes.chunks_exact_mut(4)) {
        let mut digits = [0; 8];
        digits[..4].copy_from_slice(&text[first..first + 4]);
        digits[4..].copy_from_slice(&text[second..second + 4]);
        four.copy_from_slice(&hex::decode(digits));
    }
    (canonical(&bytes) == *text).then_some(bytes)
}

/// The canonical spelling of a UUID.
fn canonical(uuid: &[u8; 16]) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let (fours, _) = uuid.as_chunks();
    for ([first, second], four) in DIGITS.into_iter().zip(fours) {
        let digits = hex::encode(*four);
        text[first..first + 4].copy_from_slice(&digits[..4]);
        text[second..second + 4].copy_from_slice(&digits[4..]);
    }
    text
}

impl Hash for IdRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A UUID and a text are never equal, so they need no mark that tells one from the other.
        match self {
            Self::Uuid(bytes) => state.write_u128(u128::from_ne_bytes(*bytes)),
            Self::Text(text) => text.hash(state),
        }
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl From<IdRef<'_>> for Id {
    fn from(id: IdRef<'_>) -> Self {
        match id {
            IdRef::Uuid(bytes) => Self::Uuid(bytes),
            IdRef::Text(text) => Self::Text(text.into()),
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        IdRef::from(text).into()
    }
}

impl Id {
    pub(crate) fn as_ref(&self) -> IdRef<'_> {
        match self {
            Self::Uuid(bytes) => IdRef::Uuid(*bytes),
            Self::Text(text) => IdRef::Text(text),
        }
    }

    pub(crate) fn text(&self) -> IdText<'_> {
        match self {
            Self::Uuid(bytes) => IdText::Uuid(canonical(bytes)),
            Self::Text(text) => IdText::Text(text),
        }
    }

    /// The text, borrowed if the id has it.
    pub(crate) fn cow(&self) -> Cow<'_, str> {
        match self.text() {
            IdText::Text(text) => Cow::Borrowed(text),
            uuid @ IdText::Uuid(_) => Cow::Owned(uuid.to_owned()),
        }
    }

    /// Bytes beside the value itself, with what the allocator keeps beside them.
    pub(crate) fn heap_bytes(&self) -> usize {
        const ALLOCATION: usize = 16;
        match self {
            Self::Text(text) if text.is_heap_allocated() => text.capacity() + ALLOCATION,
            Self::Text(_) | Self::Uuid(_) => 0,
        }
    }

    /// Becomes the other id, in the memory of this one.
    pub(crate) fn set(&mut self, other: IdRef<'_>) {
        match (self, other) {
            (Self::Text(text), IdRef::Text(other)) => {
                text.clear();
                text.push_str(other);
            }
            (it, other) => *it = other.into(),
        }
    }
}

impl Deref for IdText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            // Only digits and hyphens are there, so this is never the fallback.
            Self::Uuid(text) => std::str::from_utf8(text).unwrap_or_default(),
            Self::Text(text) => text,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text(), f)
    }
}

impl Ord for Id {
    /// The order of their texts.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            // The digits are ordered like their values, and the hyphens are at the same places.
            (Self::Uuid(one), Self::Uuid(other)) => one.cmp(other),
            (one, other) => one.text().cmp(&*other.text()),
        }
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "0a1b2c3d-4e5f-6789-abcd-ef0123456789";

    #[test]
    fn an_id_takes_24_bytes_and_no_pointer_when_it_is_a_uuid_or_short() {
        assert_eq!(size_of::<Id>(), 24);
        assert_eq!(size_of::<Option<Id>>(), 24);
        assert!(matches!(Id::from(UUID), Id::Uuid(_)));
        assert!(matches!(Id::from("CUST-0000000000000000001"), Id::Text(text) if !text.is_heap_allocated()));
    }

    #[test]
    fn other_spellings_of_a_uuid_are_text() {
        let spellings = [
            UUID.to_uppercase(),
            UUID.replace('-', ""),
            format!("{{{UUID}}}"),
            UUID.replace('a', "A"),
            UUID.replace('-', "_"),
            UUID.replace('0', "g"),
            UUID.replace('0', "/"),
            UUID.replace('0', ":"),
            UUID.replace('0', "`"),
            "é".repeat(18),
        ];
        for text in spellings {
            assert!(matches!(IdRef::from(text.as_str()), IdRef::Text(_)), "{text}");
            assert_eq!(&*Id::from(text.as_str()).text(), text);
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back_and_is_ordered_as_text(
            one in "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.{0,40}|[0-9a-fA-F-]{36}",
            other in "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.{0,40}|[0-9a-fA-F-]{36}",
        ) {
            let (first, second) = (Id::from(one.as_str()), Id::from(other.as_str()));
            prop_assert_eq!(&*first.text(), one.as_str());
            prop_assert_eq!(first.to_string(), one.as_str());
            prop_assert_eq!(first.as_ref(), IdRef::from(one.as_str()));
            prop_assert_eq!(first.cmp(&second), one.cmp(&other));
            let mut set = first.clone();
            set.set(second.as_ref());
            prop_assert_eq!(set, second);
        }
    }
}
