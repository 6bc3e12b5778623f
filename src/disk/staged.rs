//! A file that gets its name only when it is complete (`O_TMPFILE`, then `linkat`). A run that is killed, even by
//! `kill -9`, leaves nothing. On file systems without support for that, a [`Scratch`] directory beside the target is
//! used.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, open, renameat_with};

use super::scratch::{Scratch, directory};
use crate::problem::Problem;

/// A file that is not complete yet.
#[derive(Debug)]
pub struct Staged {
    target: PathBuf,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Nameless(File),
    Beside(Scratch),
}

impl Staged {
    /// A new file for this target.
    pub fn new(target: &Path) -> Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(directory(target), flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => Ok(Self { target: target.to_owned(), form: Form::Nameless(file.into()) }),
            Err(_) => Self::beside(target),
        }
    }

    /// The same in a directory beside the target, for tools that write more than one file or depend on the file name.
    pub fn beside(target: &Path) -> Result<Self> {
        Ok(Self { target: target.to_owned(), form: Form::Beside(Scratch::beside(target)?) })
    }

    /// A new image of this format.
    pub fn of_format(target: &Path, format: &str) -> Result<Self> {
        // A VMDK contains its own file name.
        if format == "vmdk" { Self::beside(target) } else { Self::new(target) }
    }

    /// The path at which other programs write it.
    pub fn path(&self) -> PathBuf {
        match &self.form {
            // Not /proc/self: in the other program, that is another process.
            Form::Nameless(file) => format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(file)).into(),
            Form::Beside(scratch) => scratch.path().join(self.target.file_name().unwrap_or_default()),
        }
    }

    /// The directory for further temporary files, if there is one.
    pub fn scratch(&self) -> Option<&Path> {
        match &self.form {
            Form::Nameless(_) => None,
            Form::Beside(scratch) => Some(scratch.path()),
        }
    }

    /// Syncs the file, then gives it its name.
    ///
    /// # Errors
    /// Where a file of that name exists by now; it stays unchanged.
    pub fn publish(self) -> Result<()> {
        let path = self.path();
        let target = self.target.as_path();
        let file = File::options().read(true).write(true).open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        file.sync_all().with_context(|| format!("cannot write {} to the disk", target.display()))?;
        let named = match &self.form {
            Form::Nameless(_) => linkat(CWD, &path, CWD, target, AtFlags::SYMLINK_FOLLOW),
            Form::Beside(_) => renameat_with(CWD, &path, CWD, target, RenameFlags::NOREPLACE)
                // NFS and some others do not support this flag, but hard links.
                .or_else(|_| linkat(CWD, &path, CWD, target, AtFlags::empty())),
        };
        named.map_err(std::io::Error::from).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Problem::new(
                format!("{} was created by another program in the meantime, and is left unchanged", target.display()),
                "name another target",
            )
            .into(),
            _ => anyhow::Error::new(error).context(format!("cannot create {}", target.display())),
        })?;
        // The name is synced, too. If a directory cannot be synced, nothing can be done about it.
        let _ = File::open(directory(target)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn either_way_it_comes_to_be_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        for (name, stage) in [("a", Staged::new as fn(&Path) -> Result<Staged>), ("b", Staged::beside)] {
            let target = folder.path().join(name);
            let given_up = stage(&target).unwrap();
            fs::write(given_up.path(), "half").unwrap();
            drop(given_up);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), usize::from(name == "b"));

            let staged = stage(&target).unwrap();
            fs::write(staged.path(), "whole").unwrap();
            assert!(!target.exists());
            staged.publish().unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), "whole");

            let late = stage(&target).unwrap();
            fs::write(late.path(), "late").unwrap();
            assert!(late.publish().unwrap_err().to_string().contains("was created by another program"));
            assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
