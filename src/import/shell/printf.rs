//! `printf` of known values.

use std::slice;

use super::marks::{has_unknown, unknown, unknowns};

/// What `printf` prints of known values, each with a place of its own; of values that are not known, their marks.
pub(super) fn formatted(format: &str, values: &[String]) -> Option<String> {
    if format == "--" {
        let (format, values) = values.split_first()?;
        return formatted(format, values);
    }
    let lacking: String = values.iter().flat_map(|value| unknowns(value)).map(|name| unknown(&name)).collect();
    if !lacking.is_empty() {
        return Some(lacking);
    }
    // One place for several values: a line for each.
    if format.matches('%').count() == 1 && format.ends_with("\\n") && values.len() > 1 {
        let lines: Option<Vec<String>> = values.iter().map(|value| formatted(format, slice::from_ref(value))).collect();
        return Some(lines?.join("\n"));
    }
    let mut parts = format.split('%');
    let mut text = parts.next()?.to_owned();
    let mut values = values.iter();
    for part in parts {
        let at = part.find(|c: char| !c.is_ascii_digit())?;
        let (width, rest) = part.split_at(at);
        let (fill, width) = (width.starts_with('0'), width.parse().unwrap_or(0));
        let number = |value: &String| value.parse::<u64>().ok();
        let value = values.next()?;
        let value = match rest.chars().next()? {
            's' => value.clone(),
            'd' => number(value)?.to_string(),
            'x' => format!("{:x}", number(value)?),
            'X' => format!("{:X}", number(value)?),
            _ => return None,
        };
        let missing = if width > 99 { return None } else { usize::saturating_sub(width, value.len()) };
        text.push_str(&if fill { "0" } else { " " }.repeat(missing));
        text.push_str(&value);
        text.push_str(&rest[1..]);
    }
    (values.next().is_none() && !has_unknown(format)).then(|| text.trim_end_matches("\\n").to_owned()).filter(|text| !text.contains('\\'))
}
