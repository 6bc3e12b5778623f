//! Temporary directories that a killed run left beside a target.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::scratch::MARK;

/// A temporary directory that no process uses any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it was.
    pub path: PathBuf,
    /// Whether it was removed.
    pub removed: bool,
}

/// Removes what killed runs left in a directory.
pub fn sweep(directory: &Path) -> Vec<Leftover> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
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
    use super::super::Scratch;
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
