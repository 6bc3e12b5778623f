//! Runs a program to its end, and returns its output.

use std::fmt;
use std::io::ErrorKind;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};

use super::{search, tied};
use crate::problem::Problem;

/// Exit code of the dynamic loader where a library is missing, and of a shell where the program is missing.
pub(super) const NOT_LOADED: i32 = 127;
/// How many lines of a failed program's output are shown.
const LAST_LINES: usize = 10;

/// The result of a program that has ended.
#[derive(Debug)]
pub struct ProgramOutput {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl ProgramOutput {
    /// Whether it succeeded.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// The last lines of its standard error, else of its standard output.
    pub fn last_lines(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = said.trim().lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

/// Runs a program to its end, in English, and returns what it printed.
///
/// # Errors
/// Where it cannot be started; [`Missing`] where it is not installed.
pub fn output(argv: &[String]) -> Result<ProgramOutput> {
    let output = command(argv)?.output().map_err(|error| cannot_run(argv, &error))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(ProgramOutput { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// A program that is not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub program: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not installed", self.program)
    }
}

impl std::error::Error for Missing {}

/// Set for each program, so that vgapt's own hooks know who runs what runs them (`host/decide/update_hook.sh`).
const MARK: &str = "VGAPT_RUNS_IT";

/// The locale is set to C, because messages of programs are parsed.
pub(super) fn command(argv: &[String]) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("the command line is empty")?;
    let found = search::find(program).ok_or_else(|| cannot_run(argv, &ErrorKind::NotFound.into()))?;
    let mut command = tied::command(&found);
    command.args(arguments).env("LC_ALL", "C").env("PATH", search::path()).env(MARK, "1").stdin(Stdio::null());
    Ok(command)
}

pub(super) fn cannot_run(argv: &[String], error: &std::io::Error) -> anyhow::Error {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let problem = Problem::new(format!("cannot run {program}: {error}"), format!("install {program}, or add its directory to PATH"));
    match error.kind() {
        ErrorKind::NotFound => anyhow::Error::new(problem).context(Missing { program: program.to_owned() }),
        _ => problem.into(),
    }
}
