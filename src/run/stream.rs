//! Runs a program, passes on its output while it runs, and stops it on an interrupt.

use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::command::{ProgramOutput, cannot_run, command};
use crate::interrupt::{Interrupt, Interrupted};

/// How long to wait for a program after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// Runs a program and passes on its standard output while it runs. On an interrupt the program gets SIGTERM, and
/// SIGKILL after a grace period.
///
/// # Errors
/// [`super::Missing`] where it is not installed, [`crate::interrupt::Interrupted`] where it was interrupted.
pub fn stream(
    argv: &[String],
    environment: &[(&str, String)],
    interrupt: &Interrupt,
    mut heard: impl FnMut(&str),
) -> Result<ProgramOutput> {
    let mut command = command(argv)?;
    command.envs(environment.iter().map(|(name, value)| (name, value))).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(argv, &error))?;
    let (sender, receiver) = channel();
    if let (Some(out), Some(complaints)) = (child.stdout.take(), child.stderr.take()) {
        listen(out, OutputPiece::Stdout, sender.clone());
        listen(complaints, OutputPiece::Stderr, sender);
    }
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let mut asked: Option<Instant> = None;
    loop {
        // Its own children may keep the pipes open longer.
        if asked.is_some() && child.try_wait()?.is_some() {
            break;
        }
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(OutputPiece::Stdout(text)) => {
                heard(&text);
                stdout.push_str(&text);
            }
            Ok(OutputPiece::Stderr(text)) => stderr.push_str(&text),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        match asked {
            None if interrupt.came() => {
                ask_to_end(&child);
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > GRACE => child.kill()?,
            _ => {}
        }
    }
    let status = child.wait()?;
    if interrupt.came() && !status.success() {
        return Err(Interrupted(format!("{} was stopped", argv[0])).into());
    }
    Ok(ProgramOutput { status, stdout, stderr })
}

enum OutputPiece {
    Stdout(String),
    Stderr(String),
}

fn listen(mut pipe: impl Read + Send + 'static, said: fn(String) -> OutputPiece, sender: Sender<OutputPiece>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            if sender.send(said(String::from_utf8_lossy(&buffer[..length]).into_owned())).is_err() {
                return;
            }
        }
    });
}

fn ask_to_end(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended already: Ctrl-C reaches every process of the terminal.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
