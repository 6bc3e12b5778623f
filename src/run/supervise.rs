//! Runs a program, passes on its output while it runs, and stops it on an interrupt or at the end of its time.

use std::io::{self, ErrorKind, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::command::{ProgramOutput, cannot_run, command};
use crate::interrupt::{Interrupt, Interrupted};
use crate::problem::Problem;

/// How long to wait for a program after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(20);
/// How often to check for an interrupt, and whether the program has ended.
const SLICE: Duration = Duration::from_millis(5);

/// Runs a program and passes on its standard output while it runs, and an empty text now and then while it prints nothing. On an
/// interrupt the program gets SIGTERM, and SIGKILL after a grace period; one that does not end within the limit is killed.
///
/// # Errors
/// [`super::Missing`] where it is not installed, [`Interrupted`] where it was interrupted; also where the limit is exceeded.
pub fn supervise(
    argv: &[String],
    environment: &[(&str, String)],
    limit: Option<Duration>,
    interrupt: &Interrupt,
    mut heard: impl FnMut(&str),
) -> Result<ProgramOutput> {
    let mut command = command(argv)?;
    command.envs(environment.iter().map(|(name, value)| (name, value))).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(argv, &error))?;
    let cannot_wait = || format!("cannot wait for the end of {}", argv[0]);
    let (sender, pieces) = channel();
    if let (Some(out), Some(complaints)) = (child.stdout.take(), child.stderr.take()) {
        let listening = listen(out, Pipe::Stdout, sender.clone()).and_then(|()| listen(complaints, Pipe::Stderr, sender));
        if let Err(error) = listening {
            // Nobody would read what it says.
            child.kill()?;
            child.wait().with_context(cannot_wait)?;
            return Err(error).with_context(|| format!("cannot start a thread for the output of {}", argv[0]));
        }
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (start, mut asked) = (Instant::now(), None::<Instant>);
    let status = loop {
        let ended = child.try_wait().with_context(cannot_wait)?;
        let are_open = match pieces.recv_timeout(SLICE) {
            Ok((Pipe::Stdout, bytes)) => {
                heard(&String::from_utf8_lossy(&bytes));
                stdout.extend(bytes);
                true
            }
            Ok((Pipe::Stderr, bytes)) => {
                stderr.extend(bytes);
                true
            }
            Err(RecvTimeoutError::Timeout) => {
                heard("");
                true
            }
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(SLICE);
                false
            }
        };
        match (ended, asked) {
            // Its own children may keep the pipes open longer. After an interrupt nobody needs the rest.
            (Some(status), _) if !are_open || asked.is_some() => break status,
            (None, None) if interrupt.came() => {
                ask_to_end(&child);
                asked = Some(Instant::now());
            }
            (None, Some(since)) if since.elapsed() > GRACE => child.kill()?,
            _ => {}
        }
        if let Some(limit) = limit.filter(|limit| start.elapsed() > *limit) {
            if ended.is_some() {
                bail!("the output of {} did not end", argv[0]);
            }
            child.kill()?;
            child.wait().with_context(cannot_wait)?;
            return Err(Problem::new(
                format!("{} did not end within {} s and was killed: {}", argv[0], limit.as_secs(), argv.join(" ")),
                "check whether that file is on a disk or a network share that does not respond",
            )
            .into());
        }
    };
    if interrupt.came() && !status.success() {
        return Err(Interrupted(format!("{} was stopped", argv[0])).into());
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(ProgramOutput { status, stdout: text(stdout), stderr: text(stderr) })
}

#[derive(Clone, Copy)]
enum Pipe {
    Stdout,
    Stderr,
}

fn listen(mut pipe: impl Read + Send + 'static, which: Pipe, sender: Sender<(Pipe, Vec<u8>)>) -> io::Result<()> {
    let listener = thread::Builder::new().spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match pipe.read(&mut buffer) {
                Ok(length @ 1..) if sender.send((which, buffer[..length].to_vec())).is_ok() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    });
    listener.map(drop)
}

fn ask_to_end(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended already: Ctrl-C reaches every process of the terminal.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<ProgramOutput> {
        supervise(&["sh".into(), "-c".into(), script.into()], &[], Some(limit), &Interrupt::default(), |_| ())
    }

    #[test]
    fn what_hangs_is_ended_and_what_prints_much_is_read() {
        let since = Instant::now();
        for hangs in ["exec sleep 60", "exec sleep 60 >&- 2>&-", "sleep 60 &"] {
            let error = sh(hangs, Duration::from_millis(100)).unwrap_err();
            assert!(error.to_string().contains("did not end") && since.elapsed() < Duration::from_secs(30), "{error}");
        }
        let ran = sh("head -c 1000000 /dev/zero | tr '\\0' x; echo bad >&2; exit 3", Duration::from_secs(60)).unwrap();
        assert_eq!((ran.stdout.len(), ran.stderr.as_str(), ran.status.code()), (1_000_000, "bad\n", Some(3)));
    }
}
