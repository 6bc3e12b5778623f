//! SIGCHLD, without which nobody learns how a child process has ended.

use std::sync::Arc;

use signal_hook::consts::SIGCHLD;

/// Who ignores SIGCHLD passes that on to the programs that it starts, as services in Python do: then the kernel forgets how a
/// child has ended, and each would count as failed. An empty handler, which is not passed on, ends that.
pub fn stop_ignoring() {
    let is_ignored = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGCHLD));
    if is_ignored {
        // Without it, waiting for a child fails, with words.
        let _ = signal_hook::flag::register(SIGCHLD, Arc::default());
    }
}

/// What `/proc/PID/status` says of a signal (Documentation/filesystems/proc.rst).
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
