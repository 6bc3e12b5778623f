//! The text of a capture: the bytes of its file, unpacked, and the names, modes and bytes in it.

use std::fmt::Write as _;
use std::io::{self, Read as _};

const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The longest capture that is accepted, uncompressed: a hundred times a usual one.
const LONGEST: u64 = 64 << 20;

/// The bytes of a file, gzipped or not.
pub(super) fn unpacked(file: impl io::Read) -> io::Result<Vec<u8>> {
    let bytes = whole(file)?;
    if bytes.starts_with(&GZIP) { whole(flate2::read::MultiGzDecoder::new(bytes.as_slice())) } else { Ok(bytes) }
}

/// Reads everything, or returns an error if it is longer than allowed: a truncated capture would describe another machine.
fn whole(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    Ok(bytes)
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
