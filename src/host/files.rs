//! The only place that changes files of the host: each is the old one or the new one at any moment,
//! whatever happens, and what was there keeps its owner, its mode and its labels.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Error, Result};
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;

/// What follows the name of a file that is being written; a dot stands before it.
const NEW: &str = ".vgapt-new";

/// A file as it is, or as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl State {
    /// What is at a place; `None` where nothing is.
    pub(super) fn read(place: &Path) -> Result<Option<Self>> {
        let status = match fs::metadata(place) {
            Ok(status) => status,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told("read", place, &error)),
        };
        // Reading a named pipe would wait for ever.
        if !status.is_file() {
            return Err(Problem::new(format!("{} is no regular file", place.display()), "put it right, or away, and run this again").into());
        }
        let bytes = fs::read(place).map_err(|error| told("read", place, &error))?;
        Ok(Some(Self { bytes, mode: status.mode() & 0o7777, uid: status.uid(), gid: status.gid() }))
    }

    /// A file that is new: of whoever writes it.
    pub(super) fn new(text: &str, mode: u32) -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { bytes: text.as_bytes().to_vec(), mode, uid, gid }
    }

    /// Puts it in its place in one step.
    pub(super) fn put(&self, place: &Path) -> Result<()> {
        self.try_put(place).map_err(|error| told("write", place, &error))
    }

    fn try_put(&self, place: &Path) -> io::Result<()> {
        let new = beside(place);
        remove_if_there(&new)?;
        let result = self.write_to(&new, place).and_then(|()| fs::rename(&new, place));
        if result.is_err() {
            let _ = fs::remove_file(&new);
        }
        result?;
        sync_directory_of(place)
    }

    fn write_to(&self, new: &Path, place: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
        file.write_all(&self.bytes)?;
        copy_labels(place, &file)?;
        let status = file.metadata()?;
        if (status.uid(), status.gid()) != (self.uid, self.gid) {
            std::os::unix::fs::fchown(&file, Some(self.uid), Some(self.gid))?;
        }
        file.set_permissions(fs::Permissions::from_mode(self.mode))?;
        file.sync_all()
    }
}

/// The SELinux label, access control list and other extended attributes of the file that makes room.
fn copy_labels(from: &Path, to: &File) -> io::Result<()> {
    let mut names = vec![0_u8; 4096];
    let Ok(length) = rustix::fs::listxattr(from, names.as_mut_slice()) else { return Ok(()) };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 64 << 10];
        let Ok(length) = rustix::fs::getxattr(from, name, value.as_mut_slice()) else { continue };
        match rustix::fs::fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty()) {
            // The kernel's own attributes are set by the kernel.
            Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Takes a file away; no error where there is none.
pub(super) fn remove(place: &Path) -> Result<()> {
    let remove = || remove_if_there(&beside(place)).and_then(|()| remove_if_there(place)).and_then(|()| sync_directory_of(place));
    remove().map_err(|error| told("remove", place, &error))
}

/// Takes away what an interrupted write left beside a file.
pub(super) fn clean_up(place: &Path) -> Result<()> {
    let beside = beside(place);
    remove_if_there(&beside).map_err(|error| told("remove", &beside, &error))
}

/// Makes a directory; with this mode from its first moment on.
pub(super) fn make_directory(place: &Path, mode: u32) -> Result<()> {
    let made = match DirBuilder::new().mode(mode).create(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && place.is_dir() => Ok(()),
        result => result.and_then(|()| sync_directory_of(place)),
    };
    made.map_err(|error| told("make the directory", place, &error))
}

/// Takes a directory away if nothing is in it.
pub(super) fn remove_directory(place: &Path) {
    if fs::remove_dir(place).is_ok() {
        let _ = sync_directory_of(place);
    }
}

/// Writes an attribute of the kernel, in one write.
pub(super) fn set_attribute(place: &Path, value: &str) -> Result<()> {
    let write = || OpenOptions::new().write(true).truncate(true).open(place)?.write_all(value.as_bytes());
    write().map_err(|error| told(&format!("write {value} into"), place, &error))
}

/// Makes sure that a file, written by somebody else, is on the disk.
pub(super) fn sync(place: &Path) -> io::Result<()> {
    File::open(place)?.sync_all()?;
    sync_directory_of(place)
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error as people read it: what could not be done, where, and what helps.
pub(super) fn told(what: &str, place: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount its file system for writing, or change the configuration where this host has it made from"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "make room on its file system, and run this again"
        }
        io::ErrorKind::PermissionDenied => "run this as root; where root may not either, see what protects the file (lsattr, SELinux)",
        _ => "see what is at that path, put it right, and run this again",
    };
    Problem::new(format!("cannot {what} {}: {error}", place.display()), remedy).into()
}

fn beside(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}{NEW}"))
}

fn remove_if_there(place: &Path) -> io::Result<()> {
    // A read-only file system refuses before it looks.
    if matches!(fs::symlink_metadata(place), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A rename is on the disk when its directory is.
fn sync_directory_of(place: &Path) -> io::Result<()> {
    match place.parent() {
        // A file system that cannot do it (some FUSE ones) has no better to offer.
        Some(parent) => {
            File::open(parent)?.sync_all().or_else(|error| if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) })
        }
        None => Ok(()),
    }
}
