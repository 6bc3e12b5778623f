//! A receipt: the actions of a plan, what was there before each, and how far they were carried out.

use anyhow::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::host::plan::{Command, Write};
use crate::model::RecordedGroup;
use crate::problem::Problem;
use crate::target::files::Meta;

/// The format that is written. Format 1 has no format number and no file attributes. All formats up to this one are read.
pub(super) const FORMAT: u32 = 2;

/// The part of a receipt that can be read in every format.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    vgapt: String,
    #[serde(default = "first_format")]
    format: u32,
}

fn first_format() -> u32 {
    1
}

/// What one `vgapt prepare` does, with everything needed to undo it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
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
    /// A receipt of this vgapt or an earlier one; the path is for the errors.
    ///
    /// # Errors
    /// Where a later vgapt wrote it, or none.
    pub fn parse(bytes: &[u8], path: &str) -> Result<Self> {
        let understood = |error: serde_json::Error| {
            let message = format!("{path} is not a receipt that this vgapt can read: {error}");
            Error::from(Problem::new(
                message,
                "use the vgapt that wrote it; if the receipt is damaged, remove its directory from the store by hand",
            ))
        };
        let Head { vgapt: by, format } = serde_json::from_slice(bytes).map_err(understood)?;
        let own = env!("CARGO_PKG_VERSION");
        if format > FORMAT && is_later(&by, own) {
            let message =
                format!("{path} was written by vgapt {by}, in the format {format}; this is vgapt {own}, which reads up to {FORMAT}");
            return Err(Problem::new(message, format!("run this with vgapt {by} or later")).into());
        }
        let foreign = |message| Problem::new(message, "find out where this tree comes from; nothing of the receipt is applied");
        if format > FORMAT {
            return Err(foreign(format!(
                "{path} has the format {format}, but names vgapt {by} as its writer, which has no such format: it was changed by something else"
            ))
            .into());
        }
        let receipt: Self = serde_json::from_slice(bytes).map_err(understood)?;
        match receipt.odd() {
            Some(odd) => Err(foreign(format!("{path} contains {odd}, which no vgapt has written")).into()),
            None => Ok(receipt),
        }
    }

    /// A part of it that no vgapt can have written: a receipt in a tree may come from anywhere.
    fn odd(&self) -> Option<String> {
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

/// Whether a version is later than another one; one that cannot be parsed counts as later.
fn is_later(version: &str, than: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>();
    numbers(version).is_ok_and(|version| numbers(than).is_ok_and(|than| version > than)) || numbers(version).is_err()
}
