//! Free space, and whether a path is writable.

use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use crate::model::Size;

/// The free space for this user on a directory's file system; `None` where it is unknown.
pub fn free_space(directory: &Path) -> Option<Size> {
    let stat = statvfs(directory).ok()?;
    Some(Size::from_bytes(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// Why a file or directory must not be written to; `None` where it may be. Root could write to a file without write
/// permission, but does not: the permission was removed on purpose.
pub fn is_read_only(path: &Path) -> Option<&'static str> {
    if statvfs(path).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return Some("its file system is mounted read-only");
    }
    if access(path, Access::WRITE_OK).is_err() {
        return Some("you have no write permission");
    }
    let shut = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().readonly());
    shut.then_some("it is marked read-only")
}
