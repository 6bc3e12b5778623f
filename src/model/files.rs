//! Files of a domain: what is known of them, and which of them are the same.

use std::{fmt, io};

use serde::Serialize;

use super::{Firmware, Uses};

/// What is known of a file that a domain will use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FileFacts {
    pub path: String,
    /// Whether it exists; `None` if unknown.
    pub exists: Option<bool>,
    pub is_dir: bool,
    /// Whether it is a named pipe, a socket or a character device.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_stream: bool,
    /// Whether it is a block device, with links followed; `None` if unknown.
    #[serde(skip)]
    pub is_block_device: Option<bool>,
    /// The size of the logical sectors of a block device, in bytes; `None` if unknown.
    #[serde(skip)]
    pub sector: Option<u32>,
    /// Whether it is a network interface that is up; `None` if it is none, or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_up: Option<bool>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// The format according to its first bytes: `qcow2`, `vmdk`, …; `raw` for anything else; `None` if it could not be read.
    pub format: Option<String>,
    /// The backing files and data files outside the image's own folder, with symbolic links resolved, as named in the
    /// headers of the image and of its backing chain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Why not all of these folders are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names_unknown: Option<String>,
    /// Why its first bytes could not be read, if it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// How the host uses it, if it is a disk in use: `mounted on /`.
    pub in_use: Option<String>,
    /// The parent folders that QEMU's user cannot access.
    pub closed_folders: Vec<String>,
}

/// What was read from the host's files for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Files {
    /// The installed firmwares, the best first.
    pub firmwares: Vec<Firmware>,
    /// The requested files.
    pub facts: Vec<FileFacts>,
    /// Whether a file that was not found does not exist; else this is unknown.
    pub complete: bool,
    #[serde(skip)]
    pub uses: Uses,
    /// libvirt's networks and whether each is active; `None` if unknown.
    #[serde(skip)]
    pub networks: Option<Vec<(String, bool)>>,
    /// Whether the host runs systemd; `None` if unknown.
    pub systemd: Option<bool>,
    pub qemu_user: Option<String>,
    /// Why the user is only assumed: the configuration that may specify another one cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_user: Option<String>,
    /// The folders of libvirt's storage pools, as far as they are known.
    pub pools: Vec<String>,
}

impl Files {
    pub fn of(&self, path: &str) -> Option<&FileFacts> {
        self.facts.iter().find(|facts| facts.path == path)
    }

    /// Whether a path leads to a block device. Of a file that is not known, its name tells.
    pub fn is_block_device(&self, path: &str) -> bool {
        self.of(path).and_then(|facts| facts.is_block_device).unwrap_or_else(|| is_device_by_name(path))
    }
}

/// Whether a path is that of a device by its name: below /dev, but for /dev/shm, which is memory with files.
pub fn is_device_by_name(path: &str) -> bool {
    path.starts_with("/dev/") && !path.starts_with("/dev/shm/")
}

/// Identifies a file or block device; equal for all its names, including hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A block device, by its device number: it may have several device nodes.
    Device(u64),
    /// A file, by the device number of its file system and its inode number.
    File(u64, u64),
}

impl Identity {
    /// From the fields of `stat(2)`.
    pub fn of(is_block_device: bool, number: u64, device: u64, inode: u64) -> Self {
        if is_block_device { Self::Device(number) } else { Self::File(device, inode) }
    }

    /// Replaces a loop device by its backing file: `attribute` reads the path from [`file_of_loop`], `of` determines the
    /// identity of that file. If the file was deleted, the loop device itself is the identity.
    ///
    /// # Errors
    /// If sysfs cannot be read; a device that is not a loop device is not an error.
    pub fn behind_loops(
        (mut identity, mut behind): (Self, Option<String>),
        attribute: impl Fn(&str) -> io::Result<String>,
        of: impl Fn(&str) -> io::Result<(Self, Option<String>)>,
    ) -> io::Result<Self> {
        /// The limit for loop devices on top of loop devices.
        const DEEPEST: usize = 16;
        for _ in 0..DEEPEST {
            let Some(place) = behind else { return Ok(identity) };
            let file = match attribute(&place) {
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(identity),
                file => file?,
            };
            let Ok(next) = of(file.trim_end_matches('\n')) else { return Ok(identity) };
            (identity, behind) = next;
        }
        Ok(identity)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(number) => write!(f, "device {number}"),
            Self::File(device, inode) => write!(f, "file {device} {inode}"),
        }
    }
}

/// The sysfs attribute with the backing file of a loop device (`drivers/block/loop.c`); other devices do not have it.
pub fn file_of_loop(major: u32, minor: u32) -> String {
    format!("/sys/dev/block/{major}:{minor}/loop/backing_file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_file_counts_before_its_name() {
        let file = |path: &str, is_block_device| FileFacts { path: path.to_owned(), is_block_device, ..FileFacts::default() };
        let facts = vec![file("/dev/file", Some(false)), file("/vm/device", Some(true)), file("/dev/unknown", None)];
        let files = Files { facts, ..Files::default() };
        let paths = ["/dev/file", "/vm/device", "/dev/unknown", "/dev/elsewhere", "/dev/shm/x", "/vm/x"];
        assert_eq!(paths.map(|path| files.is_block_device(path)), [false, true, true, true, false, false]);
    }

    #[test]
    fn the_file_behind_loop_devices() {
        let device = |minor: u64| (Identity::Device(minor), Some(file_of_loop(7, minor.try_into().unwrap())));
        let of = |file: &str| match file {
            "/file" => Ok((Identity::File(1, 2), None)),
            "/dev/loop1" => Ok(device(1)),
            "/dev/loop2" => Ok(device(2)),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let attribute = |place: &str| match place {
            "/sys/dev/block/7:0/loop/backing_file" => Ok("/dev/loop1\n".to_owned()),
            "/sys/dev/block/7:1/loop/backing_file" => Ok("/file\n".to_owned()),
            "/sys/dev/block/7:2/loop/backing_file" => Ok("/dev/loop2\n".to_owned()),
            "/sys/dev/block/7:3/loop/backing_file" => Ok("/gone (deleted)\n".to_owned()),
            "/sys/dev/block/7:4/loop/backing_file" => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let behind = |minor| Identity::behind_loops(device(minor), attribute, of).ok();
        assert_eq!([behind(0), behind(1)], [Some(Identity::File(1, 2)); 2]);
        assert_eq!([2, 3, 5].map(behind), [2, 3, 5].map(|minor| Some(Identity::Device(minor))));
        assert_eq!(behind(4), None);
    }
}
