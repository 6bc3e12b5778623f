//! Runs another command of this program.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::command::{ProgramOutput, output};
use super::tied;

/// The exit code of a shell for a program that a signal ended is 128 and the signal's number; this is the first.
const SIGNALLED: u8 = 128;

/// Runs this program with other arguments, on this terminal, and returns its exit code. An interrupt reaches it through
/// the terminal; the caller watches for it too, so that this process waits until the other has cleaned up.
pub fn own(arguments: &[String]) -> Result<u8> {
    let program = program()?;
    let status = tied::command(&program).args(arguments).status().context("cannot run vgapt again")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(SIGNALLED))
}

/// Runs this program with other arguments, and returns what it printed.
pub fn own_output(arguments: &[String]) -> Result<ProgramOutput> {
    let program = program()?.to_string_lossy().into_owned();
    output(&[&[program], arguments].concat())
}

pub(super) fn program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot determine where this program is installed")
}
