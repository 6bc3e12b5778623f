//! What a file system has room for, and whether it may be written.

use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use crate::model::Size;

/// The room that is left for this user on a directory's file system; `None` where it cannot be told.
pub fn free_space(directory: &Path) -> Option<Size> {
    let stat = statvfs(directory).ok()?;
    Some(Size::from_bytes(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// Why a file or directory may not be written; `None` where it may. Root may write what nobody has
/// the right to, but does not want to: a file without that right was shut on purpose.
pub fn is_read_only(path: &Path) -> Option<&'static str> {
    if statvfs(path).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return Some("its file system is mounted read-only");
    }
    if access(path, Access::WRITE_OK).is_err() {
        return Some("you may not write to it");
    }
    let shut = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().readonly());
    shut.then_some("it is marked read-only")
}
