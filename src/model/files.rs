//! Files that a domain is made of: firmware images, disks.

use std::path::Path;

use serde::Serialize;

use super::Uses;

/// A UEFI firmware for guests: its code, and the variables that match it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Firmware {
    /// The code image; guests share it and cannot write it.
    pub code: String,
    /// The image from which a guest's own variables are copied.
    pub vars: String,
    /// `raw` or `qcow2`, of both.
    pub format: String,
    /// Whether it enforces Secure Boot where keys are enrolled, for which it needs system management mode.
    pub secure_boot: bool,
    /// Whether Microsoft's keys are enrolled in the variables.
    pub has_keys: bool,
}

/// A file that a domain will use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FileFacts {
    /// Its path.
    pub path: String,
    /// Whether it is there; `None` where that cannot be told.
    pub exists: Option<bool>,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a named pipe, a socket or a character device.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_stream: bool,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// What its first bytes say it is: `qcow2`, `vmdk`, …; `raw` for anything else; `None` where it could not be read.
    pub format: Option<String>,
    /// The other files that the header of a qcow2 image names outside its own folder, links followed:
    /// what it lies on, and where its data is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Why its first bytes could not be read, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// What the host does with it, where it is a disk that the host uses: `mounted on /`.
    pub in_use: Option<String>,
    /// The folders on the way that QEMU's user cannot pass.
    pub closed_folders: Vec<String>,
}

/// What the host's files say about what a domain needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Files {
    /// The firmwares that are there, the best first.
    pub firmwares: Vec<Firmware>,
    /// The files that were asked for.
    pub facts: Vec<FileFacts>,
    /// Whether what is not in here is not there; else it could not be told.
    pub complete: bool,
    /// What the host uses its devices for.
    #[serde(skip)]
    pub uses: Uses,
    /// The networks of libvirt's, each with whether it is active; `None` where they could not be asked for.
    #[serde(skip)]
    pub networks: Option<Vec<(String, bool)>>,
    /// Whether systemd runs the host; `None` where that could not be told.
    pub systemd: Option<bool>,
    /// The user that QEMU runs as.
    pub qemu_user: Option<String>,
    /// Why that user is only assumed, where it is: the configuration that may name another cannot be read.
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

/// Formats of images by the endings of their names (`qemu-img --help`). An `.img` or `.iso` is raw
/// by everybody's habit.
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
/// VDI says so behind a text for people (`block/vdi.c`).
const VDI: (usize, &[u8]) = (64, b"\x7f\x10\xda\xbe");

/// How many bytes [`format_by_content`] looks at.
pub const BEGINNING: usize = VDI.0 + VDI.1.len();

/// The format that the ending of a name speaks for; `None` for one that says nothing.
pub fn format_by_name(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
}

/// The format that the first bytes of an image look like; `raw` for anything else. Only a hint: the
/// guest writes the first bytes of a raw disk.
pub fn format_by_content(beginning: &[u8]) -> &'static str {
    if beginning.get(VDI.0..).is_some_and(|rest| rest.starts_with(VDI.1)) {
        return "vdi";
    }
    MAGIC.iter().find(|(_, magic)| beginning.starts_with(magic)).map_or("raw", |(name, _)| name)
}

/// A longer chain of images is none that anybody made on purpose.
pub const LONGEST_CHAIN: usize = 200;

/// Whether a name is one that only QEMU's drivers reach, and no path: a colon before the first slash (`path_has_protocol`).
pub fn has_protocol(name: &str) -> bool {
    name.split('/').next().is_some_and(|first| first.contains(':'))
}

/// How many bytes of a qcow2 image hold its header and the name of what it lies on: one cluster of
/// the usual size, in which QEMU keeps both.
pub const QCOW2_HEADER: usize = 64 << 10;

/// The number at a place of a header.
fn number(header: &[u8], at: usize) -> Option<u32> {
    header.get(at..at.checked_add(4)?).map(|bytes| bytes.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)))
}

fn text(header: &[u8], at: usize, length: usize) -> Option<String> {
    Some(String::from_utf8_lossy(header.get(at..at.checked_add(length)?)?).into_owned())
}

fn as_size(value: u32) -> Option<usize> {
    usize::try_from(value).ok()
}

/// The texts of the header extensions of this kind.
fn extensions(header: &[u8], wanted: u32) -> Vec<String> {
    let number = |at: usize| number(header, at);
    let mut texts = Vec::new();
    // Version 2 has no length of its header in it: 72 bytes.
    let length = if number(4) == Some(2) { Some(72) } else { number(100).and_then(as_size) };
    let mut at = length.unwrap_or(usize::MAX);
    while let (Some(kind @ 1..), Some(length)) = (number(at), at.checked_add(4).and_then(number).and_then(as_size)) {
        if kind == wanted {
            texts.extend(text(header, at + 8, length));
        }
        let Some(next) = length.checked_next_multiple_of(8).and_then(|length| (at + 8).checked_add(length)) else { break };
        at = next;
    }
    texts
}

/// What the header of a qcow2 image says that it lies on, and the format that it says of that.
pub fn backing_of_qcow2(header: &[u8]) -> Option<(String, Option<String>)> {
    /// The header extension that names the backing file's format.
    const BACKING_FORMAT: u32 = 0xe279_2aca;
    let (Some(0), Some(at @ 1..), Some(length @ 1..)) = (number(header, 8), number(header, 12), number(header, 16)) else { return None };
    let name = text(header, as_size(at)?, as_size(length)?)?;
    Some((name, extensions(header, BACKING_FORMAT).into_iter().next()))
}

/// The other files that the header of a qcow2 image names (`docs/interop/qcow2.txt`): what it lies
/// on, and where its data is.
pub fn named_by_qcow2(header: &[u8]) -> Vec<String> {
    /// The header extension that names an external data file.
    const DATA_FILE: u32 = 0x4441_5441;
    let backing = backing_of_qcow2(header).map(|(name, _)| name);
    backing.into_iter().chain(extensions(header, DATA_FILE)).collect()
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
    fn what_a_header_names() {
        let mut header = vec![0; 256];
        header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        header[15] = 200;
        header[19] = 5;
        header[103] = 104;
        header[104..120].copy_from_slice(b"DATA\0\0\0\x04/dat\0\0\0\0");
        header[200..205].copy_from_slice(b"/base");
        assert_eq!(named_by_qcow2(&header), ["/base", "/dat"]);
        assert_eq!(backing_of_qcow2(&header), Some(("/base".to_owned(), None)));
        header[120..131].copy_from_slice(b"\xe2\x79\x2a\xca\0\0\0\x03raw");
        assert_eq!(backing_of_qcow2(&header), Some(("/base".to_owned(), Some("raw".to_owned()))));
        header[19] = 0;
        assert_eq!(named_by_qcow2(&header), ["/dat"]);
    }

    proptest::proptest! {
        #[test]
        fn a_header_never_panics(mut header in proptest::collection::vec(0_u8.., 0..300)) {
            named_by_qcow2(&header);
            if let Some(beginning) = header.get_mut(..8) {
                beginning.copy_from_slice(b"QFI\xfb\0\0\0\x03");
            }
            named_by_qcow2(&header);
            format_by_content(&header);
        }
    }
}
