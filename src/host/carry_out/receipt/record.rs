//! One receipt.

use serde::{Deserialize, Serialize};

use crate::target::files::Attributes;

/// The format that is written. Format 1 has no format number and no file attributes. All formats up to this one are read.
pub(in crate::host) const FORMAT: u32 = 2;

/// The part of a receipt that can be read in every format.
#[derive(Debug, Deserialize)]
pub(in crate::host) struct Head {
    /// The version of vgapt that wrote it.
    #[serde(default)]
    pub(in crate::host) vgapt: String,
    /// Its format.
    #[serde(default = "first_format")]
    pub(in crate::host) format: u32,
}

fn first_format() -> u32 {
    1
}

/// What one `vgapt prepare` does, with everything needed to undo it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct Receipt {
    /// Its format.
    #[serde(default = "first_format")]
    pub(in crate::host) format: u32,
    /// The version of vgapt that wrote it.
    pub(in crate::host) vgapt: String,
    /// When, in seconds since 1970.
    pub(in crate::host) made: u64,
    /// How far it got.
    pub(in crate::host) progress: Progress,
    /// The directories that are created, the outer ones first.
    pub(in crate::host) directories: Vec<String>,
    /// The files that are written, in order.
    pub(in crate::host) files: Vec<FileRecord>,
    /// The commands that are run after that, in order.
    pub(in crate::host) commands: Vec<CommandRecord>,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::host) enum Progress {
    /// It has begun; if no vgapt is running, it was interrupted.
    Applying,
    /// It is done and verified.
    Applied,
    /// It is being undone.
    Undoing,
}

/// A file that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct FileRecord {
    /// Its path.
    pub(in crate::host) path: String,
    /// Its path with symbolic links resolved.
    pub(in crate::host) place: String,
    /// As it was; `None` if it is new.
    pub(in crate::host) before: Option<StoredContent>,
    /// As it is afterwards; `None` if it is removed.
    pub(in crate::host) after: Option<StoredContent>,
}

/// The content of a file, stored with the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct StoredContent {
    /// The name under which it is stored.
    pub(in crate::host) name: String,
    /// Its SHA-256.
    pub(in crate::host) sha256: String,
    /// Permission bits.
    pub(in crate::host) mode: u32,
    /// Owner.
    pub(in crate::host) uid: u32,
    /// Group.
    pub(in crate::host) gid: u32,
    /// Its access control list, labels and user attributes; `None` if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::host) attributes: Option<Attributes>,
}

/// A command that is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct CommandRecord {
    /// The program and its arguments.
    pub(in crate::host) argv: Vec<String>,
    /// The command that undoes it.
    pub(in crate::host) undo: Option<Vec<String>>,
    /// The files that it regenerates: paths, prefixes of paths, or directories.
    pub(in crate::host) makes: Vec<String>,
    /// Whether it was started; never in a tree that is not the running system.
    pub(in crate::host) begun: bool,
    /// The files that it regenerated.
    pub(in crate::host) made: Vec<Made>,
}

/// A file that a command regenerated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct Made {
    /// Its path.
    pub(in crate::host) path: String,
    /// As it was; `None` if it is new.
    pub(in crate::host) before: Option<StoredContent>,
    /// The SHA-256 of what the command wrote; `None` if it did not finish.
    pub(in crate::host) after: Option<String>,
}

impl Receipt {
    /// A part of it that no vgapt can have written: a receipt in a tree may come from anywhere.
    pub(in crate::host) fn odd(&self) -> Option<String> {
        let files = self.files.iter().flat_map(|file| [&file.path, &file.place]);
        let commands = self.commands.iter().flat_map(|command| command.made.iter().map(|made| &made.path).chain(&command.makes));
        let odd_path = files.chain(commands).chain(&self.directories).find(|path| !is_normal(path));
        let kept_of_files = self.files.iter().flat_map(|file| [&file.before, &file.after]);
        let kept_of_commands = self.commands.iter().flat_map(|command| &command.made).map(|made| &made.before);
        let mut kept = kept_of_files.chain(kept_of_commands).flatten();
        let odd_mode = || kept.find(|kept| kept.mode > 0o7777).map(|kept| format!("the mode {:o}", kept.mode));
        odd_path.map(|path| format!("the path '{path}'")).or_else(odd_mode)
    }
}

/// Whether a path is absolute, without `.`, `..` and empty components; it may end with a slash.
fn is_normal(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    !path.contains('\0') && rest.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::is_normal;

    #[test]
    fn only_plain_absolute_paths() {
        for path in ["/etc/fstab", "/boot/initrd.img-", "/efi/EFI/Linux/", "/a/..b/.c"] {
            assert!(is_normal(path), "{path}");
        }
        for path in ["", "/", "//", "etc/fstab", "/etc/../fstab", "/..", "/etc//fstab", "/./etc", "/etc/fs\0tab", "/a//"] {
            assert!(!is_normal(path), "{path}");
        }
    }
}
