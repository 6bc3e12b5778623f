//! Formats sizes and reasons for messages.

use crate::model::Size;

/// How many reasons are shown.
const TOLD: usize = 5;

/// The first reasons, and how many more there are.
pub(super) fn shortened(reasons: &[String]) -> String {
    let more = reasons.len().saturating_sub(TOLD);
    let first = reasons[..reasons.len() - more].join("; ");
    if more > 0 { format!("{first}; and {more} more") } else { first }
}

/// A size for people: 3.2 GiB.
pub(super) fn human_size(size: Size) -> String {
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let in_units = |shift: u32| size.bytes() as f64 / (1_u64 << shift) as f64;
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| size.bytes() >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", in_units(*shift)).replace(".0 ", " "),
        None => format!("{} B", size.bytes()),
    }
}
