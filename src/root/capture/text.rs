//! The text form of names, numbers and contents in a capture, and its parser.

use std::fmt::Write as _;

use super::entry::Node;

pub(super) fn write_node(f: &mut std::fmt::Formatter<'_>, node: &Node) -> std::fmt::Result {
    let bytes = match node {
        Node::Link(target) => return writeln!(f, " -> {}", escape(target)),
        Node::Unread(size) => return writeln!(f, " ? {size}"),
        Node::Directory => return writeln!(f),
        Node::File(bytes) => bytes,
    };
    let readable = |text: &&str| !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    let Some(text) = std::str::from_utf8(bytes).ok().filter(readable) else {
        write!(f, " % ")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        return writeln!(f);
    };
    match text.strip_suffix('\n') {
        Some(line) if !line.contains('\n') => writeln!(f, " = {line}"),
        _ => {
            writeln!(f, " |")?;
            text.split_inclusive('\n').try_for_each(|line| match line.strip_suffix('\n') {
                Some("") => writeln!(f, "|"),
                Some(line) => writeln!(f, "| {line}"),
                None => writeln!(f, "\\ {line}"),
            })
        }
    }
}

pub(super) fn octal(text: &str) -> Option<u32> {
    (text.len() >= 3 && text.len() <= 4).then(|| u32::from_str_radix(text, 8).ok())?
}

pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A name without spaces: backslash, space, `]` and control characters as `\xNN`.
pub(super) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        if c == '\\' || c == ']' || c == ' ' || c.is_control() {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(escaped, "\\x{byte:02x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

pub(super) fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("\\x") {
        bytes.extend(rest[..at].bytes());
        bytes.extend(from_hex(rest.get(at + 2..at + 4)?)?);
        rest = &rest[at + 4..];
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).ok()
}
