//! Another process of this program for a step that may never end, because the kernel does not let go of the process.
//!
//! It has none of this process's files but a pipe for its error: whoever waits for the end of this process's output does not
//! wait for it. It is asked to end when this process dies, as all programs are. One that is stuck in the kernel cannot be
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
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(Self { child: command.spawn().context("cannot run vgapt again")? })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends, but not longer than this; returns whether it has ended.
    ///
    /// # Errors
    /// Where it failed, with what it said.
    pub fn ended_within(&mut self, limit: Duration) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let mut said = String::new();
                if let Some(mut pipe) = self.child.stderr.take() {
                    pipe.read_to_string(&mut said)?;
                }
                return if status.success() {
                    Ok(true)
                } else {
                    bail!("{}", if said.trim().is_empty() { status.to_string() } else { said.trim().replace('\n', "; ") })
                };
            }
            if Instant::now() >= end {
                return Ok(false);
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
