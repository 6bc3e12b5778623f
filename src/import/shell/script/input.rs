//! What a script writes for its commands to read: `<<<"$X"`, `<<END`; and how `read` and `mapfile` divide it.

use super::super::marks::has_unknown;
use super::super::word::{Word, is_name};

/// What commands read.
#[derive(Debug)]
pub(super) enum Input {
    /// As it is written, until the first command reads it.
    Written(Word),
    /// What is left of it.
    Left(String),
    /// It is known only when the script runs.
    Unknown,
}

/// How `read` or `mapfile` is called.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// The variables that it sets; none: `REPLY`.
    pub(super) names: Vec<String>,
    /// Each field or line is an element of the one variable.
    pub(super) is_array: bool,
    /// A backslash is a character like another.
    pub(super) is_raw: bool,
    /// It reads all, and not one line.
    pub(super) to_end: bool,
    /// It sets a variable whose name is not known.
    pub(super) is_unnamed: bool,
    /// It reads another file, or so many characters.
    pub(super) is_other: bool,
}

pub(super) fn call(is_read: bool, words: &[String]) -> Call {
    if !is_read {
        return call_of_mapfile(words);
    }
    let mut call = Call::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-') else {
            call.names.extend(is_name(word).then(|| word.clone()));
            call.is_unnamed |= has_unknown(word);
            continue;
        };
        let value = letters.ends_with(['p', 't', 'n', 'N', 'd', 'u', 'i']).then(|| words.next()).flatten();
        call.is_array |= letters.contains('a');
        call.is_raw |= letters.contains('r');
        call.to_end |= letters.ends_with('d') && value.is_some_and(String::is_empty);
        call.is_other |= letters.contains(['n', 'N', 'u']) || (letters.contains('d') && !call.to_end);
    }
    call
}

/// Only with `-t` are its elements lines without their ends.
fn call_of_mapfile(words: &[String]) -> Call {
    let (options, names): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| word.starts_with('-'));
    let name = names.last().filter(|name| is_name(name)).map_or("MAPFILE", |name| name.as_str());
    let is_unnamed = names.iter().any(|name| has_unknown(name));
    Call {
        names: vec![name.to_owned()],
        is_unnamed,
        is_array: true,
        is_raw: true,
        to_end: true,
        is_other: options != ["-t"] || names.len() > 1,
    }
}

/// The fields of a line, as POSIX has them for `read`: the last of so many is all that is left.
pub(super) fn fields(text: &str, separators: &str, most: usize) -> Vec<String> {
    let separates = |c: char| separators.contains(c);
    let is_blank = |c: char| c.is_whitespace() && separates(c);
    let mut rest = text.trim_start_matches(is_blank);
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (field, after) = rest.split_at(rest.find(separates).unwrap_or(rest.len()));
        let after = after.trim_start_matches(is_blank);
        let after = after.strip_prefix(separates).unwrap_or(after).trim_start_matches(is_blank);
        if fields.len() + 1 == most && !after.is_empty() {
            fields.push(rest.trim_end_matches(is_blank).to_owned());
            break;
        }
        fields.push(field.to_owned());
        rest = after;
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside what bash says: `printf '<%s>' "${fields[@]}"`.
    #[test]
    fn the_fields_of_a_line() {
        for (text, separators, most, right) in [
            ("  a  b c ", " \t\n", 2, "<a><b c>"),
            ("a b ", " \t\n", 2, "<a><b>"),
            (" a ", "", 1, "< a >"),
            ("a::b:", ":", 9, "<a><><b>"),
            ("x:y:", ":", 2, "<x><y>"),
            ("x:y:z:", ":", 2, "<x><y:z:>"),
            (" a : b ", ": ", 9, "<a><b>"),
            (":a", ":", 9, "<><a>"),
        ] {
            let fields: String = fields(text, separators, most).iter().map(|field| format!("<{field}>")).collect();
            assert_eq!(fields, right, "{text:?}");
        }
    }
}
