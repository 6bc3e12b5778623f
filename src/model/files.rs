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
    /// Its size in bytes.
    pub size: Option<u64>,
    /// What its first bytes say it is: `qcow2`, `vmdk`, …; `raw` for anything else; `None` where it could not be read.
    pub format: Option<String>,
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
}

impl Files {
    /// What is known of a file.
    pub fn of(&self, path: &str) -> Option<&FileFacts> {
        self.facts.iter().find(|facts| facts.path == path)
    }
}

/// Formats of images by the endings of their names (`qemu-img --help`).
const ENDINGS: [(&str, &str); 9] = [
    ("qcow2", "qcow2"),
    ("qcow", "qcow"),
    ("raw", "raw"),
    ("vmdk", "vmdk"),
    ("vdi", "vdi"),
    ("vhdx", "vhdx"),
    ("vhd", "vpc"),
    ("qed", "qed"),
    ("luks", "luks"),
];

/// The format that the ending of a name speaks for; `None` for one that says nothing, as .img.
pub fn format_by_name(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        let of = |name: &str| format_by_name(Path::new(name));
        assert_eq!([of("/a.b/x.VDI"), of("x.vhd"), of("x.img"), of("x")], [Some("vdi"), Some("vpc"), None, None]);
    }
}
