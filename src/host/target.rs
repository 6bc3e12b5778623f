//! The host that is changed: the running system, or a tree that stands for one.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::problem::Problem;
use crate::root::Root;

/// The host that is changed.
#[derive(Debug, Clone)]
pub struct Target {
    root: PathBuf,
    live: bool,
}

/// As long as it lives, no other vgapt changes this host.
pub struct Lock(#[expect(dead_code, reason = "closing it is what unlocks")] OwnedFd);

impl Target {
    /// The directory that is the host's root; on the running system commands are run, elsewhere they are only noted down.
    pub fn new(root: &Path, live: bool) -> Self {
        Self { root: root.to_owned(), live }
    }

    /// Whether it is the running system.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Its root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps every other vgapt from changing this host: a lock on its root directory, which leaves nothing behind.
    ///
    /// # Errors
    /// Where another one is at work.
    pub fn lock(&self) -> Result<Lock> {
        let directory = File::open(&self.root).with_context(|| format!("cannot open {}", self.root.display()))?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(directory.into())),
            Err(Errno::WOULDBLOCK) => Err(Problem::new(
                format!("another vgapt is changing {} at this moment", self.root.display()),
                "wait until it is done, and run this again",
            )
            .into()),
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", self.root.display())),
        }
    }

    /// Where a path of the host lies on this machine. Links are followed within the tree: an absolute
    /// one would lead from somebody else's tree to the files of this machine.
    pub(super) fn at(&self, place: &str) -> PathBuf {
        let real = Root::open(&self.root).ok().and_then(|root| root.real_path(place));
        self.root.join(real.as_deref().unwrap_or(place).trim_start_matches('/'))
    }
}
