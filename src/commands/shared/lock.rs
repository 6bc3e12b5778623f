//! One vgapt at a time changes a domain. Other programs do not know of this lock: what they changed is found by
//! comparing right before the domain is defined ([`super::existing::still_as_read`]).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result as IoResult};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::fs::{FlockOperation, OFlags, flock};
use sha2::{Digest as _, Sha256};

use super::context::Context;
use crate::problem::Problem;

/// Where root's are.
const OF_ROOT: &str = "/run/vgapt-locks";
/// A definition takes a second; longer than this means that one hangs.
const LONGEST: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(20);

/// Held until it is dropped; the kernel frees it with the process.
pub(in crate::commands) struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Waits until no other vgapt of this user works on the domain. Where no lock can be had, the comparison
    /// right before defining is all there is.
    ///
    /// # Errors
    /// Where another one does not end.
    pub(in crate::commands) fn of_domain(context: &Context, name: &str) -> Result<Self> {
        // The test driver's domains are those of the process.
        if context.uri().is_test() {
            return Ok(Self { _file: None });
        }
        match open(&format!("{}\0{name}", context.uri())) {
            Ok(file) => wait(&file, name).map(|()| Self { _file: Some(file) }),
            Err(why) => {
                context.detail(&format!("no lock against other runs of vgapt: {why}"));
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
            let message = format!("another vgapt has worked on '{name}' for {} s", LONGEST.as_secs());
            return Err(Problem::new(message, "wait for it, or end it: pgrep -a vgapt shows it").into());
        }
        sleep(INTERVAL);
    }
    Ok(())
}

/// In a folder of this user's own, so that nobody else can hold it or lay a link there.
fn open(what: &str) -> IoResult<File> {
    let own = rustix::process::geteuid().as_raw();
    let folder = if own == 0 {
        PathBuf::from(OF_ROOT)
    } else {
        let of_session = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
        PathBuf::from(of_session.ok_or_else(|| Error::new(ErrorKind::NotFound, "XDG_RUNTIME_DIR is not set"))?).join("vgapt-locks")
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let there = folder.symlink_metadata()?;
    if !there.is_dir() || there.uid() != own || there.mode() & 0o022 != 0 {
        return Err(Error::new(ErrorKind::PermissionDenied, format!("{} is not a folder of this user's alone", folder.display())));
    }
    // A name may be as long as a file's, and have what no file's name has.
    let digest = Sha256::digest(what.as_bytes());
    let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).unwrap_or_default();
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(folder.join(name))
}
