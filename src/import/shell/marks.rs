//! Marks in the place of what is not known, so that it can be named wherever it ends up.

/// Around the name of what is not known.
pub(super) const OPEN: char = '\u{e000}';
pub(super) const CLOSE: char = '\u{e001}';
/// In place of white space between them, by which words are split.
const SPACE: char = '\u{e002}';

/// A mark in the place of what is not known.
pub(super) fn unknown(name: &str) -> String {
    format!("{OPEN}{}{CLOSE}", one_line(name).replace(' ', &SPACE.to_string()))
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The names of what is not known in a text.
pub(super) fn unknowns(text: &str) -> impl Iterator<Item = String> {
    text.split(OPEN).skip(1).filter_map(|part| Some(part.split_once(CLOSE)?.0.replace(SPACE, " ")))
}

/// The same text for people.
pub(super) fn shown(text: &str) -> String {
    let sign = |name: &str| {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        Some(if name.starts_with(['$', '<', '>', '`']) {
            name.to_owned()
        } else if is_plain || name.len() == 1 {
            format!("${name}")
        } else {
            format!("${{{name}}}")
        })
    };
    filled(text, &mut { sign }).unwrap_or_default()
}

/// With what `known` says of the names in place of their marks.
pub(super) fn filled(text: &str, known: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
    let mut parts = text.split(OPEN);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(CLOSE) {
            Some((name, rest)) => {
                filled.push_str(&known(&name.replace(SPACE, " "))?);
                filled.push_str(rest);
            }
            None => {
                filled.push(OPEN);
                filled.push_str(part);
            }
        }
    }
    Some(filled)
}
