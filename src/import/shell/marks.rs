//! Marks that stand for unknown values, so that the result can report them by name.

/// Enclose the name of an unknown value.
pub(super) const OPEN: char = '\u{e000}';
pub(super) const CLOSE: char = '\u{e001}';
/// Stands for white space between the two, at which words would be split.
const SPACE: char = '\u{e002}';

/// The mark of an unknown value.
pub(super) fn unknown(name: &str) -> String {
    format!("{OPEN}{}{CLOSE}", one_line(name).replace(' ', &SPACE.to_string()))
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The names of the unknown values in a text.
pub(super) fn unknowns(text: &str) -> impl Iterator<Item = String> {
    text.split(OPEN).skip(1).filter_map(|part| Some(part.split_once(CLOSE)?.0.replace(SPACE, " ")))
}

pub(super) fn has_unknown(text: &str) -> bool {
    unknowns(text).next().is_some()
}

/// The text for display: marks as variables.
pub(super) fn shown(text: &str) -> String {
    let sign = |name: &str| {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        Some(
            if (name.len() > 1 && name.starts_with('$'))
                || name.starts_with(['<', '>', '`'])
                || (name.contains(['*', '?']) && !name.contains('['))
            {
                name.to_owned()
            } else if is_plain || name.len() == 1 {
                format!("${name}")
            } else {
                format!("${{{name}}}")
            },
        )
    };
    filled(text, &mut { sign }).unwrap_or_default()
}

/// What `--set` gives a value to: the variable, or the command within `$(…)`.
pub(super) fn setting_of(name: &str) -> &str {
    name.strip_prefix("$(").and_then(|command| command.strip_suffix(')')).unwrap_or(name)
}

/// Replaces each mark by what `known` returns for its name.
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
