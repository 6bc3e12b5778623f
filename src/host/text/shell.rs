//! Finds and edits variable assignments in a file that a shell reads, such as /etc/default/grub. `parts` is the only code
//! that follows a shell's quotes and comments.

use std::collections::BTreeSet;
use std::ops::Range;

/// How the value of an assignment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Quotes {
    /// `"…"`
    Double,
    /// `'…'`
    Single,
    /// No quotes.
    None,
    /// Several parts in a row, or an array: only a shell can read it.
    Mixed,
}

/// One assignment of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Assignment {
    /// The value without its quotes, as a byte range of the text.
    pub(in crate::host) inside: Range<usize>,
    /// Its quotes.
    pub(in crate::host) quotes: Quotes,
    /// Whether it appends to the variable: by `+=`, or by the variable's own name in the value.
    pub(in crate::host) adds: bool,
    /// Whether it is always executed: not inside an `if`, not after `&&`.
    pub(in crate::host) certain: bool,
}

/// All assignments of a variable, in order.
pub(in crate::host) fn assignments(text: &str, name: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    // Most texts do not name it, which is seen sooner than how a shell reads them.
    if !text.contains(name) {
        return found;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        // A statement includes the lines that a quote, a backslash or a parenthesis joins to it.
        let length = code_length(&text[at..], '\n', |c| c == '\n');
        let end = (at + length + 1).min(text.len());
        let statement = &text[at..end];
        match statement.trim_start().split(|c: char| c.is_whitespace() || c == ';').next() {
            Some("if" | "case" | "for" | "while" | "until" | "{") => depth += 1,
            Some("fi" | "esac" | "done" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        found.extend(within(statement, name).into_iter().map(|one| Assignment {
            inside: at + one.inside.start..at + one.inside.end,
            certain: one.certain && depth == 0,
            ..one
        }));
        at = end;
    }
    found
}

/// Replaces a value, and adds quotes if it had none.
pub(in crate::host) fn replace(text: &str, assignment: &Assignment, value: &str) -> String {
    let quote = if assignment.quotes == Quotes::None { "\"" } else { "" };
    format!("{}{quote}{value}{quote}{}", &text[..assignment.inside.start], &text[assignment.inside.end..])
}

/// A text with one more line at its end.
pub(in crate::host) fn with_line(text: &str, line: &str) -> String {
    let line_break = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{line_break}{line}\n")
}

/// What a character is to a shell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    /// Quoted or escaped, or what begins that.
    Quoted,
    /// The end of a quoted part.
    Closing,
    Comment,
}

/// The characters of a text with their places, as a shell reads them after the character `before`.
fn parts(text: &str, mut before: char) -> impl Iterator<Item = (usize, char, Part)> {
    let (mut quote, mut is_escaped, mut is_comment) = (None, false, false);
    text.char_indices().map(move |(at, c)| {
        let was_escaped = std::mem::take(&mut is_escaped);
        let previous = std::mem::replace(&mut before, if was_escaped { '\\' } else { c });
        is_comment = (is_comment || (c == '#' && quote.is_none() && previous.is_whitespace() && !was_escaped)) && c != '\n';
        let part = match (c, quote) {
            _ if is_comment => Part::Comment,
            _ if was_escaped => Part::Quoted,
            ('\\', None | Some('"')) => {
                is_escaped = true;
                Part::Quoted
            }
            ('"' | '\'' | '`', None) => {
                quote = Some(c);
                Part::Quoted
            }
            (_, Some(open)) if c == open => {
                quote = None;
                Part::Closing
            }
            (_, Some(_)) => Part::Quoted,
            (_, None) => Part::Code,
        };
        (at, c, part)
    })
}

/// A line without the comment at its end.
pub(in crate::host) fn without_comment(line: &str) -> &str {
    let comment = parts(line, '\n').find(|(_, _, part)| *part == Part::Comment);
    comment.map_or(line, |(at, _, _)| &line[..at])
}

/// Where the code at the beginning of a text ends: before the first of these characters outside of parentheses.
fn code_length(text: &str, before: char, is_end: impl Fn(char) -> bool) -> usize {
    let mut depth = 0_usize;
    for (at, c, _) in parts(text, before).filter(|(_, _, part)| *part == Part::Code) {
        match c {
            _ if depth == 0 && is_end(c) => return at,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// The assignments in one statement, `export` and several on a line included.
fn within(statement: &str, name: &str) -> Vec<Assignment> {
    let code: BTreeSet<usize> = parts(statement, '\n').filter(|(_, _, part)| *part == Part::Code).map(|(at, _, _)| at).collect();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(index) = statement[from..].find(name) {
        let start = from + index;
        from = start + name.len();
        let (before, rest) = (&statement[..start], &statement[from..]);
        let begins_word = before.chars().next_back().is_none_or(|c| c.is_whitespace() || ";&|".contains(c));
        let adds = rest.starts_with("+=");
        if !begins_word || !code.contains(&start) || !(adds || rest.starts_with('=')) {
            continue;
        }
        let (inside, quotes, end) = value(statement, from + if adds { 2 } else { 1 });
        let own = [format!("${name}"), format!("${{{name}")].iter().any(|own| statement[inside.clone()].contains(own.as_str()));
        let lead = before.trim_start().trim_start_matches("export").trim();
        let certain = lead.is_empty() || lead.ends_with(';');
        found.push(Assignment { inside, quotes, adds: adds || own, certain });
        from = end;
    }
    found
}

/// For the value that begins here: its range without quotes, its quotes, and its end with them.
fn value(text: &str, start: usize) -> (Range<usize>, Quotes, usize) {
    let rest = &text[start..];
    let word = &rest[..code_length(rest, '=', |c| c.is_whitespace() || ";&|".contains(c))];
    let end = start + word.len();
    let closing = parts(word, '=').find(|(_, _, part)| *part == Part::Closing);
    let is_one = closing.is_some_and(|(at, _, _)| at + 1 == word.len());
    match word.chars().next() {
        Some('"') if is_one => (start + 1..end - 1, Quotes::Double, end),
        Some('\'') if is_one => (start + 1..end - 1, Quotes::Single, end),
        _ if word.contains(['"', '\'', '\\', '(', '`']) => (start..end, Quotes::Mixed, end),
        _ => (start..end, Quotes::None, end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(&str, Quotes, bool, bool)> {
        assignments(text, "A").into_iter().map(|a| (&text[a.inside.clone()], a.quotes, a.adds, a.certain)).collect()
    }

    #[test]
    fn every_way_to_write_one() {
        for (text, expected) in [
            ("A=\"quiet splash\"\n", ("quiet splash", Quotes::Double, false, true)),
            ("A='quiet'# no comment\n", ("'quiet'#", Quotes::Mixed, false, true)),
            ("A='quiet' # comment\n", ("quiet", Quotes::Single, false, true)),
            ("A=\n", ("", Quotes::None, false, true)),
            ("A=\"\"", ("", Quotes::Double, false, true)),
            ("A=quiet\r\n", ("quiet", Quotes::None, false, true)),
            ("  export A=\"a \\\n b\"\n", ("a \\\n b", Quotes::Double, false, true)),
            ("A=\"$A more\"\n", ("$A more", Quotes::Double, true, true)),
            ("A+=\" more\"\n", (" more", Quotes::Double, true, true)),
            ("A=\"a\"'b'\n", ("\"a\"'b'", Quotes::Mixed, false, true)),
            ("A=a\\ b#c\n", ("a\\ b#c", Quotes::Mixed, false, true)),
            ("A=`cat /proc/cmdline`\n", ("`cat /proc/cmdline`", Quotes::Mixed, false, true)),
            ("A=\"a\\\"b c\\\"\"\n", ("a\\\"b c\\\"", Quotes::Double, false, true)),
            ("A=(\n  a # no )\n  b\n)\n", ("(\n  a # no )\n  b\n)", Quotes::Mixed, false, true)),
            ("if true; then\n  A=x\nfi\n", ("x", Quotes::None, false, false)),
            ("true && A=x\n", ("x", Quotes::None, false, false)),
        ] {
            assert_eq!(values(text), [expected], "{text:?}");
        }
    }

    #[test]
    fn what_is_no_assignment() {
        assert_eq!(values("A=\"a\" # was A=\"b\"\n").len(), 1);
        for text in ["#A=x\n", "  # A=x", "BA=x", "AB=x", "echo \"A=x\"", "B='\nA=x\n'", "A x", "echo $A", "B=`A=x`", "B=a\\ #A=x"] {
            assert_eq!(values(text), [], "{text:?}");
        }
        assert_eq!(values("A=a\n#A=b\nB=1 A=c; A=\"d\"\n").len(), 3);
    }

    #[test]
    fn a_value_is_replaced() {
        let text = "x\nA=quiet # y\n";
        assert_eq!(replace(text, &assignments(text, "A")[0], "quiet on"), "x\nA=\"quiet on\" # y\n");
    }
}
