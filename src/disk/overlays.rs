//! Which files of a directory may be images that lie on another.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What formats that know backing files begin with: qcow and qcow2, QED, VMDK in both sorts, VHDX.
const BEGINNINGS: [&[u8]; 5] = [b"QFI\xfb", b"QED\0", b"KDMV", b"# Disk DescriptorFile", b"vhdxfile"];

/// The regular files of a directory that begin as images which may lie on another.
pub fn candidates(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file() && may_have_backing(path)).collect();
    found.sort();
    found
}

fn may_have_backing(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_end(&mut beginning));
    read.is_ok() && BEGINNINGS.iter().any(|known| beginning.starts_with(known))
}

/// Whether two paths lead to one file.
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => one == other,
    }
}
