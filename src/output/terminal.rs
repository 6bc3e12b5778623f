//! Writes text to standard output and standard error, in one write; with colours and in lines as wide as the terminal
//! only on a terminal, so that programs read whole lines. A closed pipe (`| head`) is not an error.
//!
//! The text contains names and files from outside. Control characters in them are written as numbers, so that only
//! [`super::style`] controls the terminal.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

use anstream::{AutoStream, ColorChoice};

use super::style::{self, commands, escaped, shown};
use super::wrap::wrapped;

/// Narrower, a text falls apart; wider, the eye loses the line.
const WIDTHS: RangeInclusive<usize> = 40..=120;
/// Where a terminal does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// Prints to standard output.
pub fn print(text: &str) -> io::Result<()> {
    let stdout = io::stdout();
    let choice = AutoStream::choice(&stdout);
    match write(&mut stdout.lock(), &fitted(text, &stdout), choice) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints to standard error; errors are ignored.
pub fn tell(text: &str) {
    let stderr = io::stderr();
    let choice = AutoStream::choice(&stderr);
    let _ = write(&mut stderr.lock(), &fitted(text, &stderr), choice);
}

/// On a terminal: in lines of its width. JSON stays as it is, because a break within a string would make it invalid.
fn fitted<'t>(text: &'t str, stream: &(impl IsTerminal + AsFd)) -> Cow<'t, str> {
    let is_json = text.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if !stream.is_terminal() || is_json {
        return Cow::Borrowed(text);
    }
    Cow::Owned(wrapped(text, width(stream)))
}

/// The width of a terminal: as the user says, else as it says.
pub(super) fn width(terminal: &impl AsFd) -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let own = || rustix::termios::tcgetwinsize(terminal).ok().map(|size| usize::from(size.ws_col));
    let width = told.or_else(own).filter(|width| *width > 0).unwrap_or(USUAL_WIDTH);
    width.clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// Whether escape sequences may be written to standard output; this follows the setting for colours.
pub fn redraws() -> bool {
    !matches!(AutoStream::choice(&io::stdout()), ColorChoice::Never)
}

/// A text that replaces the contents of the screen.
pub fn redrawn(text: &str) -> String {
    format!("{}{text}", style::REDRAW)
}

pub fn plain(text: &str) -> String {
    text.replace(|c| style::sequence(c).is_some(), "")
}

/// Prints a document to standard output; unchanged, byte for byte, unless standard output is a terminal, because then
/// a program reads it.
pub fn print_document(text: &str) -> io::Result<()> {
    print_document_or(text, || text.to_owned())
}

/// The same; a terminal gets the text for a reader instead.
pub fn print_document_or(text: &str, for_reader: impl FnOnce() -> String) -> io::Result<()> {
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        return print(&shown(&for_reader()));
    }
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The bytes to write: with or without colours, and with all other control characters escaped.
fn rendered(text: &str, coloured: bool) -> String {
    let mut rendered = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match style::sequence(c) {
            Some(sequence) if coloured => rendered.push_str(sequence),
            Some(_) => {}
            // A line end as on Windows.
            None if c == '\r' && characters.peek() == Some(&'\n') => rendered.push(c),
            None if commands(c) => rendered.push_str(&escaped(c)),
            None => rendered.push(c),
        }
    }
    rendered
}

fn write(stream: &mut impl Write, text: &str, choice: ColorChoice) -> io::Result<()> {
    stream.write_all(rendered(text, choice != ColorChoice::Never).as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::super::style::{BAD, paint};
    use super::*;

    #[test]
    fn only_our_own_styles_command_the_terminal() {
        let hostile = "a\x1b[31mb\x1b]0;title\x07c\u{9b}2Jd\u{202e}e\rf\x7f\u{fdd1}";
        let text = format!("{hostile}{}\tend\r\n", paint(BAD, hostile));
        let coloured = rendered(&text, true);
        let own = ["\x1b[31m", "\x1b[0m"].map(|sequence| coloured.matches(sequence).count());
        // The noncharacter in the hostile text is escaped by `paint`, but starts a colour where it was not painted.
        assert_eq!(own, [1, 1], "{coloured:?}");
        assert_eq!(coloured.matches('\x1b').count(), 3);
        let bare = rendered(&text, false);
        assert!(!bare.trim_end().contains(|c: char| commands(c) && c != '\t'), "{bare:?}");
        assert!(
            bare.starts_with("a\\u001b[31mb\\u001b]0;title\\u0007c\\u009b2Jd\\u202ee\\u000df\\u007f") && bare.ends_with("\tend\r\n"),
            "{bare:?}"
        );
        assert_eq!(rendered(&redrawn(&paint(BAD, 1)), true), "\x1b[H\x1b[2J\x1b[31m1\x1b[0m");
        assert_eq!(plain(&redrawn(&paint(BAD, 1))), "1");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({"a": "\u{9b}\u{7f}\x1b\u{202e}"});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&rendered(&value.to_string(), true)).unwrap(), value);
    }
}
