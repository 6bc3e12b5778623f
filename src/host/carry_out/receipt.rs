//! A receipt: the actions of a plan, what was there before each, and how far they were carried out.

use serde::{Deserialize, Serialize};

use crate::host::plan::{Command, Write};
use crate::model::RecordedGroup;
use crate::target::files::Meta;

/// The format that is written. Format 1 has no format number and no file attributes. All formats up to this one are read.
pub(super) const FORMAT: u32 = 2;

/// The part of a receipt that can be read in every format.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) vgapt: String,
    #[serde(default = "first_format")]
    pub(super) format: u32,
}

fn first_format() -> u32 {
    1
}

/// What one `vgapt prepare` does, with everything needed to undo it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    #[serde(default = "first_format")]
    pub(super) format: u32,
    /// The version of vgapt that wrote it.
    pub(super) vgapt: String,
    /// When, in seconds since 1970.
    pub(super) made: u64,
    pub(super) progress: Progress,
    /// The directories that are created, the outer ones first.
    pub(super) directories: Vec<String>,
    /// The files that are written, in order.
    pub(super) files: Vec<Write<StoredContent>>,
    /// The commands that are run after that, in order.
    pub(super) commands: Vec<CommandRun>,
    /// The IOMMU groups of the prepared functions, as they were. Receipts before these were stored have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<RecordedGroup>,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Progress {
    /// It has begun; if no vgapt is running, it was interrupted.
    Applying,
    /// It is done and verified.
    Applied,
    /// It is being undone.
    Undoing,
}

/// The content of a file, stored with the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredContent {
    /// The name under which it is stored.
    pub(super) name: String,
    pub(super) sha256: String,
    #[serde(flatten)]
    pub(super) meta: Meta,
}

/// A command, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommandRun {
    #[serde(flatten)]
    pub(super) command: Command,
    /// Whether it was started; never in a tree that is not the running system.
    pub(super) begun: bool,
    /// The files that it regenerated.
    pub(super) made: Vec<Made>,
}

/// A file that a command regenerated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) path: String,
    /// As it was; `None` if it is new.
    pub(super) before: Option<StoredContent>,
    /// The SHA-256 of what the command wrote; `None` if it did not finish.
    pub(super) after: Option<String>,
}

impl Receipt {
    /// A part of it that no vgapt can have written: a receipt in a tree may come from anywhere.
    pub(super) fn odd(&self) -> Option<String> {
        let made = || self.commands.iter().flat_map(|command| &command.made);
        let of_files = self.files.iter().flat_map(|file| [&file.path, &file.place]);
        let of_commands = self.commands.iter().flat_map(|run| &run.command.makes).chain(made().map(|made| &made.path));
        let odd_path = of_files.chain(of_commands).chain(&self.directories).find(|path| !is_normal(path));
        let contents = self.files.iter().flat_map(|file| [&file.before, &file.after]).chain(made().map(|made| &made.before)).flatten();
        let odd_mode = contents.map(|content| content.meta.mode).find(|mode| *mode > 0o7777);
        odd_path.map(|path| format!("the path '{path}'")).or_else(|| odd_mode.map(|mode| format!("the mode {mode:o}")))
    }
}

/// Whether a path is absolute, without `.`, `..` and empty components; it may end with a slash.
fn is_normal(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    !path.contains('\0') && rest.split('/').all(|name| !matches!(name, "" | "." | ".."))
}
