//! A walk through a message of Kafka, field by field, for whoever looks for a place in it.

/// Where a walk has come.
///
/// In flexible versions (KIP-482) lengths are variable and one too large, 0 being null, and every structure ends with
/// tagged fields; in older ones lengths are two or four bytes, −1 being null.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    message: &'a [u8],
    at: usize,
    flexible: bool,
}

/// The message is shorter than its fields, or no number is where one should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Cursor<'a> {
    pub(super) fn new(message: &'a [u8], flexible: bool) -> Self {
        Self { message, at: 0, flexible }
    }

    /// How many bytes are behind it.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), Malformed> {
        self.take(length).map(drop)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.number().map(i32::from_be_bytes)
    }

    /// A string that may be null, which is then empty.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = if self.flexible {
            self.varint()?.saturating_sub(1)
        } else {
            usize::try_from(i16::from_be_bytes(self.number()?)).unwrap_or(0)
        };
        self.take(length)
    }

    /// Bytes that may be null.
    pub(super) fn skip_bytes(&mut self) -> Result<(), Malformed> {
        let length = self.count()?;
        self.skip(length)
    }

    /// Walks through every element of an array that may be null.
    pub(super) fn each(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        for _ in 0..self.count()? {
            element(self)?;
        }
        Ok(())
    }

    /// Skips the tagged fields at the end of a structure; gives the beginning of the one with tag 0, if there is one.
    pub(super) fn tagged(&mut self) -> Result<Option<Self>, Malformed> {
        let mut first = None;
        let fields = if self.flexible { self.varint()? } else { 0 };
        for _ in 0..fields {
            let (tag, size) = (self.varint()?, self.varint()?);
            if tag == 0 {
                first = Some(*self);
            }
            self.skip(size)?;
        }
        Ok(first)
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        if self.flexible { Ok(self.varint()?.saturating_sub(1)) } else { Ok(usize::try_from(self.i32()?).unwrap_or(0)) }
    }

    fn varint(&mut self) -> Result<usize, Malformed> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let [byte] = self.number()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn number<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Malformed> {
        self.take(SIZE)?.try_into().map_err(|_| Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let rest = self.message.get(self.at..).ok_or(Malformed)?;
        let taken = rest.get(..length).ok_or(Malformed)?;
        self.at += length;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_both_forms() {
        let mut old = Cursor::new(b"\0\x02ab\xff\xff\0\0\0\x01\x07", false);
        assert_eq!((old.string(), old.string()), (Ok(&b"ab"[..]), Ok(&b""[..])));
        assert_eq!((old.skip_bytes(), old.at()), (Ok(()), 11));
        let mut flexible = Cursor::new(b"\x03ab\0\x02\x07", true);
        assert_eq!((flexible.string(), flexible.string()), (Ok(&b"ab"[..]), Ok(&b""[..])));
        assert_eq!((flexible.skip_bytes(), flexible.at()), (Ok(()), 6));
    }

    #[test]
    fn long_lengths_take_several_bytes() {
        let mut message = vec![0x81, 0x02];
        message.extend([7; 256]);
        let mut cursor = Cursor::new(&message, true);
        assert_eq!(cursor.string().map(<[u8]>::len), Ok(256));
        assert_eq!(Cursor::new(&[0xff; 9], true).string(), Err(Malformed));
    }

    #[test]
    fn tagged_fields_are_skipped_and_the_first_is_found() {
        let mut cursor = Cursor::new(b"\x02\x01\x02ab\0\x01c\x09", true);
        let mut first = cursor.tagged().unwrap().unwrap();
        assert_eq!((first.take(1), cursor.take(1)), (Ok(&b"c"[..]), Ok(&b"\x09"[..])));
        assert!(Cursor::new(b"\x01", false).tagged().unwrap().is_none());
    }

    #[test]
    fn the_end_of_the_message_is_never_passed() {
        assert_eq!(Cursor::new(b"\0\0\0", false).i32(), Err(Malformed));
        assert_eq!(Cursor::new(b"\x05ab", true).string(), Err(Malformed));
        assert_eq!(Cursor::new(b"\x02\x01\x05", true).tagged().map(drop), Err(Malformed));
    }
}
