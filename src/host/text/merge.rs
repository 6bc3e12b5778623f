//! Reverts vgapt's change of a text that was edited since: line by line, and word by word in lines that both changed.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::words::{self, FileSyntax, Lines};

/// Lines of the common text that are replaced, and their replacement.
struct Change<'a> {
    lines: Range<usize>,
    text: &'a [&'a [u8]],
}

/// The three versions of a text.
#[derive(Clone, Copy)]
pub(in crate::host) struct Texts<'a> {
    /// After vgapt's change.
    pub(in crate::host) left: &'a [u8],
    /// The present text.
    pub(in crate::host) now: &'a [u8],
    /// Before vgapt's change.
    pub(in crate::host) before: &'a [u8],
}

/// The present text without vgapt's change; `None` if an edit cannot be told apart from that change. Changes of
/// neighbouring lines do not conflict.
pub(in crate::host) fn without_ours(texts: Texts<'_>, sort: FileSyntax) -> Option<Vec<u8>> {
    let (left, now, before) = (lines(texts.left), lines(texts.now), lines(texts.before));
    let (edits, ours) = (changes(&left, &now), changes(&left, &before));
    let mut merged = Vec::new();
    let mut at = 0;
    for lines in stretches(&edits, &ours) {
        merged.extend(left[at..lines.start].concat());
        at = lines.end;
        let (edited, reverted) = (within(&left, &edits, &lines), within(&left, &ours, &lines));
        let old = left[lines].concat();
        let text = match () {
            () if edited == old || edited == reverted => reverted,
            () if reverted == old => edited,
            () => {
                let text = |bytes| str::from_utf8(bytes).ok();
                let lines = Lines { left: text(&old)?, now: text(&edited)?, before: text(&reverted)? };
                words::without_ours(lines, sort)?.into_bytes()
            }
        };
        merged.extend(text);
    }
    merged.extend(left[at..].concat());
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

/// The line ranges that were changed by either side; overlapping changes are joined. An insertion before a line comes
/// before a change of that line.
fn stretches(edits: &[Change<'_>], ours: &[Change<'_>]) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = edits.iter().chain(ours).map(|change| change.lines.clone()).collect();
    all.sort_by_key(|lines| (lines.start, lines.end));
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for lines in all {
        match stretches.last_mut().filter(|last| overlap(last, &lines)) {
            Some(last) => last.end = last.end.max(lines.end),
            None => stretches.push(lines),
        }
    }
    stretches
}

/// These lines with the changes applied.
fn within(base: &[&[u8]], changes: &[Change<'_>], lines: &Range<usize>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut at = lines.start;
    let is_in = |change: &&Change<'_>| change.lines == *lines || overlap(&change.lines, lines);
    for change in changes.iter().filter(is_in) {
        text.extend(base[at..change.lines.start].iter().chain(change.text).copied().flatten());
        at = change.lines.end;
    }
    text.extend(base[at..lines.end].iter().copied().flatten());
    text
}

/// Two insertions at one place have no defined order, so they conflict.
fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one == other || (one.start < other.end && other.start < one.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_and_clashes() {
        for (left, now, before, expected) in [
            ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", Some("A\nb\nC\n")),
            ("a\nb\n", "A\nb\n", "a\nB\n", Some("A\nB\n")),
            ("a\nb\n", "a\nx\nb\n", "a\nB\n", Some("a\nx\nB\n")),
            ("a\nb\n", "a\nb\nx\n", "a\n", Some("a\nx\n")),
            ("a\n", "a\nx\n", "a\ny\n", None),
            ("a\nours\nb\n", "a\nours edited\nb\n", "a\nb\n", None),
            ("a\nb\nc\n", "", "a\nB\nc\n", Some("")),
            ("a\nours\n", "a\nmine\n", "a\ntheirs\n", Some("a\nmine\n")),
            ("a\nq ours\n", "a\nq ours mine\n", "a\nq\n", Some("a\nq mine\n")),
            ("a", "a", "b", Some("b")),
            ("", "x\n", "", Some("x\n")),
        ] {
            let texts = Texts { left: left.as_bytes(), now: now.as_bytes(), before: before.as_bytes() };
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(without_ours(texts, FileSyntax::Other), expected, "{left:?} {now:?} {before:?}");
        }
    }
}
