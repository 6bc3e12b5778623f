//! Text to standard output and standard error: with colours on a terminal, without elsewhere, in one
//! write. A reader that has gone away (`| head`) is no error.
//!
//! Names and files of others are part of the text. A control character in them is written as its number,
//! so that nothing but [`super::style`] commands the terminal.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};

use super::style::{self, commands, escaped, shown};

/// Prints to standard output.
///
/// # Errors
/// Where it cannot be written to, such as on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let stdout = io::stdout();
    let choice = AutoStream::choice(&stdout);
    match write(&mut stdout.lock(), text, choice) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints to standard error, as far as there is somebody to read it.
pub fn tell(text: &str) {
    let stderr = io::stderr();
    let choice = AutoStream::choice(&stderr);
    let _ = write(&mut stderr.lock(), text, choice);
}

/// Whether standard output takes the sequences that move on it; colours are turned off together with them.
pub fn redraws() -> bool {
    !matches!(AutoStream::choice(&io::stdout()), ColorChoice::Never)
}

/// A text in the place of all that the screen shows.
pub fn redrawn(text: &str) -> String {
    format!("{}{text}", style::REDRAW)
}

/// A text without its colours.
pub fn plain(text: &str) -> String {
    text.replace(|c| style::sequence(c).is_some(), "")
}

/// Prints a document to standard output, byte for byte where no terminal reads it: what is written there
/// is read by a program.
///
/// # Errors
/// Where it cannot be written to, such as on a full disk.
pub fn print_document(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        return print(&shown(text));
    }
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A text as it is written: colours or none, and no other command.
fn rendered(text: &str, coloured: bool) -> String {
    let mut rendered = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match style::sequence(c) {
            Some(sequence) if coloured => rendered.push_str(sequence),
            Some(_) => {}
            // The end of a line as Windows writes it.
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
        // The one that stands for a colour and was not painted has no end of its own.
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
