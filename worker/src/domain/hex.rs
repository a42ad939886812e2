//! Hexadecimal digits in lower case, eight at a time and without branches: the digits of random ids cannot be
//! predicted.

/// One in each byte.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
/// The lower half of each byte.
const NIBBLES: u64 = 0xf * ONES;

/// The digits of four bytes.
pub(super) fn encode(bytes: [u8; 4]) -> [u8; 8] {
    let mut digits = u64::from(u32::from_be_bytes(bytes));
    // Halves move apart until each digit has a byte of its own.
    digits = (digits << 16 | digits) & 0x0000_ffff_0000_ffff;
    digits = (digits << 8 | digits) & 0x00ff_00ff_00ff_00ff;
    digits = (digits << 4 | digits) & NIBBLES;
    let letters = (digits + 6 * ONES) >> 4 & ONES;
    // From '0' + 10 to 'a' it is 39.
    (digits + u64::from(b'0') * ONES + 39 * letters).to_be_bytes()
}

/// The four bytes that [`encode`] makes these digits of. Of anything else it makes some bytes or other, which do not
/// become it again.
pub(super) fn decode(digits: [u8; 8]) -> [u8; 4] {
    let text = u64::from_be_bytes(digits);
    let letters = text >> 6 & ONES;
    let digits = ((text & NIBBLES) + 9 * letters) & NIBBLES;
    let pairs = (digits >> 4 | digits) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs >> 8 | pairs) & 0x0000_ffff_0000_ffff;
    ((fours >> 16 | fours) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_of_the_library(bytes: [u8; 4]) {
            let expected = format!("{:08x}", u32::from_be_bytes(bytes));
            prop_assert_eq!(&encode(bytes), expected.as_bytes());
            prop_assert_eq!(decode(encode(bytes)), bytes);
        }

        #[test]
        fn only_digits_come_back(text: [u8; 8], valid in "[0-9a-f]{7}", place in 0..8_usize) {
            let mut nearly = valid.into_bytes();
            nearly.insert(place, text[0]);
            for text in [text, nearly.try_into().unwrap()] {
                let are_digits = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                prop_assert_eq!(encode(decode(text)) == text, are_digits, "{:?}", text);
            }
        }
    }
}
