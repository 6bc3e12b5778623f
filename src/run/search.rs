//! Where programs are searched for: in the absolute directories of PATH, and in root's.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Directories that are missing in PATH after `su`; update-grub and similar programs are there.
const OF_ROOT: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// The C library's default where PATH is not set.
const OF_EVERYBODY: [&str; 2] = ["/usr/bin", "/bin"];

/// The search path, without empty and relative elements: they depend on the current directory, where anybody may have put a program.
pub(super) fn path() -> OsString {
    std::env::join_paths(directories(std::env::var_os("PATH").as_deref())).unwrap_or_default()
}

/// The path of a program; a name that contains a slash is a path, which must be absolute.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_absolute() && path.exists());
    }
    directories(std::env::var_os("PATH").as_deref()).into_iter().map(|directory| directory.join(program)).find(|path| is_program(path))
}

fn directories(path: Option<&OsStr>) -> Vec<PathBuf> {
    let said = path.into_iter().flat_map(std::env::split_paths).filter(|directory| directory.is_absolute());
    let mut directories: Vec<PathBuf> = said.collect();
    if directories.is_empty() {
        directories.extend(OF_EVERYBODY.map(PathBuf::from));
    }
    directories.extend(OF_ROOT.map(PathBuf::from));
    directories
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_directories() {
        let of = |path: &str| directories(Some(OsStr::new(path))).iter().map(|one| one.display().to_string()).collect::<Vec<_>>().join(":");
        for path in ["", ":", ".", "bin:./x:..", "::"] {
            assert_eq!(of(path), "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "{path}");
        }
        assert_eq!(of(":/a::b:/c:"), "/a:/c:/usr/local/sbin:/usr/sbin:/sbin");
        assert_eq!(find("no/such"), None);
        assert!(find("sh").is_some_and(|sh| sh.is_absolute()));
    }
}
