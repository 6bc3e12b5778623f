//! Two changes of one text brought together, line by line: what somebody edited since, and taking back our own.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Lines of the common text that make room, and what comes in their place.
struct Change<'a> {
    lines: Range<usize>,
    text: &'a [&'a [u8]],
}

/// Both changes of `base`; `None` where they touch the same lines. Neighbouring lines are different lines.
pub(super) fn merged(base: &[u8], one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let (base, one, other) = (lines(base), lines(one), lines(other));
    let mut changes = changes(&base, &one);
    let ours = self::changes(&base, &other);
    if changes.iter().any(|change| ours.iter().any(|our| overlap(&change.lines, &our.lines))) {
        return None;
    }
    changes.extend(ours);
    // What is put in before a line comes before what that line becomes.
    changes.sort_by_key(|change| (change.lines.start, change.lines.end));
    let mut merged = Vec::new();
    let mut at = 0;
    for change in changes {
        merged.extend(base[at..change.lines.start].iter().chain(change.text).copied().flatten());
        at = change.lines.end;
    }
    merged.extend(base[at..].iter().copied().flatten());
    Some(merged)
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

fn changes<'a>(base: &[&[u8]], new: &'a [&'a [u8]]) -> Vec<Change<'a>> {
    let operations = capture_diff_slices(Algorithm::Myers, base, new);
    let changed = operations.into_iter().filter(|operation| !matches!(operation, DiffOp::Equal { .. }));
    changed.map(|operation| Change { lines: operation.old_range(), text: &new[operation.new_range()] }).collect()
}

/// Two insertions at one place have no order.
fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one == other || (one.start < other.end && other.start < one.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_and_clashes() {
        for (base, one, other, expected) in [
            ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", Some("A\nb\nC\n")),
            ("a\nb\n", "A\nb\n", "a\nB\n", Some("A\nB\n")),
            ("a\nb\n", "a\nx\nb\n", "a\nB\n", Some("a\nx\nB\n")),
            ("a\nb\n", "a\nb\nx\n", "a\n", Some("a\nx\n")),
            ("a\nb\n", "a\nx\n", "a\ny\n", None),
            ("a\n", "a\nx\n", "a\ny\n", None),
            ("a\nb\nc\n", "", "a\nB\nc\n", None),
            ("a", "a", "b", Some("b")),
            ("", "x\n", "", Some("x\n")),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(merged(base.as_bytes(), one.as_bytes(), other.as_bytes()), expected, "{base:?} {one:?} {other:?}");
            assert_eq!(merged(base.as_bytes(), other.as_bytes(), one.as_bytes()), expected, "the other way round");
        }
    }
}
