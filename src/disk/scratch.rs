//! A directory beside a target for what is not whole yet. It goes with its owner; one that a
//! `kill -9` left is known by that nobody holds it, and the next run takes it away.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// Between the target's name and what makes the directory's name its own.
pub(super) const MARK: &str = ".vgapt-";

/// A directory that goes with its owner.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Held as long as the owner lives.
    _held: File,
}

impl Scratch {
    /// `.NAME.vgapt-PID` beside the target, only for its owner to read.
    pub fn beside(target: &Path) -> Result<Self> {
        let name = target.file_name().context("a target has a name")?.to_string_lossy();
        let path = directory_of(target).join(format!(".{name}{MARK}{}", std::process::id()));
        let make = || -> std::io::Result<File> {
            DirBuilder::new().mode(0o700).create(&path)?;
            let held = File::open(&path)?;
            flock(&held, FlockOperation::NonBlockingLockExclusive)?;
            Ok(held)
        };
        let held = make().with_context(|| format!("cannot make the temporary directory {}", path.display()))?;
        Ok(Self { path, _held: held })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be taken away now is found by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The directory in which a path lies.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
