//! Ends this program when its parent ends: the parent's end closes standard input, however it ended; a thread notices
//! that even while a libvirt call hangs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT};

/// How long a libvirt call may take after the parent has ended.
const GRACE: Duration = Duration::from_secs(4);

/// The lines of standard input.
///
/// # Errors
/// Where signals cannot be handled, or no thread can be started.
pub(super) fn calls() -> io::Result<impl Iterator<Item = io::Result<String>>> {
    // A terminal sends these signals to both programs, and the parent decides what to do. An empty handler, unlike an
    // ignored signal, is not inherited by the connection's ssh process.
    for signal in [SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let (sender, calls) = channel();
    thread::Builder::new().spawn(move || {
        for line in io::stdin().lines() {
            if sender.send(line).is_err() {
                return;
            }
        }
        drop(sender);
        end_soon();
    })?;
    Ok(calls.into_iter())
}

/// Ends this program after a while, even if libvirt's exit handler waits for a call that hangs.
pub(super) fn end_soon() {
    let end = || {
        // If this fails too, there is nothing else to try.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    let later = thread::Builder::new().spawn(move || {
        thread::sleep(GRACE);
        end();
    });
    if later.is_err() {
        end();
    }
}
