//! Files that the user names: read up to a limit, and written atomically: at any moment there is the complete old or the
//! complete new file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result};
use rustix::fs::{Access, Mode, OFlags, access, open};

use crate::problem::Problem;

/// The largest file that is read: libvirt's limit for a message.
const LONGEST: u64 = 32 << 20;

/// Reads a file or pipe; the limit also refuses one that never ends.
pub(in crate::commands) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    Ok(text)
}

/// Writes a temporary file beside this one, and renames it when it is complete. The mode and the owner of an existing
/// file are kept; a terminal, a pipe or a device is written to directly.
///
/// # Errors
/// Where the file cannot be written; an existing file is then unchanged.
pub(in crate::commands) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    try_write(file, bytes).map_err(|error| unwritable(file, &error))
}

/// That it could be written now, before what is written is made: nothing is changed.
///
/// # Errors
/// Where its folder does not exist or may not be written to, or it is a folder.
pub(in crate::commands) fn may_write(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_folder = file.is_dir().then(|| io::Error::from(io::ErrorKind::IsADirectory));
    let may = is_folder.map_or_else(|| access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from), Err);
    // What is no file is written to directly.
    let is_special = fs::metadata(file).is_ok_and(|status| !status.is_file() && !status.is_dir());
    if is_special { Ok(()) } else { may.map_err(|error| unwritable(file, &error)) }
}

fn unwritable(file: &Path, error: &io::Error) -> Error {
    let message = format!("cannot write {}: {error}", file.display());
    Problem::new(message, "name a file in a folder that you may write to, on a file system with free space").into()
}

fn try_write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // A symbolic link stays: the file it leads to is written.
    let (place, status) = match fs::canonicalize(file) {
        Ok(place) => (place.clone(), Some(fs::metadata(&place)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (file.to_owned(), None),
        Err(error) => return Err(error),
    };
    if status.as_ref().is_some_and(|status| !status.is_file()) {
        return fs::OpenOptions::new().write(true).open(&place)?.write_all(bytes);
    }
    let beside = beside(&place)?;
    let written = || {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut new = File::from(open(&beside, flags, Mode::from_raw_mode(0o666))?);
        new.write_all(bytes)?;
        if let Some(status) = &status {
            let own = new.metadata()?;
            if (own.uid(), own.gid()) != (status.uid(), status.gid()) {
                std::os::unix::fs::fchown(&new, Some(status.uid()), Some(status.gid()))?;
            }
            // Set-id bits are dropped: the new content must not run as another user.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(status.mode() & 0o1777);
            new.set_permissions(mode)?;
        }
        new.sync_all()?;
        fs::rename(&beside, &place)
    };
    let result = written();
    // Not removed where another process has created it.
    if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    result
}

fn beside(place: &Path) -> io::Result<PathBuf> {
    let name = place.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file"))?;
    Ok(place.with_file_name(format!(".{}.vgapt-{}", name.to_string_lossy(), std::process::id())))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn whole_or_as_before() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("it"), place.path().join("link"));
        write(&file, b"one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink("it", &link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!((fs::read(&file).unwrap(), fs::metadata(&file).unwrap().mode() & 0o7777), (b"two".to_vec(), 0o640));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(Path::new("/dev/null"), b"three").unwrap();
        assert!(write(&place.path().join("no/folder"), b"").is_err() && write(place.path(), b"").is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }
}
