//! Reverts vgapt's change of a text that was edited since: line by line, and word by word in lines that both changed. The
//! words that were added since stay, even if they were moved.

use std::hash::Hash;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// The syntax of a file whose lines both changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum FileSyntax {
    /// It contains only kernel parameters.
    Parameters,
    /// Lists, such as kernel parameters, are the values of assignments.
    Assignments,
    /// Lists are JSON arrays of strings.
    Strings,
    /// Unknown.
    Other,
}

/// The three versions of a text.
pub(in crate::host) struct Texts<'a, T: ?Sized = [u8]> {
    /// After vgapt's change.
    pub(in crate::host) left: &'a T,
    /// The present text.
    pub(in crate::host) now: &'a T,
    /// Before vgapt's change; empty if vgapt added it.
    pub(in crate::host) before: &'a T,
}

impl<T: ?Sized> Clone for Texts<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Texts<'_, T> {}

/// Lines of the common text that are replaced, and their replacement.
struct Change<'a> {
    lines: Range<usize>,
    text: &'a [&'a [u8]],
}

/// The present text without vgapt's change; `None` if an edit cannot be told apart from that change. Changes of
/// neighbouring lines do not conflict.
pub(in crate::host) fn without_ours(texts: Texts<'_>, syntax: FileSyntax) -> Option<Vec<u8>> {
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
                let lines = Texts { left: text(&old)?, now: text(&edited)?, before: text(&reverted)? };
                words_without_ours(lines, syntax)?.into_bytes()
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
    replaced(base, new).map(|(old, new_lines)| Change { lines: old, text: &new[new_lines] }).collect()
}

/// The ranges of one list that are replaced in another, and by which ranges there.
fn replaced<T: Hash + Ord>(old: &[T], new: &[T]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let operations = capture_diff_slices(Algorithm::Myers, old, new).into_iter();
    operations.filter(|operation| !matches!(operation, DiffOp::Equal { .. })).map(|one| (one.old_range(), one.new_range()))
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

/// The lines without the words that vgapt added, and with those that it removed; `None` if that would leave an incomplete
/// line. If none of vgapt's words is left, they were removed by hand, and the lines stay unchanged.
fn words_without_ours(lines: Texts<'_, str>, syntax: FileSyntax) -> Option<String> {
    let Texts { left, now, before } = lines;
    let changes = word_changes(left, before);
    let ours = || changes.iter().flat_map(|change| &change.ours);
    let is_there = |word: &&str| find(now, word).is_some() || list_of(now, word).is_some();
    if ours().next().is_some() && !ours().any(is_there) {
        return Some(now.to_owned());
    }
    let emptied = if before.is_empty() && syntax == FileSyntax::Assignments { emptied(left) } else { None };
    let is_whole = left.lines().count() == before.lines().count() || matches!(syntax, FileSyntax::Parameters | FileSyntax::Strings);
    if !is_whole && emptied.is_none() {
        return None;
    }
    let changes = emptied.as_deref().map_or(changes, |emptied| word_changes(left, emptied));
    let text = changes.iter().fold(now.to_owned(), |text, change| change.reverted(&text));
    Some(if text.trim().is_empty() && before.is_empty() { String::new() } else { text })
}

/// Words that vgapt wrote, and the words that they replaced.
struct WordChange<'a> {
    ours: Vec<&'a str>,
    theirs: Vec<&'a str>,
    /// The words before and after them.
    after: Option<&'a str>,
    ahead: Option<&'a str>,
}

fn word_changes<'a>(left: &'a str, before: &'a str) -> Vec<WordChange<'a>> {
    let of = |text: &'a str| words(text).into_iter().map(|range| &text[range]).collect::<Vec<_>>();
    let (left, before) = (of(left), of(before));
    let change = |(old, new): (Range<usize>, Range<usize>)| WordChange {
        // A shell variable is not one of vgapt's words.
        ours: left[old.clone()].iter().copied().filter(|word| !word.starts_with('$')).collect(),
        theirs: before[new].to_vec(),
        after: old.start.checked_sub(1).map(|at| left[at]),
        ahead: left.get(old.end).copied(),
    };
    replaced(&left, &before).map(change).collect()
}

impl WordChange<'_> {
    fn reverted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut theirs = self.theirs.clone();
        let mut is_found = false;
        for word in &self.ours {
            if let Some(range) = find(&text, word) {
                text = if theirs.is_empty() { without(&text, range) } else { put(&text, range, &theirs.join(" ")) };
                (is_found, theirs) = (true, Vec::new());
            } else if let Some(range) = list_of(&text, word) {
                let same = |other: &&&str| name(other) == name(word);
                let shortened = shortened(&text[range.clone()], word, theirs.iter().find(same).copied());
                text = if shortened.is_empty() { without(&text, range) } else { put(&text, range, &shortened) };
                theirs.retain(|other| name(other) != name(word));
                is_found = true;
            }
        }
        // If vgapt's words are gone, they were removed on purpose: the replaced words are not restored.
        if theirs.is_empty() || (!is_found && !self.ours.is_empty()) {
            return text;
        }
        let theirs = theirs.join(" ");
        let place = |word: Option<&str>| word.filter(|word| !word.ends_with(['=', ':'])).and_then(|word| find(&text, word));
        if let Some(range) = place(self.after) {
            return put(&text, range.end..range.end, &format!(" {theirs}"));
        }
        place(self.ahead).map_or_else(|| text.clone(), |range| put(&text, range.start..range.start, &format!("{theirs} ")))
    }
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || "\"'()".contains(c)
}

/// The words of a text, separated by whitespace, quotes and parentheses; punctuation alone is not a word.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_between(c)) {
            (None, false) => start = Some(at),
            (Some(first), true) => {
                found.push(first..at);
                start = None;
            }
            _ => {}
        }
    }
    found.retain(|range| text[range.clone()].contains(char::is_alphanumeric));
    found
}

/// The last occurrence of a word.
fn find(text: &str, word: &str) -> Option<Range<usize>> {
    words(text).into_iter().rfind(|range| text[range.clone()] == *word)
}

fn name(word: &str) -> &str {
    word.split('=').next().unwrap_or_default()
}

fn parts(word: &str) -> Vec<&str> {
    word.split_once('=').map_or_else(Vec::new, |(_, value)| value.split(',').filter(|part| !part.is_empty()).collect())
}

/// The last word with the same name whose list shares an item with this word: its list was edited since.
fn list_of(text: &str, word: &str) -> Option<Range<usize>> {
    let ours = parts(word);
    let fits = |other: &str| name(other) == name(word) && parts(other).iter().any(|part| ours.contains(part));
    words(text).into_iter().rfind(|range| fits(&text[range.clone()]))
}

/// A list without the items that vgapt added; empty if nothing is left.
fn shortened(list: &str, ours: &str, theirs: Option<&str>) -> String {
    let (ours, theirs) = (parts(ours), theirs.map(parts).unwrap_or_default());
    let kept: Vec<&str> = parts(list).into_iter().filter(|part| theirs.contains(part) || !ours.contains(part)).collect();
    let back = theirs.iter().copied().filter(|part| !ours.contains(part));
    let kept: Vec<&str> = kept.iter().copied().chain(back.filter(|part| !kept.contains(part))).collect();
    if kept.is_empty() { String::new() } else { format!("{}={}", name(list), kept.join(",")) }
}

fn put(text: &str, range: Range<usize>, word: &str) -> String {
    format!("{}{word}{}", &text[..range.start], &text[range.end..])
}

/// The text without this word, and without the whitespace before it (after it, if it is the first word). For an item of a
/// JSON list, its quotes and comma are removed too.
fn without(text: &str, range: Range<usize>) -> String {
    let (before, after) = (&text[..range.start], &text[range.end..]);
    let is_blank = |c: char| c == ' ' || c == '\t';
    if let (Some(open), Some(rest)) = (before.strip_suffix('"'), after.strip_prefix('"')) {
        if let Some(next) = rest.trim_start().strip_prefix(',') {
            return format!("{}{next}", open.trim_end());
        }
        if let Some(first) = open.trim_end().strip_suffix(',') {
            return format!("{first}{rest}");
        }
    }
    let is_first = before.trim_end_matches(is_blank).is_empty() || before.ends_with(['"', '\'', '(', '\n']);
    if is_first {
        return format!("{before}{}", after.trim_start_matches(is_blank));
    }
    format!("{}{after}", before.trim_end_matches(is_blank))
}

/// Lines of assignments, with their values emptied.
fn emptied(lines: &str) -> Option<String> {
    let of = |line: &str| {
        let opening = ["=\"", "='", "=("].iter().filter_map(|sign| line.find(sign)).min()?;
        Some(format!("{}\n", &line[..=opening]))
    };
    lines.lines().map(of).collect()
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

    #[test]
    fn only_our_words_go() {
        for (left, now, before, expected) in [
            ("X=\"on\"\n", "X=\"on a\"\n", "X=\"\"\n", "X=\"a\"\n"),
            ("X=\"on\"\n", "X=\"a on\"\n", "X=\"\"\n", "X=\"a\"\n"),
            ("X=\"q on\"\n", "X=\"on q a\" # mine\n", "X=\"q\"\n", "X=\"q a\" # mine\n"),
            ("X=\"q on\"\n", "X=\"a\"\n", "X=\"q\"\n", "X=\"a\"\n"),
            ("X=\"i=on q\"\n", "X=\"i=on q a\"\n", "X=\"i=off q\"\n", "X=\"i=off q a\"\n"),
            ("X=\"i=on q\"\n", "X=\"q a\"\n", "X=\"i=off q\"\n", "X=\"q a\"\n"),
            ("X=\"q\"\n", "X=\"q a\"\n", "X=\"q i=off\"\n", "X=\"q i=off a\"\n"),
            ("X=\"q\"\n", "X=\"a q\"\n", "X=\"i=off q\"\n", "X=\"a i=off q\"\n"),
            ("v.ids=1:2,3:4\n", "v.ids=1:2,3:4,5:6\n", "v.ids=1:2\n", "v.ids=1:2,5:6\n"),
            ("q v.ids=1:2\n", "q v.ids=5:6,1:2 a\n", "q\n", "q v.ids=5:6 a\n"),
            ("q v.ids=1:2\n", "q v.ids=5:6 a\n", "q\n", "q v.ids=5:6 a\n"),
            ("M=(v w a)\n", "M=(v w a b)\n", "M=(a)\n", "M=(a b)\n"),
            ("[\"q\", \"on\"]\n", "[\"q\", \"on\", \"a\"]\n", "[\"q\"]\n", "[\"q\", \"a\"]\n"),
            ("[\"q\", \"on\"]\n", "[\"b\", \"q\", \"on\"]\n", "[\"q\"]\n", "[\"b\", \"q\"]\n"),
        ] {
            assert_eq!(
                words_without_ours(Texts { left, now, before }, FileSyntax::Other).as_deref(),
                Some(expected),
                "{left} {now} {before}"
            );
        }
    }

    #[test]
    fn lines_that_are_all_ours() {
        let of = |left: &str, now: &str, syntax: FileSyntax| words_without_ours(Texts { left, now, before: "" }, syntax);
        assert_eq!(of("X=\"on\"\n", "X=\"on a\"\n", FileSyntax::Assignments).as_deref(), Some("X=\"a\"\n"));
        assert_eq!(of("X+=\"$X on\"\n", "X+=\"$X on a\"\n", FileSyntax::Assignments).as_deref(), Some("X+=\"$X a\"\n"));
        assert_eq!(of("X+=(v)\nY+=(w)\n", "X+=(v a)\nY+=(w)\n", FileSyntax::Assignments).as_deref(), Some("X+=(a)\nY+=()\n"));
        assert_eq!(of("on\n", "on a\n", FileSyntax::Parameters).as_deref(), Some("a\n"));
        assert_eq!(of("path = /a\n", "path = /b\n", FileSyntax::Other), None, "half a line would be left");
        assert_eq!(of("ids=1:2 x\n", "", FileSyntax::Other).as_deref(), Some(""), "removed manually");
    }
}
