//! Colours and other control sequences. In a text, colours and hints for the line breaks of `wrap.rs` are marked by
//! Unicode noncharacters, which no other text contains; `terminal.rs` replaces them by escape sequences, or removes
//! them where the output is not a terminal. Control characters from outside are shown as numbers.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

/// How a part of a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style(char);

pub(super) const STRONG: Style = Style('\u{fdd1}');
pub(super) const GOOD: Style = Style('\u{fdd2}');
pub(super) const WARNING: Style = Style('\u{fdd3}');
/// An error, or blocked.
pub(super) const BAD: Style = Style('\u{fdd4}');
pub(super) const FAINT: Style = Style('\u{fdd5}');

const END: char = '\u{fdd0}';
/// Clears the screen and moves to its top left.
pub(super) const REDRAW: char = '\u{fdd6}';
/// Where a line that is too long for the terminal continues: below this place.
pub(super) const HANG: char = '\u{fdd7}';
/// A line that is never broken: it is quoted from a file.
pub(super) const QUOTED: char = '\u{fdd8}';

/// The escape sequence for one of these characters.
pub(super) fn sequence(c: char) -> Option<&'static str> {
    Some(match c {
        END => "\x1b[0m",
        '\u{fdd1}' => "\x1b[1m",
        '\u{fdd2}' => "\x1b[32m",
        '\u{fdd3}' => "\x1b[33m",
        '\u{fdd4}' => "\x1b[31m",
        '\u{fdd5}' => "\x1b[2m",
        REDRAW => "\x1b[H\x1b[2J",
        HANG | QUOTED => "",
        _ => return None,
    })
}

pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{}{}{END}", style.0, shown(&text.to_string()))
}

/// Text from outside, with its control characters escaped.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| commands(c) || sequence(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if commands(c) || sequence(c).is_some() {
            shown.push_str(&escaped(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// How many columns of a terminal a text takes, as `terminal.rs` writes it.
pub(super) fn columns(text: &str) -> usize {
    let column = |c: char| match c {
        _ if sequence(c).is_some() => 0,
        _ if commands(c) => escaped(c).len(),
        _ => c.width().unwrap_or(0),
    };
    text.chars().map(column).sum()
}

/// Whether a character is a control character, or changes the order in which others are shown.
pub(super) fn commands(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

/// As in JSON, which is printed through here too and keeps its value.
pub(super) fn escaped(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}
