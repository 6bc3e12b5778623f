//! Files of a domain: firmware images, disks.

use std::path::Path;
use std::{fmt, io};

use serde::Serialize;

use super::Uses;

/// A UEFI firmware for guests: a code image and the matching variables template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Firmware {
    /// The code image; guests share it read-only.
    pub code: String,
    /// The template from which a guest's variables are copied.
    pub vars: String,
    /// The format of both: `raw` or `qcow2`.
    pub format: String,
    /// Whether it enforces Secure Boot if keys are enrolled; this requires system management mode.
    pub secure_boot: bool,
    /// Whether Microsoft's keys are enrolled in the variables.
    pub has_keys: bool,
}

/// What is known of a file that a domain will use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FileFacts {
    /// Its path.
    pub path: String,
    /// Whether it exists; `None` if unknown.
    pub exists: Option<bool>,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a named pipe, a socket or a character device.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_stream: bool,
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
    /// What the host uses its devices for.
    #[serde(skip)]
    pub uses: Uses,
    /// libvirt's networks and whether each is active; `None` if unknown.
    #[serde(skip)]
    pub networks: Option<Vec<(String, bool)>>,
    /// Whether the host runs systemd; `None` if unknown.
    pub systemd: Option<bool>,
    /// The user that QEMU runs as.
    pub qemu_user: Option<String>,
    /// Why the user is only assumed: the configuration that may specify another one cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_user: Option<String>,
    /// The folders of libvirt's storage pools, as far as they are known.
    pub pools: Vec<String>,
}

impl Files {
    /// What is known of a file.
    pub fn of(&self, path: &str) -> Option<&FileFacts> {
        self.facts.iter().find(|facts| facts.path == path)
    }
}

/// Image formats by file name extension (`qemu-img --help`). `.img` and `.iso` are raw
/// by convention.
const ENDINGS: [(&str, &str); 11] = [
    ("qcow2", "qcow2"),
    ("qcow", "qcow"),
    ("raw", "raw"),
    ("img", "raw"),
    ("iso", "raw"),
    ("vmdk", "vmdk"),
    ("vdi", "vdi"),
    ("vhdx", "vhdx"),
    ("vhd", "vpc"),
    ("qed", "qed"),
    ("luks", "luks"),
];

/// Magic bytes at the beginning of disk images (from the formats' specifications; as QEMU probes them).
const MAGIC: [(&str, &[u8]); 12] = [
    ("qcow", b"QFI\xfb\0\0\0\x01"),
    ("qcow2", b"QFI\xfb"),
    ("vmdk", b"KDMV"),
    ("vmdk", b"COWD"),
    ("vmdk", b"# Disk D"),
    ("vhdx", b"vhdxfile"),
    ("qed", b"QED\0"),
    ("vpc", b"conectix"),
    ("parallels", b"WithoutFreeSpace"),
    ("parallels", b"WithouFreSpacExt"),
    ("bochs", b"Bochs Virtual HD Image"),
    ("luks", b"LUKS\xba\xbe"),
];
/// The magic number of VDI, which follows a text (`block/vdi.c`).
const VDI: (usize, &[u8]) = (64, b"\x7f\x10\xda\xbe");

/// How many bytes [`format_by_content`] needs.
pub const BEGINNING: usize = 512;

/// The format that the file name extension suggests; `None` for an unknown one.
pub fn format_by_name(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
}

/// The format that the first bytes of an image look like; `raw` for anything else. Only a hint, because the
/// guest controls the first bytes of a raw disk.
pub fn format_by_content(beginning: &[u8]) -> &'static str {
    if beginning.get(VDI.0..).is_some_and(|rest| rest.starts_with(VDI.1)) {
        return "vdi";
    }
    let by_magic = MAGIC.iter().find(|(_, magic)| beginning.starts_with(magic)).map(|(name, _)| *name);
    by_magic.unwrap_or(if is_description(beginning) { "vmdk" } else { "raw" })
}

/// Whether it is a VMDK descriptor: a `version=` line after comments and blank lines (`vmdk_probe`).
fn is_description(beginning: &[u8]) -> bool {
    let lines = beginning.split_inclusive(|byte| *byte == b'\n');
    let is_space = |line: &&[u8]| line.starts_with(b" ") && line.ends_with(b"\n") && line.trim_ascii().is_empty();
    let first = lines.into_iter().find(|line| !line.starts_with(b"#") && !is_space(line));
    first.and_then(|line| line.strip_prefix(b"version=")).is_some_and(|rest| {
        let (version, end) = rest.split_at(rest.len().min(1));
        [&b"1"[..], b"2", b"3"].contains(&version) && [&b"\n"[..], b"\r\n"].contains(&end)
    })
}

/// The longest backing chain that is followed.
pub const LONGEST_CHAIN: usize = 200;

/// Whether a name has a protocol of QEMU and is not a path: a colon before the first slash (`path_has_protocol`).
pub fn has_protocol(name: &str) -> bool {
    name.split('/').next().is_some_and(|first| first.contains(':'))
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
    fn endings() {
        let of = |name: &str| format_by_name(Path::new(name));
        assert_eq!([of("/a.b/x.VDI"), of("x.vhd"), of("x.img"), of("x")], [Some("vdi"), Some("vpc"), Some("raw"), None]);
    }

    #[test]
    fn beginnings() {
        assert_eq!(format_by_content(b"QFI\xfb\0\0\0\x03"), "qcow2");
        assert_eq!(format_by_content(b"QFI\xfb\0\0\0\x01"), "qcow");
        assert_eq!(format_by_content(b""), "raw");
        assert_eq!(format_by_content(&[&[b'<'; 64][..], b"\x7f\x10\xda\xbe"].concat()), "vdi");
    }

    #[test]
    fn a_description_of_vmdk() {
        for text in ["# Disk DescriptorFile\n", "version=1\nx", "# c\n \n#\n  \r\nversion=3\r\n"] {
            assert_eq!(format_by_content(text.as_bytes()), "vmdk", "{text}");
        }
        for text in ["", " ", "#", "version=4\n", "version=1", " version=1\n", "x\nversion=1\n", "\nversion=1\n"] {
            assert_eq!(format_by_content(text.as_bytes()), "raw", "{text}");
        }
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

    proptest::proptest! {
        #[test]
        fn a_beginning_never_panics(beginning in proptest::collection::vec(0_u8.., 0..300), text in "[# \r\nversion=1]*") {
            format_by_content(&beginning);
            format_by_content(text.as_bytes());
        }
    }
}
