//! Another process of this program for a step that may never end, because the kernel does not let go of the process.
//!
//! It has none of this process's files but pipes for what it prints: whoever waits for the end of this process's output does
//! not wait for it. It is asked to end when this process dies, as all programs are. One that is stuck in the kernel cannot be
//! ended, not even by SIGKILL: that is the only thing that this program leaves running.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::own::program;
use super::tied;

const INTERVAL: Duration = Duration::from_millis(5);

/// A process of this program that may never end.
pub struct Apart {
    child: Child,
}

impl Apart {
    /// Starts this program with these arguments.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = tied::command(&program()?);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { child: command.spawn().context("cannot run vgapt again")? })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends, but not beyond this moment; returns what it printed (less than a pipe holds, which nobody empties
    /// meanwhile), or nothing if it has not ended.
    ///
    /// # Errors
    /// Where it failed, with what it said.
    pub fn ended_by(&mut self, end: Instant) -> Result<Option<String>> {
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the other vgapt")? {
                let (mut printed, mut said) = (String::new(), String::new());
                if let Some(mut pipe) = self.child.stdout.take() {
                    pipe.read_to_string(&mut printed)?;
                }
                if let Some(mut pipe) = self.child.stderr.take() {
                    pipe.read_to_string(&mut said)?;
                }
                return if status.success() {
                    Ok(Some(printed))
                } else {
                    bail!("{}", if said.trim().is_empty() { status.to_string() } else { said.trim().replace('\n', "; ") })
                };
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            sleep(INTERVAL);
        }
    }

    /// Kills it, and waits no longer than this for its end; returns whether it has ended.
    pub fn kill(mut self, limit: Duration) -> bool {
        // It may have ended meanwhile.
        let _ = self.child.kill();
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < end => sleep(INTERVAL),
                Ok(status) => return status.is_some(),
                Err(_) => return false,
            }
        }
    }
}
