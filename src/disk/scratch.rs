//! A temporary directory beside a target, for incomplete files. It is removed with its owner; one that is left after
//! `kill -9` has no lock on it, and the next run removes it.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// Separates the target's name from the process id in the directory's name.
const MARK: &str = ".vgapt-";

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
        let path = directory(target).join(format!(".{name}{MARK}{}", std::process::id()));
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
pub fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// A temporary directory that no process uses any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it was.
    pub path: PathBuf,
    /// Whether it was removed.
    pub removed: bool,
}

/// Removes what killed runs left in a directory.
pub fn sweep(folder: &Path) -> Vec<Leftover> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let abandoned = entries.filter(|path| is_ours(path) && is_abandoned(path));
    abandoned.map(|path| Leftover { removed: fs::remove_dir_all(&path).is_ok(), path }).collect()
}

/// `.NAME.vgapt-PID`, a directory.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name.rsplit_once(MARK).map(|(_, number)| number);
    name.starts_with('.')
        && number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
        && path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|held| flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let held = Scratch::beside(&directory.path().join("a")).unwrap();
        let left = directory.path().join(".b.vgapt-77");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("part"), "x").unwrap();
        for foreign in [".vgapt-", ".b.vgapt-7x", "b.vgapt-7"] {
            fs::create_dir(directory.path().join(foreign)).unwrap();
        }
        assert_eq!(sweep(directory.path()), [Leftover { path: left, removed: true }]);
        assert!(held.path().exists());
        drop(held);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }
}
