//! The options that all commands take, and the values of options that are defined in `host`, with their help texts.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::host::{Allow, Bind, PackageUse, PageSize};
use crate::model::Size;

/// Options that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Connect to this libvirt [default: $LIBVIRT_DEFAULT_URI, else uri_default of libvirt.conf, else qemu:///system]
    #[arg(short, long, global = true, value_name = "URI")]
    pub connect: Vec<String>,
    /// Read the host from this directory, or from a file that 'vgapt capture' wrote, instead of from /
    #[arg(long, global = true, value_name = "PATH")]
    pub root: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print more: what was read from where, and more about the cards that are passed through
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print less: no notes, no warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print help: -h the usual options, --help all of them with more about each
    #[arg(short, long, global = true, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
}

/// When to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ValueEnum for Bind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Boot, Self::Start]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Boot => PossibleValue::new("boot").help("At boot, before any other driver: the host never uses it"),
            Self::Start => PossibleValue::new("start").help("When the domain starts: until then the host uses it"),
        })
    }
}

impl ValueEnum for PageSize {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Mib2, Self::Gib1]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Mib2 => PossibleValue::new("2M").help("2 MiB: can be reserved at any time"),
            Self::Gib1 => PossibleValue::new("1G").help("1 GiB: can be reserved only at boot"),
        })
    }
}

impl ValueEnum for PackageUse {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Guest => "What every guest needs, which is always included: libvirt, QEMU, UEFI firmware",
            Self::Disk => "To create a disk: qemu-img",
            Self::Tpm => "A TPM, which Windows 11 requires: swtpm",
            Self::Virtiofs => "To share folders by virtiofs: virtiofsd",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl ValueEnum for Allow {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::OnlyDisplay => "The host is left without a display",
            Self::DiskInUse => "The host loses a controller whose disk is mounted or in use",
            Self::DefaultRoute => "The host loses the network card of its default route",
            Self::LastKeyboard => "The host loses its last keyboard",
            Self::BlockedGroup => "The group contains other devices that the host uses",
            Self::HostFunction => "The host loses a part of the chipset or the processor that no guest needs",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// A size with its unit: a number alone is refused, which would mean MiB to vgapt, bytes to qemu-img, and pages to the kernel.
pub(in crate::commands) fn with_unit(text: &str) -> Result<Size, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("add a unit, such as 100G or 512M".into());
    }
    Size::asked(text).map_err(|why| why.replace(", or 8192 (MiB)", ""))
}
