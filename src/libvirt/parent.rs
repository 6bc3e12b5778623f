//! This program ends with the one that started it: that one's end closes standard input, whatever
//! ended it, and is seen also while a call of libvirt hangs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT};

/// How long a call of libvirt may last when nobody waits for its answer.
const GRACE: Duration = Duration::from_secs(4);

/// The lines of standard input.
///
/// # Errors
/// Where signals cannot be handled.
pub(super) fn calls() -> io::Result<impl Iterator<Item = io::Result<String>>> {
    // A terminal sends these to both programs, and the other one decides. A handler, unlike a signal
    // that is ignored, is not inherited by the ssh of a connection.
    for signal in [SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let (sender, calls) = channel();
    thread::spawn(move || {
        for line in io::stdin().lines() {
            if sender.send(line).is_err() {
                return;
            }
        }
        drop(sender);
        end_soon();
    });
    Ok(calls.into_iter())
}

/// Ends this program after a while, also where libvirt's own code at the exit waits for a call that hangs.
pub(super) fn end_soon() {
    thread::spawn(|| {
        thread::sleep(GRACE);
        // Where even this fails, nothing else is left to try.
        let _ = kill_process(getpid(), Signal::KILL);
    });
}
