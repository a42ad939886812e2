//! How deeply a JSON text is nested.
//!
//! The parser goes one level deeper into the stack with every bracket, also in fields that are only skipped. Without a
//! bound one record of some kilobytes ends the process, and after it that of every next owner of the partition.

/// Deeper is no transaction; `serde_json` draws the line at the same place.
pub(super) const MAX_DEPTH: usize = 128;

/// Whether brackets nest deeper than [`MAX_DEPTH`]. Of text that is not JSON, that holds up to where it breaks.
pub(super) fn is_too_deep(json: &[u8]) -> bool {
    // Nearly every record has a handful of brackets and needs no closer look.
    openings(json) > MAX_DEPTH && deepest(json) > MAX_DEPTH
}

/// Counts `[` and `{`, those inside strings too.
fn openings(json: &[u8]) -> usize {
    // In blocks whose count fits a byte, and added without a check: so the compiler takes sixteen bytes at a time.
    let one_more = |count: u8, byte: &u8| count.wrapping_add(u8::from(byte | 0x20 == b'{'));
    let in_block = |block: &[u8]| usize::from(block.iter().fold(0, one_more));
    json.chunks(usize::from(u8::MAX)).map(in_block).sum()
}

fn deepest(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Moves behind the closing quote.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn the_limit_is_the_deepest_level_that_passes() {
        assert!(!is_too_deep(nested(MAX_DEPTH).as_bytes()));
        assert!(is_too_deep(nested(MAX_DEPTH + 1).as_bytes()));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(MAX_DEPTH + 1), "}".repeat(MAX_DEPTH + 1));
        assert!(is_too_deep(objects.as_bytes()));
        assert!(is_too_deep("[".repeat(1_000_000).as_bytes()), "never closed");
    }

    #[test]
    fn many_brackets_side_by_side_or_inside_strings_are_not_deep() {
        assert!(!is_too_deep(format!("[{}1]", "[],".repeat(1000)).as_bytes()));
        assert!(!is_too_deep(format!(r#"{{"a":"{}"}}"#, r#"\"[{"#.repeat(1000)).as_bytes()));
        assert!(
            is_too_deep(format!(r#"["\\",{}"#, nested(MAX_DEPTH)).as_bytes()),
            "the string ends behind the backslash"
        );
    }

    #[test]
    fn brackets_are_counted_over_all_blocks() {
        assert_eq!(openings("[".repeat(1000).as_bytes()), 1000);
        assert_eq!(openings("{;".repeat(1000).as_bytes()), 1000);
        assert_eq!(openings(&[b'a', b'}', b']', b'\\', 0xff, 0xdb, 0xfb]), 0);
    }
}
