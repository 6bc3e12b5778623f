//! Colours, and what else commands a terminal. In a text colours are characters that no other text has
//! (noncharacters of Unicode), which the terminal's part turns into sequences, or takes out where the output is
//! no terminal. Control characters of others are shown by their numbers.

use std::borrow::Cow;

/// How a part of a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style(char);

/// What is looked for first.
pub(super) const STRONG: Style = Style('\u{fdd1}');
/// Fine.
pub(super) const GOOD: Style = Style('\u{fdd2}');
/// Take care.
pub(super) const CARE: Style = Style('\u{fdd3}');
/// In the way.
pub(super) const BAD: Style = Style('\u{fdd4}');
/// Less important.
pub(super) const FAINT: Style = Style('\u{fdd5}');

/// The end of a style.
const END: char = '\u{fdd0}';
/// To the first place of an empty screen.
pub(super) const REDRAW: char = '\u{fdd6}';

/// What a character of ours is to a terminal.
pub(super) fn sequence(c: char) -> Option<&'static str> {
    Some(match c {
        END => "\x1b[0m",
        '\u{fdd1}' => "\x1b[1m",
        '\u{fdd2}' => "\x1b[32m",
        '\u{fdd3}' => "\x1b[33m",
        '\u{fdd4}' => "\x1b[31m",
        '\u{fdd5}' => "\x1b[2m",
        REDRAW => "\x1b[H\x1b[2J",
        _ => return None,
    })
}

/// A text in a style.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{}{}{END}", style.0, shown(&text.to_string()))
}

/// What is not ours in the place of a control character.
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

/// Whether a terminal would do something else than show a character, or show others in another order.
pub(super) fn commands(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

/// As JSON writes it, which is printed here too.
pub(super) fn escaped(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}
