//! Numbers as they are shown.

/// To a tenth; the sum of nothing is -0.0, which nobody writes.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0 + 0.0
}

/// In percent.
#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
pub(super) fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { rounded(100.0 * part as f64 / all as f64) }
}
