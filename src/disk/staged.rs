//! A file that comes to be only when it is whole: written without a name, and named at the end. What
//! is killed on the way, even with `kill -9`, leaves nothing. File systems that cannot do so get a
//! [`Scratch`] directory beside the target.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, open, renameat_with};

use super::scratch::{Scratch, directory_of};
use crate::problem::Problem;

/// A file on its way.
#[derive(Debug)]
pub struct Staged {
    target: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Nameless(File),
    Beside(Scratch),
}

impl Staged {
    /// A file that is to become this one.
    pub fn new(target: &Path) -> Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(directory_of(target), flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => Ok(Self { target: target.to_owned(), place: Place::Nameless(file.into()) }),
            Err(_) => Self::beside(target),
        }
    }

    /// The same in a directory beside the target, for tools that write more than one file or look
    /// at its name.
    pub fn beside(target: &Path) -> Result<Self> {
        Ok(Self { target: target.to_owned(), place: Place::Beside(Scratch::beside(target)?) })
    }

    /// Where other programs write it.
    pub fn path(&self) -> PathBuf {
        match &self.place {
            // Not /proc/self: the other program has a self of its own.
            Place::Nameless(file) => format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(file)).into(),
            Place::Beside(scratch) => scratch.path().join(self.target.file_name().unwrap_or_default()),
        }
    }

    /// The directory for further temporary files, where there is one.
    pub fn scratch(&self) -> Option<&Path> {
        match &self.place {
            Place::Nameless(_) => None,
            Place::Beside(scratch) => Some(scratch.path()),
        }
    }

    /// Gives it its name, once it is on the disk.
    ///
    /// # Errors
    /// Where somebody has taken the name by now: that file stays.
    pub fn publish(self) -> Result<()> {
        let path = self.path();
        let target = self.target.as_path();
        let file = File::options().read(true).write(true).open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        file.sync_all().with_context(|| format!("cannot write {} to the disk", target.display()))?;
        let named = match &self.place {
            Place::Nameless(_) => linkat(CWD, &path, CWD, target, AtFlags::SYMLINK_FOLLOW),
            Place::Beside(_) => renameat_with(CWD, &path, CWD, target, RenameFlags::NOREPLACE)
                // NFS and some others know no such flag, but hard links.
                .or_else(|_| linkat(CWD, &path, CWD, target, AtFlags::empty())),
        };
        named.map_err(std::io::Error::from).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Problem::new(format!("{} has come to be meanwhile, and stays", target.display()), "name another target").into()
            }
            _ => anyhow::Error::new(error).context(format!("cannot give {} its name", target.display())),
        })?;
        // The name, too, is on the disk; where a directory cannot be synced, there is nothing to do.
        let _ = File::open(directory_of(target)).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn either_way_it_comes_to_be_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        for (name, stage) in [("a", Staged::new as fn(&Path) -> Result<Staged>), ("b", Staged::beside)] {
            let target = directory.path().join(name);
            let given_up = stage(&target).unwrap();
            fs::write(given_up.path(), "half").unwrap();
            drop(given_up);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), usize::from(name == "b"));

            let staged = stage(&target).unwrap();
            fs::write(staged.path(), "whole").unwrap();
            assert!(!target.exists());
            staged.publish().unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), "whole");

            let late = stage(&target).unwrap();
            fs::write(late.path(), "late").unwrap();
            assert!(late.publish().unwrap_err().to_string().contains("has come to be meanwhile"));
            assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
