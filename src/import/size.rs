//! Sizes as QEMU writes them.

use crate::model::Size;

/// The size of `-m` and `-numa mem=`: a bare number is MiB.
pub(super) fn read(text: &str) -> Option<Size> {
    size(text, 20)
}

/// The size of an object: a bare number is bytes.
pub(super) fn read_bytes(text: &str) -> Option<Size> {
    size(text, 0)
}

/// QEMU's sizes (`do_strtosz` of `util/cutils.c`): bytes in hexadecimal, or a number, also with a
/// fraction, and a suffix of one letter.
fn size(text: &str, bare: u32) -> Option<Size> {
    let text = text.trim_matches('"').trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok()?.checked_mul(1 << bare).map(Size::from_bytes);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" => bare,
        "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return text.parse().ok(),
    };
    if let Ok(number) = number.parse::<u64>() {
        return number.checked_mul(1 << shift).map(Size::from_bytes);
    }
    fraction(number.parse().ok()?, shift)
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // As QEMU does.
fn fraction(number: f64, shift: u32) -> Option<Size> {
    let bytes = number * (1_u64 << shift) as f64;
    (bytes < u64::MAX as f64).then(|| Size::from_bytes(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(read("1.5G"), Some(Size::from_bytes(3 << 29)));
        assert_eq!((read("8"), read_bytes("4294967296")), (Some(Size::from_bytes(8 << 20)), Some(Size::from_bytes(4 << 30))));
        assert_eq!((read("lots"), read("1.2.3G")), (None, None));
    }
}
