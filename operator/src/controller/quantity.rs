//! Pure. Amounts of CPU and memory in Kubernetes' notation. The API server normalizes them: `0.5` comes back as `500m`,
//! `1024Mi` as `1Gi`, `1000P` as `1E`.

/// Whether two texts are the same quantity.
pub(super) fn is_same(left: &str, right: &str) -> bool {
    matches!((milli(left), milli(right)), (Some(left), Some(right)) if left == right)
}

/// Whether the left quantity is more than the right one; false if either cannot be read.
pub(super) fn is_more(left: &str, right: &str) -> bool {
    matches!((milli(left), milli(right)), (Some(left), Some(right)) if left > right)
}

/// A quantity in thousandths; `None` if the text is no quantity, or one finer than that.
fn milli(text: &str) -> Option<i128> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let digits = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unit = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = value.checked_mul(scale(suffix)?)?;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    (scaled % unit == 0).then_some(sign * (scaled / unit))
}

/// Thousandths in one unit of a suffix.
fn scale(suffix: &str) -> Option<i128> {
    let thousands = |power| 1_000_i128.checked_pow(power);
    match suffix {
        "m" => Some(1),
        "" => thousands(1),
        "k" => thousands(2),
        "M" => thousands(3),
        "G" => thousands(4),
        "T" => thousands(5),
        "P" => thousands(6),
        "E" => thousands(7),
        "Ki" => Some(1_000 << 10),
        "Mi" => Some(1_000 << 20),
        "Gi" => Some(1_000 << 30),
        "Ti" => Some(1_000 << 40),
        "Pi" => Some(1_000 << 50),
        "Ei" => Some(1_000 << 60),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_i128.checked_pow(u32::try_from(power.checked_add(3)?).ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_compared_by_value() {
        for (left, right) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1.5Gi", "1536Mi"),
            ("2k", "2000"),
            ("+1", "1"),
            ("0.5e3", "500"),
            ("1E3", "1k"),
            ("5e-1", "500m"),
            ("1000P", "1E"),
        ] {
            assert!(is_same(left, right), "{left} {right}");
        }
        assert!(!is_same("1Gi", "1G") && !is_same("a", "b") && !is_same("", "0m") && !is_same("-1", "1"));
        assert!(is_more("1Gi", "512Mi") && !is_more("512Mi", "512Mi") && !is_more("x", "1"));
    }
}
