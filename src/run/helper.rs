//! A helper program of vgapt that answers line by line. It ends by itself when its standard input is closed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::command::NOT_LOADED;
use super::search;
use crate::problem::Problem;

/// How long the helper may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often to check whether it has ended.
const SLICE: Duration = Duration::from_millis(2);
/// How many bytes of its standard error are kept.
const COMPLAINTS: u64 = 1 << 16;

/// A helper program of vgapt that answers line by line.
pub struct Helper {
    program: PathBuf,
    child: Child,
    calls: Option<ChildStdin>,
    answers: Receiver<String>,
    complaints: Option<Receiver<String>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum HelperError {
    /// The time limit was exceeded.
    TimedOut,
    /// A shared library that it needs is missing.
    NotLoaded,
    /// It ended, with this status.
    Ended(String),
}

impl Helper {
    /// Starts the program of this name that is installed with this one.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn start(name: &str, arguments: &[&str], environment: &[(&str, &str)], is_heard: bool) -> Result<Self> {
        let program = find(name)?;
        let mut command = Command::new(&program);
        command.args(arguments).env("PATH", search::path()).envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(if is_heard { Stdio::inherit() } else { Stdio::piped() });
        let cannot = || format!("cannot run {}", program.display());
        let mut child = command.spawn().with_context(cannot)?;
        let (sender, answers) = channel();
        let mut lines = BufReader::new(child.stdout.take().with_context(cannot)?);
        let listener = thread::Builder::new().spawn(move || {
            let mut line = String::new();
            // An incomplete answer is not used.
            while lines.read_line(&mut line).is_ok() && line.ends_with('\n') && sender.send(std::mem::take(&mut line)).is_ok() {}
        });
        // Without its standard input, the helper ends by itself.
        listener.with_context(cannot)?;
        let complaints = child.stderr.take().map(|mut pipe| {
            let (sender, complaints) = channel();
            let listener = thread::Builder::new().spawn(move || {
                let mut bytes = Vec::new();
                let read = pipe.by_ref().take(COMPLAINTS).read_to_end(&mut bytes);
                // The receiver may have given up. The rest is read too, so that the helper does not block on a full pipe.
                let _ = (sender.send(String::from_utf8_lossy(&bytes).into_owned()), read, std::io::copy(&mut pipe, &mut std::io::sink()));
            });
            listener.map(|_| complaints)
        });
        let complaints = complaints.transpose().with_context(cannot)?;
        let calls = child.stdin.take();
        Ok(Self { program, child, calls, answers, complaints })
    }

    /// The program's path.
    pub fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// Sends a line to it.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn say(&mut self, line: &str) -> Result<(), HelperError> {
        let said = self.calls.as_mut().map(|calls| calls.write_all(format!("{line}\n").as_bytes()));
        match said {
            Some(Ok(())) => Ok(()),
            _ => Err(self.ended()),
        }
    }

    /// Receives its next line.
    ///
    /// # Errors
    /// Where it has ended, or does not answer within the limit; it is then killed.
    pub fn hear(&mut self, limit: Duration) -> Result<String, HelperError> {
        match self.answers.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                self.end(Duration::ZERO);
                Err(HelperError::TimedOut)
            }
        }
    }

    fn ended(&mut self) -> HelperError {
        let status = self.end(GRACE);
        if status.is_some_and(|status| status.code() == Some(NOT_LOADED)) {
            return HelperError::NotLoaded;
        }
        let complaints = self.complaints.as_ref().and_then(|complaints| complaints.recv_timeout(GRACE).ok()).unwrap_or_default();
        let status = status.map_or_else(|| "it was killed".to_owned(), |status| status.to_string());
        HelperError::Ended(if complaints.trim().is_empty() { status } else { format!("{status}: {}", complaints.trim()) })
    }

    /// Closes its input and waits for its end; kills it if it does not end in time.
    fn end(&mut self, grace: Duration) -> Option<std::process::ExitStatus> {
        drop(self.calls.take());
        let end = Instant::now() + grace;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(SLICE);
        }
        // It may have ended meanwhile.
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.end(GRACE);
    }
}

/// Looks beside this program, then where packages put programs that nobody types: Arch has lib, the others libexec.
fn find(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot determine where this program is installed")?;
    let beside = own.parent().unwrap_or(&own);
    let prefix = beside.parent().unwrap_or(beside);
    let places = [beside.to_owned(), prefix.join("libexec/vgapt"), prefix.join("lib/vgapt")];
    places.iter().map(|place| place.join(name)).find(|program| program.exists()).ok_or_else(|| {
        let [beside, libexec, lib] = places.map(|place| place.display().to_string());
        Problem::new(
            format!("{name} is missing; it must be in {beside}, {libexec} or {lib}"),
            "install both programs (in a checkout: cargo build --bins)",
        )
        .into()
    })
}
