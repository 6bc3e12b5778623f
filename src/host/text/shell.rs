//! Finds and edits variable assignments in a file that a shell reads, such as /etc/default/grub.

use std::ops::Range;
use std::str::CharIndices;

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
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let line = &text[at..];
        let end = statement_end(line);
        let statement = &line[..end];
        let trimmed = statement.trim_start();
        let first = trimmed.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default();
        match first {
            "if" | "case" | "for" | "while" | "until" | "{" => depth += 1,
            "fi" | "esac" | "done" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if !trimmed.starts_with('#') {
            for assignment in within(statement, name) {
                let Assignment { inside, quotes, adds, certain } = assignment;
                found.push(Assignment { inside: at + inside.start..at + inside.end, quotes, adds, certain: certain && depth == 0 });
            }
        }
        at += end;
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

/// The characters of a text outside quotes and comments, with their places.
struct Code<'t> {
    characters: CharIndices<'t>,
    quote: Option<char>,
    is_comment: bool,
    before: char,
}

impl<'t> Code<'t> {
    fn of(text: &'t str) -> Self {
        Self { characters: text.char_indices(), quote: None, is_comment: false, before: '\n' }
    }
}

impl Iterator for Code<'_> {
    type Item = (usize, char);

    fn next(&mut self) -> Option<(usize, char)> {
        loop {
            let (at, c) = self.characters.next()?;
            let before = std::mem::replace(&mut self.before, c);
            match (c, self.quote) {
                ('\n', None) => {
                    self.is_comment = false;
                    return Some((at, c));
                }
                _ if self.is_comment => {}
                ('#', None) if before.is_whitespace() => self.is_comment = true,
                ('\\', None | Some('"')) => {
                    self.characters.next();
                }
                ('"' | '\'', None) => self.quote = Some(c),
                (c, Some(open)) if c == open => self.quote = None,
                (c, None) => return Some((at, c)),
                _ => {}
            }
        }
    }
}

/// The end of a line, including the lines that a quote, a backslash or a parenthesis joins to it.
fn statement_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in Code::of(text) {
        match c {
            '\n' if depth == 0 => return at + 1,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// The assignments in one statement, `export` and several on a line included.
fn within(statement: &str, name: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(index) = statement[from..].find(name) {
        let start = from + index;
        let after_name = start + name.len();
        from = after_name;
        let before = &statement[..start];
        if before.ends_with(|c: char| c.is_alphanumeric() || "_$\"'={".contains(c)) || is_no_code(before) {
            continue;
        }
        let rest = &statement[after_name..];
        let (adds, sign) = if rest.starts_with("+=") {
            (true, 2)
        } else if rest.starts_with('=') {
            (false, 1)
        } else {
            continue;
        };
        let value_start = after_name + sign;
        let (inside, quotes, end) = value(statement, value_start);
        let own = [format!("${name}"), format!("${{{name}")].iter().any(|own| statement[inside.clone()].contains(own.as_str()));
        let lead = before.trim_start().trim_start_matches("export").trim();
        let certain = lead.is_empty() || lead.ends_with(';');
        found.push(Assignment { inside, quotes, adds: adds || own, certain });
        from = end;
    }
    found
}

/// Whether what follows this text is inside a quote or a comment.
fn is_no_code(text: &str) -> bool {
    let mut code = Code::of(text);
    code.by_ref().for_each(drop);
    code.is_comment || code.quote.is_some()
}

/// For the value that begins here: its range without quotes, its quotes, and its end with them.
fn value(text: &str, start: usize) -> (Range<usize>, Quotes, usize) {
    let rest = &text[start..];
    let end = start + word_length(rest);
    let word = &text[start..end];
    for (mark, quotes) in [('"', Quotes::Double), ('\'', Quotes::Single)] {
        let inner = word.strip_prefix(mark).and_then(|word| word.strip_suffix(mark));
        if let Some(inner) = inner.filter(|inner| !has_unescaped(inner, mark)) {
            return (start + 1..start + 1 + inner.len(), quotes, end);
        }
    }
    let plain = !word.contains(['"', '\'', '\\', '(', '`']) && !word.contains("$(");
    (start..end, if plain { Quotes::None } else { Quotes::Mixed }, end)
}

fn has_unescaped(text: &str, mark: char) -> bool {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if mark == '"' => {
                characters.next();
            }
            c if c == mark => return true,
            _ => {}
        }
    }
    false
}

/// A word of a shell: up to space, `;`, `&` or `|` outside of quotes.
fn word_length(text: &str) -> usize {
    let mut quote = None;
    let mut depth = 0_usize;
    let mut before = ' ';
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                characters.next();
            }
            ('"' | '\'' | '`', None) => quote = Some(c),
            ('#', None) if depth > 0 && before.is_whitespace() => quote = Some('\n'),
            ('(', None) => depth += 1,
            (')', None) => depth = depth.saturating_sub(1),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if depth == 0 && (c.is_whitespace() || matches!(c, ';' | '&' | '|')) => return at,
            _ => {}
        }
        before = c;
    }
    text.len()
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
    fn what_is_none() {
        assert_eq!(values("A=\"a\" # was A=\"b\"\n").len(), 1);
        for text in ["#A=x\n", "  # A=x", "BA=x", "AB=x", "echo \"A=x\"", "B='\nA=x\n'", "A x", "echo $A"] {
            assert_eq!(values(text), [], "{text:?}");
        }
        assert_eq!(values("A=a\n#A=b\nB=1 A=c; A=\"d\"\n").len(), 3);
    }

    #[test]
    fn a_value_written_anew() {
        let text = "x\nA=quiet # y\n";
        assert_eq!(replace(text, &assignments(text, "A")[0], "quiet on"), "x\nA=\"quiet on\" # y\n");
    }
}
