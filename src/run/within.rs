//! A program that only looks, and has to come to its end in time.

use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::command::{Ran, cannot_run, command};
use crate::interrupt::{Interrupt, Interrupted};
use crate::problem::Problem;

/// How often it is looked whether the program has ended.
const SLICE: Duration = Duration::from_millis(5);

/// Runs a program to its end and returns what it printed; one that does not end in time, or is interrupted, is killed.
///
/// # Errors
/// [`super::Missing`] where it is not installed, [`Interrupted`] where it was interrupted, and where the time is over.
pub fn within(argv: &[String], limit: Duration, interrupt: &Interrupt) -> Result<Ran> {
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
            return Err(Interrupted(format!("{} was ended", argv[0])).into());
        }
        if Instant::now() > end {
            kill(child)?;
            return Err(Problem::new(
                format!("{} did not end within {} s, and was killed: {}", argv[0], limit.as_secs(), argv.join(" ")),
                "see whether the file that it names lies on a disk or a network that does not answer",
            )
            .into());
        }
        thread::sleep(SLICE);
    };
    // What the program started itself may hold a pipe open; half an answer is none.
    let text = |pipe: Option<Receiver<Vec<u8>>>| -> Result<String> {
        let Some(pipe) = pipe else { return Ok(String::new()) };
        let bytes = pipe.recv_timeout(end.saturating_duration_since(Instant::now()).max(SLICE));
        let bytes = bytes.with_context(|| format!("the answer of {} did not end", argv[0]))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Ran { status, stdout: text(stdout)?, stderr: text(stderr)? })
}

/// Reads a pipe to its end beside the program.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // Half an answer is none. Whoever waited may have given up.
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

    fn sh(script: &str, limit: Duration) -> Result<Ran> {
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
