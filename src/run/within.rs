//! Runs a read-only program with a time limit.

use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::command::{ProgramOutput, cannot_run, command};
use crate::interrupt::{Interrupt, Interrupted};
use crate::problem::Problem;

/// How often to check whether the program has ended.
const SLICE: Duration = Duration::from_millis(5);

/// Runs a program to its end and returns what it printed; one that does not end in time, or is interrupted, is killed.
///
/// # Errors
/// [`super::Missing`] where it is not installed, [`Interrupted`] where it was interrupted; also where the time limit is exceeded.
pub fn within(argv: &[String], limit: Duration, interrupt: &Interrupt) -> Result<ProgramOutput> {
    let mut command = command(argv)?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| cannot_run(argv, &error))?;
    let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupt.came() {
            kill(child)?;
            return Err(Interrupted(format!("{} was stopped", argv[0])).into());
        }
        if Instant::now() > end {
            kill(child)?;
            return Err(Problem::new(
                format!("{} did not end within {} s and was killed: {}", argv[0], limit.as_secs(), argv.join(" ")),
                "check whether that file is on a disk or a network share that does not respond",
            )
            .into());
        }
        thread::sleep(SLICE);
    };
    // A child of the program may keep a pipe open. Incomplete output is not used.
    let text = |pipe: Option<Receiver<Vec<u8>>>| -> Result<String> {
        let Some(pipe) = pipe else { return Ok(String::new()) };
        let bytes = pipe.recv_timeout(end.saturating_duration_since(Instant::now()).max(SLICE));
        let bytes = bytes.with_context(|| format!("the output of {} did not end", argv[0]))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(ProgramOutput { status, stdout: text(stdout)?, stderr: text(stderr)? })
}

/// Reads a pipe to its end in a thread, while the program runs.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // Incomplete output is not sent. The receiver may have given up already.
        if pipe.read_to_end(&mut bytes).is_ok() {
            let _ = sender.send(bytes);
        }
    });
    receiver
}

fn kill(mut child: Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<ProgramOutput> {
        within(&["sh".into(), "-c".into(), script.into()], limit, &Interrupt::default())
    }

    #[test]
    fn what_hangs_is_ended_and_what_prints_much_is_read() {
        let since = Instant::now();
        let error = sh("exec sleep 60", Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("did not end within") && since.elapsed() < Duration::from_secs(30), "{error}");
        let ran = sh("head -c 1000000 /dev/zero | tr '\\0' x; echo bad >&2; exit 3", Duration::from_secs(60)).unwrap();
        assert_eq!((ran.stdout.len(), ran.stderr.as_str(), ran.status.code()), (1_000_000, "bad\n", Some(3)));
    }
}
