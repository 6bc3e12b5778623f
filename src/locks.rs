//! Files that are locked, so that one vgapt at a time does something. The kernel unlocks them with the process.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

/// Where those of root are. No other user can open the folder: whoever can, can lock it.
pub const FOLDER: &str = "/run/vgapt-locks";

/// A file to lock, for what is named so. It lies in a folder of this user's own, so that no other user can hold it
/// or put a link there.
///
/// # Errors
/// Where there is no such folder.
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
