//! A program that ends with the one that started it, however that one ends, SIGKILL included.
//!
//! A process asks the kernel itself for a signal when its parent dies (`PR_SET_PDEATHSIG`), and a
//! program that is only executed does not ask. So this program starts itself, asks, and executes the other one.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// The first argument with which this program executes another one.
const WORD: &str = "--execute-tied-to";
/// The exit code where it does not, as shells have it.
pub const NOT_EXECUTABLE: u8 = 126;
/// This program itself, also where its file was replaced meanwhile.
const OWN: &str = "/proc/self/exe";

/// Whether `main` hands its arguments to [`execute`]; a test's binary does not.
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

/// Executes another program where the arguments of this one say so: the first thing that `main` does.
/// Comes back only where they do not, or with the reason why it cannot be executed.
pub fn execute(mut arguments: impl Iterator<Item = OsString>) -> Option<anyhow::Error> {
    EXECUTES.store(true, Ordering::Relaxed);
    if arguments.next().as_deref() != Some(OsStr::new(WORD)) {
        return None;
    }
    let parent = arguments.next().and_then(|id| id.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return Some(anyhow::anyhow!("{WORD} is for vgapt's own use"));
    };
    let cannot = format!("cannot run {}", program.display());
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return Some(anyhow::Error::new(error).context(cannot));
    }
    // The parent may have died before the kernel was asked.
    if getppid() != Some(parent) {
        return Some(anyhow::anyhow!("{cannot}: the program that asked for it has ended"));
    }
    Some(anyhow::Error::new(Command::new(&program).args(arguments).exec()).context(cannot))
}
