//! The only place that starts other programs.

mod search;
mod stream;
mod tied;
mod within;

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt::{Interrupt, Interrupted};
use crate::problem::Problem;

pub use stream::stream;
pub use tied::{NOT_EXECUTABLE, execute};
pub use within::within;

/// The program that links libvirt.
const LIBVIRT_PROGRAM: &str = "vgapt-libvirt";
/// What a dynamic loader returns where a library is missing, and a shell where the program is.
const NOT_LOADED: i32 = 127;
/// How many lines of a failed program are told.
const LAST_WORDS: usize = 10;

/// Runs the program that links libvirt with the arguments of this one, and returns its exit code.
///
/// # Errors
/// Where that program, or libvirt itself, is not installed; [`Interrupted`] where a signal ended it.
pub fn hand_over(arguments: impl IntoIterator<Item = OsString>) -> Result<ExitCode> {
    let program = libvirt_program()?;
    let mut command = dressed(tied::command(&program), arguments);
    let interrupt = Interrupt::watch().context("signals cannot be watched")?;
    let child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let status = outlive(child, &interrupt).with_context(|| format!("cannot wait for {}", program.display()))?;
    match status.code() {
        Some(NOT_LOADED) => Err(Problem::new(
            format!("{} cannot be loaded: libvirt's client library is not installed", program.display()),
            "install libvirt: apt install libvirt-daemon-system, dnf install libvirt, pacman -S libvirt, zypper install libvirt",
        )
        .into()),
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(3))),
        None if interrupt.came() => Err(Interrupted(format!("{LIBVIRT_PROGRAM} was ended")).into()),
        None => Err(anyhow::anyhow!("{} was killed: {status}", program.display())),
    }
}

/// The program that links libvirt, with its arguments and what it needs of the environment.
fn dressed(mut command: Command, arguments: impl IntoIterator<Item = OsString>) -> Command {
    command.args(arguments).env("PATH", search::path());
    // libvirt's own log would go to our standard error. The setting is read once, before any code of
    // the process runs that could set it safely.
    if std::env::var_os("LIBVIRT_DEBUG").is_none() {
        command.env("LIBVIRT_DEBUG", "4");
    }
    command
}

/// Waits for a program that tidies up when it is interrupted. A terminal interrupts both; what came to
/// this process alone goes on to it.
fn outlive(mut child: Child, interrupt: &Interrupt) -> std::io::Result<ExitStatus> {
    let (id, interrupt) = (Pid::from_child(&child), interrupt.clone());
    std::thread::spawn(move || {
        while !interrupt.came() {
            interrupt.pause(Duration::from_secs(1));
        }
        let _ = kill_process(id, Signal::INT);
    });
    child.wait()
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ran {
    /// Whether it ended well.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// The last lines of what it complained about, else of what it printed.
    pub fn last_words(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = said.trim().lines().collect();
        lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
    }
}

/// Runs a program to its end, in English, and returns what it printed.
///
/// # Errors
/// Where it cannot be started; [`Missing`] where it is not installed.
pub fn output(argv: &[String]) -> Result<Ran> {
    let output = command(argv)?.output().map_err(|error| cannot_run(argv, &error))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// Makes this process sudo, which runs this very command line once more; comes back only where there is
/// no sudo. Signals and the exit code need no passing on.
pub fn become_root() -> anyhow::Error {
    let own = match std::env::current_exe().context("cannot tell where this program lies") {
        Ok(own) => own,
        Err(error) => return error,
    };
    let error = match search::find("sudo") {
        Some(sudo) => Command::new(sudo).env("PATH", search::path()).arg("--").arg(own).args(std::env::args_os().skip(1)).exec(),
        None => ErrorKind::NotFound.into(),
    };
    Problem::new(format!("cannot run sudo: {error}"), "run it as root").into()
}

/// Makes this process the program that links libvirt, with the arguments of this one; comes back
/// only where that cannot be loaded, with the reason. Signals and the exit code need no passing on.
pub fn become_libvirt_program(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Error {
    let program = match libvirt_program() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let trial = output(&[program.display().to_string(), "--version".into()]);
    if !trial.is_ok_and(|trial| trial.success()) {
        return anyhow::anyhow!("{} cannot be loaded: libvirt's client library is not installed", program.display());
    }
    let error = dressed(Command::new(&program), arguments).exec();
    anyhow::Error::new(error).context(format!("cannot run {}", program.display()))
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

/// In English, since messages are read for what they mean.
fn command(argv: &[String]) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("there is no program to run")?;
    let found = search::find(program).ok_or_else(|| cannot_run(argv, &ErrorKind::NotFound.into()))?;
    let mut command = tied::command(&found);
    command.args(arguments).env("LC_ALL", "C").env("PATH", search::path()).stdin(Stdio::null());
    Ok(command)
}

fn cannot_run(argv: &[String], error: &std::io::Error) -> anyhow::Error {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let problem = Problem::new(format!("cannot run {program}: {error}"), format!("install {program}, or put it where PATH leads"));
    match error.kind() {
        ErrorKind::NotFound => anyhow::Error::new(problem).context(Missing { program: program.to_owned() }),
        _ => problem.into(),
    }
}

/// Beside this program, or where distributions put the helpers of one.
fn libvirt_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let directory = own.parent().unwrap_or(&own);
    let places = [
        directory.join(LIBVIRT_PROGRAM),
        directory.join("../libexec/vgapt").join(LIBVIRT_PROGRAM),
        directory.join("../lib/vgapt").join(LIBVIRT_PROGRAM),
    ];
    places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        Problem::new(
            format!("{LIBVIRT_PROGRAM} is not there; it belongs beside {}", own.display()),
            "install both programs (in a checkout: cargo build --bins)",
        )
        .into()
    })
}
