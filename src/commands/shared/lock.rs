//! A lock, so that only one vgapt at a time changes a domain. Other programs do not use this lock: their changes are
//! detected by a comparison right before the domain is defined (the question `define`).

use std::fs::File;
use std::io::ErrorKind;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::{FlockOperation, flock};

use super::context::Context;
use crate::locks;
use crate::problem::Problem;

/// Defining a domain takes a second; one that takes longer than this hangs.
const LONGEST: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(20);

/// Held until it is dropped; the kernel releases it when the process ends.
pub(in crate::commands) struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Waits until no other vgapt of this user works on the domain. Where locking is not possible, only the comparison
    /// right before defining protects the domain.
    ///
    /// # Errors
    /// Where the other vgapt does not end in time.
    pub(in crate::commands) fn of_domain(context: &Context, name: &str) -> Result<Self> {
        // The test driver's domains exist only in this process.
        if context.uri().is_test() {
            return Ok(Self { _file: None });
        }
        match locks::open(&format!("{}\0{name}", context.uri())) {
            Ok(file) => wait(&file, name).map(|()| Self { _file: Some(file) }),
            Err(why) => {
                context.detail(&format!("cannot lock against other runs of vgapt: {why}"));
                Ok(Self { _file: None })
            }
        }
    }
}

fn wait(file: &File, name: &str) -> Result<()> {
    let end = Instant::now() + LONGEST;
    while let Err(error) = flock(file, FlockOperation::NonBlockingLockExclusive) {
        if error.kind() != ErrorKind::WouldBlock {
            return Err(anyhow::Error::new(error).context(format!("cannot lock '{name}' against other runs of vgapt")));
        }
        if Instant::now() >= end {
            let message = format!("another vgapt has been working on '{name}' for {} s", LONGEST.as_secs());
            return Err(Problem::new(message, "wait until it ends, or stop it: pgrep -a vgapt shows it").into());
        }
        sleep(INTERVAL);
    }
    Ok(())
}
