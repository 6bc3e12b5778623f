//! Colours. In a text they are characters that no other text has (noncharacters of Unicode), which the
//! terminal's part turns into sequences, or takes out where the output is no terminal.

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
    format!("{}{}{END}", style.0, super::terminal::shown(&text.to_string()))
}
