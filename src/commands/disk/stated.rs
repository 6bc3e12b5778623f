//! What the user states of a disk, and what is gone on with.

use super::search::Further;

/// What the commands ask for that write into a disk on which others may lie.
#[derive(Debug, clap::Args)]
pub(super) struct BeforeWriting {
    #[command(flatten)]
    pub(super) stated: Stated,
    #[command(flatten)]
    pub(super) further: Further,
    #[command(flatten)]
    pub(super) force: Force,
}

/// What the user states of the disk.
#[derive(Debug, clap::Args)]
pub(super) struct Stated {
    /// The disk's format (raw, qcow2, …), where its domain and its name do not say it or its content looks like another
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

/// Whether what is not known is gone on with.
#[derive(Debug, clap::Args)]
pub(super) struct Force {
    /// Go on although it is not known for certain that nothing is lost
    #[arg(long)]
    pub(super) force: bool,
}

/// What is stated of a disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'w> {
    pub(super) format: Option<&'w str>,
    /// The option that states the format, for remedies.
    pub(super) option: &'static str,
    pub(super) trust: bool,
}

impl Stated {
    pub(super) fn words(&self) -> Words<'_> {
        self.trust.words("--format", self.format.as_deref())
    }

    /// For another disk than the one whose format is stated.
    pub(super) fn trusting(&self) -> Words<'_> {
        self.trust.words("--format", None)
    }
}

impl Trust {
    pub(super) fn words<'w>(&self, option: &'static str, format: Option<&'w str>) -> Words<'w> {
        Words { format, option, trust: self.trust_backing }
    }
}

/// A format as qemu-img names them.
pub(super) fn format_name(text: &str) -> Result<String, String> {
    let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_one.then(|| text.to_owned()).ok_or_else(|| "a format is a word such as raw or qcow2".to_owned())
}
