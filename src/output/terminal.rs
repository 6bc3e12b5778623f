//! Text to standard output and standard error: with colours on a terminal, without elsewhere, in one
//! write. A reader that has gone away (`| head`) is no error.

use std::io::{self, ErrorKind, Write};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};

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
    format!("\x1b[H\x1b[2J{text}")
}

/// A text without its colours.
pub fn plain(text: &str) -> String {
    strip_str(text).to_string()
}

fn write(stream: &mut impl Write, text: &str, choice: ColorChoice) -> io::Result<()> {
    match choice {
        ColorChoice::Never => stream.write_all(plain(text).as_bytes())?,
        _ => stream.write_all(text.as_bytes())?,
    }
    stream.flush()
}
