//! Patterns of log lines: a text with places for what differs.

use crate::model::PciAddress;

/// What stood at each place of a pattern, by the place's name.
pub(super) type Found<'l> = Vec<(&'static str, &'l str)>;

/// Compares a line with a pattern, and returns what stands at its places. `{address}` is a PCI address, `{number}` digits,
/// `{word}` has no space, and any other name stands for any text up to what follows; at the end, for the rest of the line.
/// A pattern may begin anywhere in the line; it begins with a text.
pub(super) fn matched<'l>(pattern: &'static str, line: &'l str) -> Option<Found<'l>> {
    let (first, places) = pattern.split_once('{').map_or((pattern, None), |(first, rest)| (first, Some(rest)));
    line.match_indices(first).find_map(|(at, _)| filled(places, &line[at + first.len()..]))
}

/// The rest of a pattern behind an opening brace, at the beginning of a text.
fn filled<'l>(places: Option<&'static str>, text: &'l str) -> Option<Found<'l>> {
    let (mut found, mut places, mut text) = (Vec::new(), places, text);
    while let Some(rest) = places {
        let (name, rest) = rest.split_once('}')?;
        let (literal, next) = rest.split_once('{').map_or((rest, None), |(literal, next)| (literal, Some(next)));
        let end = if literal.is_empty() { end_of(name, text) } else { text.find(literal)? };
        let value = text[..end].trim();
        if !fits(name, value) {
            return None;
        }
        found.push((name, value));
        text = &text[end + literal.len()..];
        places = next;
    }
    Some(found)
}

/// How far a place at the end of a pattern reaches.
fn end_of(name: &str, text: &str) -> usize {
    match name {
        // A colon may follow it.
        "address" => {
            let end = text.find(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.')).unwrap_or(text.len());
            text[..end].trim_end_matches([':', '.']).len()
        }
        "number" => text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()),
        "word" => text.find(char::is_whitespace).unwrap_or(text.len()),
        _ => text.len(),
    }
}

fn fits(name: &str, value: &str) -> bool {
    match name {
        "address" => value.parse::<PciAddress>().is_ok(),
        "number" => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
        "word" => !value.is_empty() && !value.contains(char::is_whitespace),
        _ => true,
    }
}

/// A text with the places of a pattern filled in.
pub(super) fn said(text: &str, found: &[(&str, String)]) -> String {
    found.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let viable = "vfio {address}: group {number} is not viable";
        let line = "qemu: -device {\"host\":\"0000:01:00.0\"}: vfio 0000:01:00.0: group 2 is not viable";
        assert_eq!(matched(viable, line), Some(vec![("address", "0000:01:00.0"), ("number", "2")]));
        assert_eq!(matched("open {path}: {why}", "could open /a b: No é"), Some(vec![("path", "/a b"), ("why", "No é")]));
        assert_eq!(matched("pid {number}", "pid x, pid 12 (a)"), Some(vec![("number", "12")]));
        assert_eq!(matched("device {address}", "device 0000:01:00.0: no"), Some(vec![("address", "0000:01:00.0")]));
        assert_eq!(matched("plain", "some plain text"), Some(vec![]));
        for line in ["", "vfio 0000:01:00.0: group x is not viable", "vfio é: group 1 is not viable", "vfio 0000:01:00.0: group"] {
            assert_eq!(matched(viable, line), None, "{line}");
        }
        assert_eq!(said("{a} {b} {c}", &[("a", "{b}".into()), ("b", "2".into())]), "2 2 {c}");
    }
}
