//! Ties a child program to this process: when this process dies, even by SIGKILL, the child gets SIGTERM.
//!
//! A process has to request that signal itself (`PR_SET_PDEATHSIG`), and other programs do not request it. So
//! vgapt starts itself as the child, requests the signal, and then executes the other program.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// With this first argument, vgapt executes another program.
const WORD: &str = "--execute-tied-to";
/// Exit code where the program cannot be executed; shells use the same one.
pub const NOT_EXECUTABLE: u8 = 126;
/// The running program itself, even if its file has been replaced since it started.
const OWN: &str = "/proc/self/exe";

/// Whether `main` calls [`execute`]; the binary of a test does not.
static EXECUTES: AtomicBool = AtomicBool::new(false);

/// A command that runs a program, which gets SIGTERM when this process dies.
pub(super) fn command(program: &Path) -> Command {
    if !EXECUTES.load(Ordering::Relaxed) || !Path::new(OWN).exists() {
        return Command::new(program);
    }
    let mut command = Command::new(OWN);
    command.arg(WORD).arg(getpid().as_raw_nonzero().to_string()).arg(program);
    command
}

/// Executes another program if the arguments of this one say so; `main` calls it first. Returns `None` if they
/// do not, or the reason why the program cannot be executed.
pub fn execute(mut arguments: impl Iterator<Item = OsString>) -> Option<anyhow::Error> {
    EXECUTES.store(true, Ordering::Relaxed);
    if arguments.next().as_deref() != Some(OsStr::new(WORD)) {
        return None;
    }
    let parent = arguments.next().and_then(|id| id.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return Some(anyhow::anyhow!("{WORD} is only for vgapt's internal use"));
    };
    let cannot = format!("cannot run {}", program.display());
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return Some(anyhow::Error::new(error).context(cannot));
    }
    // The parent may have died before the signal was requested.
    if getppid() != Some(parent) {
        return Some(anyhow::anyhow!("{cannot}: the process that started it has ended"));
    }
    Some(anyhow::Error::new(Command::new(&program).args(arguments).exec()).context(cannot))
}
