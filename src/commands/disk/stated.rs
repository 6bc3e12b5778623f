//! Options of the disk commands: the format, trust in backing files, and --force.

use super::search::SearchOptions;

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

/// Whether to continue where something is unknown.
#[derive(Debug, clap::Args)]
pub(super) struct Force {
    /// Continue even if data may be lost
    #[arg(long)]
    pub(super) force: bool,
}

/// What is stated about a disk.
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
