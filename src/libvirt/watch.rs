//! Nothing waits for ever: a call of libvirt that lasts too long ends this program, and so does the end
//! of the program that started it. libvirt's own keepalive sees a host that is gone, not a daemon that is stuck.

use std::process::exit;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, getppid, kill_process, parent_process_death_signal};
use vgapt::cli::FAILED;
use vgapt::output;
use vgapt::problem::{self, Problem};

/// A connection on this host; a daemon may have to be started for it.
pub(super) const LOCAL: Duration = Duration::from_secs(60);
/// A connection to another host, where a password may be typed.
pub(super) const REMOTE: Duration = Duration::from_secs(300);
/// A question, or a change of what is defined. The first one after an update waits until QEMU was probed.
pub(super) const QUESTION: Duration = Duration::from_secs(120);
/// The start of a domain: hundreds of GiB of memory are cleared and pinned, and hooks run.
pub(super) const START: Duration = Duration::from_secs(3600);
/// The end of a domain.
pub(super) const STOP: Duration = Duration::from_secs(300);

/// Seconds for each call, in place of these.
const VARIABLE: &str = "VGAPT_LIBVIRT_TIMEOUT";
/// How often the time is compared.
const SLICE: Duration = Duration::from_millis(200);
/// What is left to tidy up after SIGTERM, which the kernel sends when the parent dies.
const GRACE: Duration = Duration::from_secs(5);

struct Call {
    number: u64,
    what: &'static str,
    limit: Duration,
    until: Instant,
}

struct Calls {
    next: u64,
    running: Vec<Call>,
}

static CALLS: Mutex<Calls> = Mutex::new(Calls { next: 0, running: Vec::new() });

fn calls() -> MutexGuard<'static, Calls> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is under way until this is dropped.
pub(super) struct Deadline(u64);

/// From now on this may last so long.
pub(super) fn deadline(what: &'static str, limit: Duration) -> Deadline {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(SLICE);
                let now = Instant::now();
                let late = calls().running.iter().find(|call| call.until <= now).map(|call| (call.what, call.limit));
                if let Some((what, limit)) = late {
                    give_up(what, limit);
                }
            }
        });
    });
    let said = std::env::var(VARIABLE).ok().and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let limit = said.unwrap_or(limit);
    let mut calls = calls();
    let number = calls.next;
    calls.next += 1;
    calls.running.push(Call { number, what, limit, until: Instant::now() + limit });
    Deadline(number)
}

impl Drop for Deadline {
    fn drop(&mut self) {
        calls().running.retain(|call| call.number != self.0);
    }
}

fn give_up(what: &str, limit: Duration) -> ! {
    let problem = Problem::new(
        format!("libvirt does not answer: {what} took longer than {} seconds", limit.as_secs()),
        format!(
            "see whether its daemon hangs (systemctl status libvirtd virtqemud) and restart it; {VARIABLE}=SECONDS waits longer. \
             What was asked of libvirt may still be done"
        ),
    );
    output::tell(&format!("{}\n", problem::describe(&problem.into())));
    end()
}

/// libvirt's own code at the exit may wait for the very call that hangs.
fn end() -> ! {
    thread::spawn(|| {
        thread::sleep(GRACE);
        // Where even this fails, nothing else is left to try.
        let _ = kill_process(getpid(), Signal::KILL);
    });
    exit(i32::from(FAILED))
}

/// Ends this program soon after the one that started it, where it is tied to that: what tidies up on
/// SIGTERM does so, and what does not hear it ends too.
pub(super) fn parent() {
    if !matches!(parent_process_death_signal(), Ok(Some(_))) {
        return;
    }
    let parent = getppid();
    thread::spawn(move || {
        while getppid() == parent {
            thread::sleep(SLICE);
        }
        thread::sleep(GRACE);
        end()
    });
}
