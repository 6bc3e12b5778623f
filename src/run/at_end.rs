//! Another process of this program that does something as soon as this process has ended, however it ended.
//!
//! It waits for the end of a pipe, whose other end closes with this process, also by SIGKILL. It is in a process group of
//! its own, so that Ctrl-C and the end of a terminal reach only this process, and it is not asked to end with it.

use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, bail};

use super::own::program;

/// A process of this program that waits for the end of this one.
pub struct AtEnd {
    child: Child,
}

impl AtEnd {
    /// Starts this program with these arguments; it has to read its standard input to the end.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(program()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        Ok(Self { child: command.spawn().context("cannot run vgapt again")? })
    }

    /// Has it done now.
    ///
    /// # Errors
    /// Where it failed, with what it said.
    pub fn now(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut pipe, &mut said)?;
        }
        let status = self.child.wait().context("cannot wait for the other vgapt")?;
        if status.success() { Ok(()) } else { bail!("{}: {}", status, said.trim().replace('\n', "; ")) }
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Else it would stay as a zombie; it has ended where it was waited for.
        let _ = self.child.wait();
    }
}
