//! What the files of this host show: which may be overlays, what their content looks like, and which are one file.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::model::{BEGINNING, Identity, Reading, file_of_loop, format_by_content};

/// The formats that support backing files.
const OF_OVERLAYS: [&str; 5] = ["qcow", "qcow2", "qed", "vmdk", "vhdx"];
/// The shortest header of such a format (qcow, 48 bytes; see QEMU's `docs/interop/qcow2.txt`): a shorter file cannot
/// be an overlay.
const SHORTEST: u64 = 48;

/// The contents of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The files whose header is of a format that supports backing files.
    pub images: Vec<PathBuf>,
    /// The folders in it, but not links to folders.
    pub folders: Vec<PathBuf>,
    /// Files that may be such images but could not be read, with the reasons.
    pub unread: Vec<String>,
    /// How many entries it has.
    pub entries: usize,
}

/// Lists a folder: every file that may be an overlay is either found, or reported as unread.
pub fn look_into(folder: &Path) -> Reading<Listing> {
    let shown = folder.display().to_string();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return Reading::of(Err(error), &shown),
    };
    let mut listing = Listing::default();
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => return Reading::Unknown(format!("cannot read all of {shown}: {error}")),
        };
        listing.entries += 1;
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => listing.folders.push(path),
            _ => match overlay_format(&path) {
                Reading::Known(Some(_)) => listing.images.push(path),
                Reading::Known(None) | Reading::Absent => {}
                Reading::Unknown(because) => listing.unread.push(because),
            },
        }
    }
    listing.images.sort();
    listing.folders.sort();
    listing.unread.sort();
    Reading::Known(listing)
}

/// The format of a file or block device that may be an overlay; `None` of one that cannot be.
pub fn overlay_format(path: &Path) -> Reading<Option<&'static str>> {
    let read = || -> io::Result<Option<&'static str>> {
        let metadata = fs::metadata(path)?;
        let kind = metadata.file_type();
        let may_be_one = kind.is_block_device() || (kind.is_file() && metadata.len() >= SHORTEST);
        if !may_be_one {
            return Ok(None);
        }
        Ok(Some(beginning(path)?).filter(|format| OF_OVERLAYS.contains(format)))
    };
    Reading::of(read(), &path.display().to_string())
}

/// The format that the first bytes of an image look like.
///
/// # Errors
/// Where they cannot be read.
pub fn beginning(path: &Path) -> io::Result<&'static str> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BEGINNING as u64).read_to_end(&mut bytes)?;
    Ok(format_by_content(&bytes))
}

/// Whether two paths are the same file or device. Paths that cannot be resolved are compared as written.
pub fn same_file(one: &Path, other: &Path) -> bool {
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let of = |path: &Path| -> io::Result<(Identity, Option<String>)> {
        let metadata = fs::metadata(path)?;
        let (is_block_device, number) = (metadata.file_type().is_block_device(), metadata.rdev());
        let behind = is_block_device.then(|| file_of_loop(rustix::fs::major(number), rustix::fs::minor(number)));
        Ok((Identity::of(is_block_device, number, metadata.dev(), metadata.ino()), behind))
    };
    Identity::behind_loops(of(path)?, |attribute| fs::read_to_string(attribute), |file| of(Path::new(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_and_what_is_no_image_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let image = [&b"QFI\xfb\0\0\0\x03"[..], &[0; 100]].concat();
        fs::write(path("image"), &image).unwrap();
        fs::write(path("text"), [b'x'; 100]).unwrap();
        fs::write(path("short"), "x").unwrap();
        fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("dangling")).unwrap();
        // A loop of symbolic links cannot be resolved by any user, root included.
        std::os::unix::fs::symlink("circle", path("circle")).unwrap();
        let Reading::Known(listing) = look_into(directory.path()) else { panic!("it is there") };
        assert_eq!((listing.images, listing.folders, listing.entries), (vec![path("image")], vec![path("folder")], 6));
        assert_eq!(listing.unread.len(), 1, "{:?}", listing.unread);
        assert!(listing.unread[0].contains("circle"));
        assert_eq!(look_into(&path("nosuch")), Reading::Absent);
    }

    #[test]
    fn two_nodes_of_one_device() {
        use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, minor) in [("one", 200), ("other", 200), ("third", 201)] {
            // Only root may create device nodes.
            if mknodat(CWD, path(name), FileType::BlockDevice, Mode::RUSR, makedev(7, minor)).is_err() {
                return;
            }
        }
        assert!(same_file(&path("one"), &path("other")) && !same_file(&path("one"), &path("third")));
    }
}
