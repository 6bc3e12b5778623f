//! An open directory of the host: operations on names in it affect this very directory, even if links on the
//! way to it change meanwhile, and no link in it is followed.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// The suffix of the name of a file that is being written, which also gets a leading dot.
const NEW: &str = ".vgapt-new";
/// The longest name of a file (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// An open directory, and its path for messages.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    shown: PathBuf,
}

/// A name in an open directory.
#[derive(Debug)]
pub(crate) struct Place {
    folder: Folder,
    name: String,
}

impl Folder {
    pub(crate) fn new(fd: OwnedFd, shown: PathBuf) -> Self {
        Self { fd, shown }
    }

    pub(crate) fn shown(&self) -> &Path {
        &self.shown
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn status(&self) -> io::Result<Stat> {
        Ok(fs::fstat(&self.fd)?)
    }

    /// A name in it: a single path component.
    pub(crate) fn place(&self, name: &str) -> io::Result<Place> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("'{name}' is not a file name")));
        }
        let folder = Self { fd: self.fd.try_clone()?, shown: self.shown.clone() };
        Ok(Place { folder, name: name.to_owned() })
    }

    /// A directory in it; a link to a directory is refused.
    pub(crate) fn below(&self, name: &str) -> io::Result<Self> {
        let place = self.place(name)?;
        let fd = fs::openat(&self.fd, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, shown: place.shown() })
    }

    /// Its entries, by name. Names that are not UTF-8 are skipped: vgapt writes none.
    pub(crate) fn entries(&self) -> io::Result<Vec<(String, FileType)>> {
        let mut entries = Vec::new();
        for entry in Dir::new(self.opened()?)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => match fs::statat(&self.fd, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(status) => FileType::from_raw_mode(status.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                },
                known => known,
            };
            entries.push((name, kind));
        }
        entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(entries)
    }

    /// A rename is on the disk when its directory is.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match fs::fsync(self.opened()?) {
            // Some file systems (FUSE) do not support it, and there is no alternative.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opened for reading, not only as a path.
    pub(crate) fn opened(&self) -> io::Result<OwnedFd> {
        Ok(fs::openat(&self.fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }
}

impl Place {
    /// Its path for messages.
    pub(crate) fn shown(&self) -> PathBuf {
        self.folder.shown.join(&self.name)
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The temporary name under which a file is written before it is renamed to this one.
    pub(crate) fn beside(&self) -> io::Result<Self> {
        let mut end = self.name.len().min(LONGEST_NAME - 1 - NEW.len());
        while !self.name.is_char_boundary(end) {
            end -= 1;
        }
        self.folder.place(&format!(".{}{NEW}", &self.name[..end]))
    }

    /// The status of what is there, without following a link; `None` if nothing is.
    pub(crate) fn status(&self) -> io::Result<Option<Stat>> {
        match fs::statat(&self.folder.fd, &*self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn open(&self) -> io::Result<Option<File>> {
        self.open_regular(OFlags::RDONLY)
    }

    /// Opens a regular file. A named pipe would block forever, and a device is not to be opened.
    fn open_regular(&self, flags: OFlags) -> io::Result<Option<File>> {
        let not_regular = || io::Error::other("it is not a regular file");
        let Some(status) = self.status()? else { return Ok(None) };
        if !FileType::from_raw_mode(status.st_mode).is_file() {
            return Err(not_regular());
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(&self.folder.fd, &*self.name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file?,
        };
        if !FileType::from_raw_mode(fs::fstat(&file)?.st_mode).is_file() {
            return Err(not_regular());
        }
        Ok(Some(file.into()))
    }

    /// Creates a file that must not exist.
    pub(crate) fn create(&self, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.folder.fd, &*self.name, flags, Mode::from_raw_mode(mode))?.into())
    }

    /// Renames it in the same directory, replacing what has that name.
    pub(crate) fn rename(&self, to: &str) -> io::Result<()> {
        let to = self.folder.place(to)?;
        Ok(fs::renameat(&self.folder.fd, &*self.name, &self.folder.fd, &*to.name)?)
    }

    /// Removes a file or a link; no error if nothing is there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        // A read-only file system reports an error even if there is nothing to remove.
        if self.status()?.is_none() {
            return Ok(());
        }
        match fs::unlinkat(&self.folder.fd, &*self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ROFS) if self.is_absent() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn make_directory(&self, mode: u32) -> io::Result<()> {
        Ok(fs::mkdirat(&self.folder.fd, &*self.name, Mode::from_raw_mode(mode))?)
    }

    /// Removes a directory if it is empty; returns whether it was removed.
    pub(crate) fn remove_directory(&self) -> io::Result<bool> {
        match fs::unlinkat(&self.folder.fd, &*self.name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(false),
            // A read-only file system says this also of what is not there.
            Err(Errno::ROFS) if self.is_absent() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn is_absent(&self) -> bool {
        matches!(fs::statat(&self.folder.fd, &*self.name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
    }

    /// Writes a sysfs or procfs attribute, in one write.
    pub(crate) fn set_attribute(&self, value: &str) -> io::Result<()> {
        let file = self.open_regular(OFlags::WRONLY | OFlags::TRUNC)?;
        file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.write_all(value.as_bytes())
    }
}
