//! A temporary directory beside a target, for incomplete files. It is removed with its owner; one that is left after
//! `kill -9` has no lock on it, and the next run removes it.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// Separates the target's name from the process id in the directory's name.
pub(super) const MARK: &str = ".vgapt-";

/// A directory that is removed with its owner.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Locked as long as the owner exists.
    _held: File,
}

impl Scratch {
    /// Creates `.NAME.vgapt-PID` beside the target, readable only by its owner.
    pub fn beside(target: &Path) -> Result<Self> {
        let name = target.file_name().context("the target has no file name")?.to_string_lossy();
        let path = directory_of(target).join(format!(".{name}{MARK}{}", std::process::id()));
        let make = || -> std::io::Result<File> {
            DirBuilder::new().mode(0o700).create(&path)?;
            let held = File::open(&path)?;
            flock(&held, FlockOperation::NonBlockingLockExclusive)?;
            Ok(held)
        };
        let held = make().with_context(|| format!("cannot create the temporary directory {}", path.display()))?;
        Ok(Self { path, _held: held })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If it cannot be removed now, the next run removes it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The directory that contains a path.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
