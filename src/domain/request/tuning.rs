//! Options for CPU pinning and huge pages.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::yes_or_no;
use super::{heading, text};
use crate::model::Size;

use crate::topology::CoreKinds;

/// Options for CPU pinning and huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
#[command(next_help_heading = heading::TUNING)]
pub struct Tuning {
    /// Pin the virtual CPUs to cores of the host; automatic for a new domain with a passed-through device
    #[arg(long, conflicts_with = "no_pin")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pin: bool,
    /// Do not pin the virtual CPUs: the host's scheduler places them
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_pin: bool,
    /// Kind of cores to use on a hybrid processor [default: performance, if there are enough]
    #[arg(long, hide_short_help = true, value_name = "KIND", conflicts_with = "no_pin")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_kind: Option<CoreKind>,
    /// Size of the huge pages [default: 1G if enough such pages are free and hugetlbfs is mounted for them, else the host's default]
    #[arg(long, hide_short_help = true, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::write_size", deserialize_with = "text::read_size")]
    pub hugepage_size: Option<Size>,
    /// Whether to hide from the guest that KVM runs it: old NVIDIA drivers for Windows want that, Linux is slower with it
    /// [default: yes for Windows, no for Linux]
    #[arg(long, hide_short_help = true, value_name = "yes|no", value_parser = yes_or_no())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hide_kvm: Option<bool>,
    /// Whether vgapt's hook moves the host's interrupts off the host CPUs of a pinned guest while it runs [default: yes]
    #[arg(long, hide_short_help = true, value_name = "yes|no", value_parser = yes_or_no())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub move_interrupts: Option<bool>,
    /// Whether a pinned guest whose processors or memory are on several NUMA nodes of the host sees them as NUMA nodes of its own
    /// [default: yes]
    #[arg(long, hide_short_help = true, value_name = "yes|no", value_parser = yes_or_no())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_numa: Option<bool>,
    /// Threads for the disks' queues, of which the guest has one for each processor: more than one for disks that many programs
    /// use at once (libvirt 11.2 and QEMU 10.0, or later) [default: 1]
    #[arg(long, help_heading = heading::DISKS, hide_short_help = true, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_threads: Option<u32>,
}

/// A kind of cores of a hybrid processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CoreKind {
    /// Performance cores.
    Performance,
    /// Efficiency cores.
    Efficient,
    /// Both kinds.
    Any,
}

impl From<CoreKind> for CoreKinds {
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
            hide_kvm: given.hide_kvm.or(self.hide_kvm),
            move_interrupts: given.move_interrupts.or(self.move_interrupts),
            guest_numa: given.guest_numa.or(self.guest_numa),
            io_threads: given.io_threads.or(self.io_threads),
        }
    }

    pub(in crate::domain) fn moves_interrupts(self) -> bool {
        self.move_interrupts.unwrap_or(true)
    }
}
