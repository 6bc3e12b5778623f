//! Who gets which of the host's processors.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

use serde::{Deserialize, Serialize};

use super::text;
use crate::model::Size;

use crate::topology::Kinds;

/// Who gets which of the host's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
#[command(next_help_heading = "Who gets which processor")]
pub struct Tuning {
    /// Pin the processors to cores of the host; done by itself for a new domain that is given a device
    #[arg(long, conflicts_with = "no_pin")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pin: bool,
    /// Let the host's scheduler place the processors
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_pin: bool,
    /// Cores of a hybrid processor that may be taken [default: performance, where they have room]
    #[arg(long, value_name = "KIND", conflicts_with = "no_pin")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_kind: Option<CoreKind>,
    /// Size of the huge pages [default: 1G where such pages are free and libvirt knows a mount of them, else the host's default]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::write_size", deserialize_with = "text::read_size")]
    pub hugepage_size: Option<Size>,
}

/// Cores of a hybrid processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CoreKind {
    /// The large ones.
    Performance,
    /// The small ones.
    Efficient,
    /// All of them.
    Any,
}

impl From<CoreKind> for Kinds {
    fn from(kind: CoreKind) -> Self {
        match kind {
            CoreKind::Performance => Self::Performance,
            CoreKind::Efficient => Self::Efficient,
            CoreKind::Any => Self::Any,
        }
    }
}

impl Tuning {
    pub(super) fn overlaid_by(self, given: Self) -> Self {
        Self {
            pin: (self.pin && !given.no_pin) || given.pin,
            no_pin: (self.no_pin && !given.pin) || given.no_pin,
            core_kind: given.core_kind.or(self.core_kind),
            hugepage_size: given.hugepage_size.or(self.hugepage_size),
        }
    }
}
