//! Finds and edits variable assignments in a file that a shell reads, such as /etc/default/grub, and says where a shell
//! fails to read it. `parts` is the only code that follows a shell's quotes and comments.

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
        let begins_word = previous.is_whitespace() || ";&|()".contains(previous);
        is_comment = (is_comment || (c == '#' && quote.is_none() && begins_word && !was_escaped)) && c != '\n';
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

/// The lines of the outermost loop, `if` or `case` around a line, if there is one and it ends.
pub(in crate::host) fn block_around(text: &str, index: usize) -> Option<Range<usize>> {
    const BEFORE_A_COMMAND: [&str; 11] = [";", "do", "then", "else", "&&", "||", "|", "(", "{", "!", ";;"];
    let (mut depth, mut start) = (0_usize, 0);
    for (at, line) in text.lines().enumerate() {
        let line = without_comment(line).replace(';', " ; ");
        let mut before = ";";
        for word in line.split_whitespace() {
            match word {
                _ if !BEFORE_A_COMMAND.contains(&before) && !before.ends_with(')') => {}
                "if" | "for" | "while" | "until" | "case" | "select" => {
                    start = if depth == 0 { at } else { start };
                    depth += 1;
                }
                "fi" | "done" | "esac" if depth > 0 => {
                    depth -= 1;
                    if depth == 0 && (start..=at).contains(&index) {
                        return Some(start..at + 1);
                    }
                }
                _ => {}
            }
            before = word;
        }
    }
    None
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

/// What a shell does not read as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) enum Mistake {
    /// Before the first word: a shell takes it for a part of that.
    ByteOrderMark,
    /// A line that ends as on Windows: the shell takes the carriage return as a letter.
    CarriageReturn,
    /// A quote that is opened and not closed.
    Open(char),
    /// A quote that closes only behind other assignments, so that these are a part of the value.
    Swallows(char),
    /// Words outside of the quotes, or blanks beside `=`, so that this is run as a command.
    Command(String),
}

/// The first mistake in a text, and its line. With `appends`, the shell knows `NAME+=` and `NAME[…]=`, as bash does and dash does not.
pub(in crate::host) fn mistake(text: &str, appends: bool) -> Option<(usize, Mistake)> {
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    if text.starts_with('\u{feff}') {
        return Some((1, Mistake::ByteOrderMark));
    }
    let carriage_return = parts(text, '\n').find(|(_, c, part)| *c == '\r' && *part != Part::Comment);
    if let Some((at, _, _)) = carriage_return {
        return Some((line_of(at), Mistake::CarriageReturn));
    }
    match open_quote(text) {
        Quoting::Open(at, quote) => return Some((line_of(at), Mistake::Open(quote))),
        Quoting::Swallows(at, quote) => return Some((line_of(at), Mistake::Swallows(quote))),
        Quoting::Unclear => return None,
        Quoting::Closed => {}
    }
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        let length = code_length(&text[at..], '\n', |c| c == '\n');
        let statement = &text[at..at + length];
        let first = statement.split_whitespace().next().unwrap_or_default();
        let last = statement.split_whitespace().next_back().unwrap_or_default();
        match first {
            "if" | "case" | "for" | "while" | "until" | "{" if !["fi", "esac", "done", "}"].contains(&last) => depth += 1,
            "fi" | "esac" | "done" | "}" => depth = depth.saturating_sub(1),
            // A function.
            _ if last.ends_with('{') => depth += 1,
            _ if depth == 0 => {
                if let Some(word) = command(statement, appends) {
                    let indent = statement.len() - statement.trim_start().len();
                    return Some((line_of(at + indent), Mistake::Command(word)));
                }
            }
            _ => {}
        }
        at += length + 1;
    }
    None
}

/// Whether the quotes of a text are closed.
enum Quoting {
    Closed,
    /// One is not: this one, or the one that was meant to close this one.
    Open(usize, char),
    /// This one closes behind other assignments.
    Swallows(usize, char),
    /// There are quotes within `$(…)` or `${…}` within quotes.
    Unclear,
}

fn open_quote(text: &str) -> Quoting {
    let (mut open, mut suspect) = (None, None);
    for (at, c, part) in parts(text, '\n') {
        match (part, open) {
            (Part::Quoted, None) if "\"'`".contains(c) && !is_escaped(text, at) => open = Some((at, c)),
            (Part::Closing, Some((begin, quote))) => {
                let inside = &text[begin + 1..at];
                let count = |sign: char| inside.matches(sign).count();
                if quote == '"'
                    && ((inside.contains("$(") && count('(') != count(')')) || (inside.contains("${") && count('{') != count('}')))
                {
                    return Quoting::Unclear;
                }
                let spans_assignment = inside
                    .split('\n')
                    .skip(1)
                    .any(|line| variable(line).is_some_and(|(name, _)| !name.contains(|c: char| c.is_ascii_lowercase())));
                suspect = suspect.or_else(|| spans_assignment.then_some((begin, quote)));
                open = None;
            }
            _ => {}
        }
    }
    match (open, suspect) {
        (Some(last), suspect) => {
            let (at, quote) = suspect.unwrap_or(last);
            Quoting::Open(at, quote)
        }
        (None, Some((at, quote))) => Quoting::Swallows(at, quote),
        (None, None) => Quoting::Closed,
    }
}

/// Whether an odd number of backslashes precedes.
fn is_escaped(text: &str, at: usize) -> bool {
    text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The name that a word begins with if it is an assignment, and what follows the `=`.
fn variable(word: &str) -> Option<(&str, &str)> {
    let (left, value) = word.split_once('=')?;
    let name = left.strip_suffix('+').unwrap_or(left);
    let name = name.split_once('[').filter(|(_, index)| index.ends_with(']')).map_or(name, |(name, _)| name);
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// What a statement runs as a command and surely was not meant as one.
fn command(statement: &str, appends: bool) -> Option<String> {
    const COMMANDS: [&str; 14] =
        ["if", "case", "for", "while", "until", "export", "readonly", "declare", "local", "typeset", "let", "test", "expr", "env"];
    // These are set for one command on purpose.
    const ENVIRONMENT: [&str; 5] = ["LC_", "LANG", "PATH", "IFS", "TZ"];
    let mut words = Vec::new();
    let mut rest = statement;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let end = code_length(rest, '\n', |c| c.is_whitespace() || ";&|<>".contains(c));
        if end == 0 {
            break;
        }
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    let is_comment = |word: &&str| word.starts_with('#');
    let words: Vec<&str> = words.into_iter().take_while(|word| !is_comment(word)).collect();
    let is_assignment = |word: &str| {
        let left = word.split('=').next().unwrap_or_default();
        variable(word).is_some() && (appends || !left.ends_with(['+', ']']))
    };
    let before = words.iter().take_while(|word| is_assignment(word)).count();
    let word = *words.get(before)?;
    let is_plain = word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && !COMMANDS.contains(&word);
    let name = word.split(['"', '\'']).next().unwrap_or_default();
    let is_set = |word: &&str| variable(word).is_some_and(|(name, _)| !ENVIRONMENT.iter().any(|own| name.starts_with(own)));
    let is_beside = |word: &str| variable(&format!("{word}=")).is_some() && words.get(before + 1).is_some_and(|next| next.starts_with('='));
    (is_plain && (name.contains('=') || is_beside(word) || words[..before].iter().any(is_set))).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_around_one() {
        let text = "#!/bin/sh\nDEVS=\"1 2\"\nfor DEV in $DEVS # done\ndo\n  if [ -e $DEV ]; then\n    echo done > $DEV\n  fi\ndone\necho x > y\nfor i in 1; do echo $i; done\n";
        for (index, block) in [(5, Some(2..8)), (2, Some(2..8)), (8, None), (9, Some(9..10))] {
            assert_eq!(block_around(text, index), block, "{index}");
        }
        assert_eq!(block_around("while x\ndo\necho y\n", 2), None);
    }

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
    fn what_a_shell_does_not_read() {
        let command = |word: &str| Mistake::Command(word.to_owned());
        for (text, line, what) in [
            ("A=1\nB=\"quiet acpi_osi=\\\"x y\\\"\nC=\"\"\n", 2, Mistake::Open('"')),
            ("A=1\nB='quiet\n", 2, Mistake::Open('\'')),
            ("A=`x\n", 1, Mistake::Open('`')),
            ("A='0\nB=\"quiet\"\n# a comment's end\n", 1, Mistake::Swallows('\'')),
            ("# a\r\nA=\"1\"\r\n", 2, Mistake::CarriageReturn),
            ("\u{feff}A=1\n", 1, Mistake::ByteOrderMark),
            ("A=1\n\nB=\"quiet\" vfio-pci.ids=10de:1401\n", 3, command("vfio-pci.ids=10de:1401")),
            ("A=\"quiet\" splash iommu=pt # x\n", 1, command("splash")),
            ("A = \"quiet\"\n", 1, command("A")),
            ("A= =x\n A =\"quiet\"\n", 2, command("A")),
            ("vfio-pci.ids=10de:1401\n", 1, command("vfio-pci.ids=10de:1401")),
            ("A=1\nA+=\" quiet\"\n", 2, command("A+=\" quiet\"")),
            ("A[x]=quiet\n", 1, command("A[x]=quiet")),
        ] {
            assert_eq!(mistake(text, false), Some((line, what.clone())), "{text}");
            assert_eq!(
                mistake(text, true).is_some(),
                !matches!(&what, Mistake::Command(word) if word.contains("+=") || word.contains('[')),
                "{text}"
            );
        }
        for text in [
            "A=\"a\"\nexport B='b # c' C=d # it's\n\n",
            "A=`( . /etc/os-release; echo ${NAME:-Ubuntu} ) 2>/dev/null || echo Ubuntu`\n",
            "A=\"$(lsb_release -i -s 2> /dev/null || echo \"it's\")\"\n",
            "A=x;# it's a comment\n",
            "LC_ALL=C sort -u /x\n. /etc/more\n[ \"$A\" = x ] && B=y\ntest x = y || true\n",
            "if [ x ]; then\n  A=\"x\" y=1\nfi\n",
            "A=\"a \\\n b\"\nB=(\n c=d e\n)\n",
            "f() {\n  A=x B\n}\n",
            "A=a\\ b\n",
            "A= B=x\n$X=y\n",
        ] {
            assert_eq!(mistake(text, true), None, "{text}");
        }
    }

    #[test]
    fn a_value_is_replaced() {
        let text = "x\nA=quiet # y\n";
        assert_eq!(replace(text, &assignments(text, "A")[0], "quiet on"), "x\nA=\"quiet on\" # y\n");
    }
}
