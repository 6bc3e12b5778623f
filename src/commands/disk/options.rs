//! The options of the disk commands.

use std::path::{Path, PathBuf};

use crate::model::format_by_name;

/// The options of commands that write to a disk which may have overlays.
#[derive(Debug, clap::Args)]
pub(super) struct BeforeWriting {
    #[command(flatten)]
    pub(super) stated: Stated,
    #[command(flatten)]
    pub(super) further: SearchOptions,
    #[command(flatten)]
    pub(super) force: Force,
}

/// What the user states about the disk.
#[derive(Debug, clap::Args)]
pub(super) struct Stated {
    /// The disk's format (raw, qcow2, …), if neither its domain nor its name states it, or its content looks like another
    #[arg(long, alias = "source-format", value_parser = format_name)]
    format: Option<String>,
    #[command(flatten)]
    trust: Trust,
}

/// Which files may be opened because a disk's header names them.
#[derive(Debug, clap::Args)]
pub(super) struct Trust {
    /// Also open what the disk's header names outside the disk's own folder and libvirt's storage pools
    #[arg(long)]
    trust_backing: bool,
}

/// Where to search for overlays, besides the places that libvirt names.
#[derive(Debug, Default, clap::Args)]
pub(super) struct SearchOptions {
    /// Also search for overlays in this folder and all subfolders
    #[arg(long = "search", value_name = "FOLDER")]
    pub(super) folders: Vec<PathBuf>,
}

/// Whether to continue where something is unknown.
#[derive(Debug, clap::Args)]
pub(super) struct Force {
    /// Continue even if data may be lost
    #[arg(long)]
    pub(super) force: bool,
}

/// What is stated about one disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiskOptions<'w> {
    pub(super) format: Option<&'w str>,
    /// The option that states the format, for remedies.
    pub(super) option: &'static str,
    pub(super) trust: bool,
}

impl Stated {
    pub(super) fn options(&self) -> DiskOptions<'_> {
        self.trust.options("--format", self.format.as_deref())
    }

    /// The same for another disk, whose format is not stated.
    pub(super) fn trusting(&self) -> DiskOptions<'_> {
        self.trust.options("--format", None)
    }
}

impl Trust {
    pub(super) fn options<'w>(&self, option: &'static str, format: Option<&'w str>) -> DiskOptions<'w> {
        DiskOptions { format, option, trust: self.trust_backing }
    }
}

/// The name of a format, as qemu-img uses it.
pub(super) fn format_name(text: &str) -> Result<String, String> {
    let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_one.then(|| text.to_owned()).ok_or_else(|| "a format is a word such as raw or qcow2".to_owned())
}

/// The format of a new disk: the requested one, else by its file name, else qcow2.
pub(super) fn new_format<'f>(target: &Path, asked: Option<&'f str>) -> &'f str {
    asked.or_else(|| format_by_name(target)).unwrap_or("qcow2")
}
