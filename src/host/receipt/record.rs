//! One receipt.

use serde::{Deserialize, Serialize};

/// What one `vgapt prepare` does, with everything that taking it back needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct Receipt {
    /// The version of vgapt that wrote it.
    pub(in crate::host) vgapt: String,
    /// When, in seconds since 1970.
    pub(in crate::host) made: u64,
    /// How far it got.
    pub(in crate::host) progress: Progress,
    /// The directories that are made, the outer ones first.
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
    /// It was begun; if nobody is at work, it was interrupted.
    Applying,
    /// It was done and proved.
    Applied,
    /// It is being taken back.
    Undoing,
}

/// A file that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct FileRecord {
    /// Its path.
    pub(in crate::host) path: String,
    /// Where it really lies.
    pub(in crate::host) place: String,
    /// As it was; `None` where it is new.
    pub(in crate::host) before: Option<Kept>,
    /// As it is then; `None` where it is taken away.
    pub(in crate::host) after: Option<Kept>,
}

/// The content of a file, kept beside the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct Kept {
    /// The name under which it is kept.
    pub(in crate::host) name: String,
    /// Its SHA-256.
    pub(in crate::host) sha256: String,
    /// Permission bits.
    pub(in crate::host) mode: u32,
    /// Owner.
    pub(in crate::host) uid: u32,
    /// Group.
    pub(in crate::host) gid: u32,
}

/// A command that is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct CommandRecord {
    /// The program and its arguments.
    pub(in crate::host) argv: Vec<String>,
    /// What takes it back.
    pub(in crate::host) undo: Option<Vec<String>>,
    /// The files that it makes anew: paths, beginnings of names, or directories.
    pub(in crate::host) makes: Vec<String>,
    /// Whether it was begun; never, in a tree that is not the running system.
    pub(in crate::host) begun: bool,
    /// The files that it made anew.
    pub(in crate::host) made: Vec<Made>,
}

/// A file that a command made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct Made {
    /// Its path.
    pub(in crate::host) path: String,
    /// As it was; `None` where it is new.
    pub(in crate::host) before: Option<Kept>,
    /// The SHA-256 of what the command made; `None` where it did not get to its end.
    pub(in crate::host) after: Option<String>,
}
