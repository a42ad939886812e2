//! A topic's id: a topic that was deleted and recreated has the same name and another id.

use std::fmt;

/// The 128 bits Kafka gives a topic at its creation. `Display` is Kafka's own form: 22 characters of URL-safe base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(u128);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl TopicId {
    /// The id of a topic without one: brokers before Kafka 2.8 give none.
    pub const NONE: Self = Self(0);

    /// The id from the two halves that librdkafka returns.
    pub const fn from_halves(most_significant: i64, least_significant: i64) -> Self {
        let high = most_significant.cast_unsigned() as u128;
        let low = least_significant.cast_unsigned() as u128;
        Self(high << 64 | low)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 22 characters carry 132 bits: the last one holds only 2 of the 128 and is padded with zeros.
        for index in 0..22_u32 {
            let bits = if index < 21 { self.0 >> (122 - 6 * index) } else { self.0 << 4 };
            let sextet = usize::try_from(bits & 0x3f).unwrap_or_default();
            write!(f, "{}", char::from(ALPHABET[sextet]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_kafka_prints_it() {
        // The last pair is made of 0xfbefbe…: it needs the character in which URL-safe base64 differs from the plain
        // form.
        for (most, least, text) in [
            (0, 0, "AAAAAAAAAAAAAAAAAAAAAA"),
            (0, 1, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (-1, -1, "_____________________w"),
            (0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f, "AAECAwQFBgcICQoLDA0ODw"),
            (-0x0410_4104_1041_0411, 0, "----------8AAAAAAAAAAA"),
        ] {
            assert_eq!(TopicId::from_halves(most, least).to_string(), text);
        }
    }
}
