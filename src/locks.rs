//! Lock files, so that only one vgapt at a time makes a change. The kernel releases a lock when the process ends.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

/// The folder of root's lock files. Other users must not be able to open it: they could then lock it.
pub const FOLDER: &str = "/run/vgapt-locks";

/// Opens the lock file for a name. It is in a folder of this user, so that no other user can lock it or replace it with a
/// link.
///
/// # Errors
/// If there is no such folder.
pub fn open(what: &str) -> Result<File> {
    let own = rustix::process::geteuid().as_raw();
    let folder = if own == 0 {
        PathBuf::from(FOLDER)
    } else {
        let of_session = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
        PathBuf::from(of_session.ok_or_else(|| Error::new(ErrorKind::NotFound, "XDG_RUNTIME_DIR is not set"))?).join("vgapt-locks")
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let there = folder.symlink_metadata()?;
    if !there.is_dir() || there.uid() != own || there.mode() & 0o077 != 0 {
        return Err(Error::new(ErrorKind::PermissionDenied, format!("{} is open to other users", folder.display())));
    }
    // A domain's name may be too long for a file name, or contain characters that a file name cannot.
    let digest = Sha256::digest(what.as_bytes());
    let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).unwrap_or_default();
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(folder.join(name))
}
