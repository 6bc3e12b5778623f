//! The request: the options of `vgapt define`, which are also stored in the domain's metadata.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

mod choice;
pub(super) mod cpus;
pub(super) mod extras;
mod file;
pub(super) mod files;
pub(super) mod gpu;
mod heading;
pub(super) mod network;
mod overlay;
pub(super) mod pci;
pub(super) mod screen;
mod text;
pub(super) mod tuning;
pub(super) mod variables;
pub(super) mod without;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::profile::name::Os;
use crate::model::{PciAddress, Size, UsbId};
use cpus::Cpus;
use extras::Extras;
use gpu::GpuChoice;
use pci::PciChoice;
use tuning::Tuning;
use without::Without;

/// The requested properties of a domain. An option that is not given keeps its value of the last request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
pub struct Request {
    /// Guest system; selects the template and the settings of a new domain [default: windows]
    #[arg(long, aliases = ["os-variant", "osinfo"], help_heading = heading::GUEST, value_name = "SYSTEM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    /// Memory: 8G, 8192M, or a number in MiB as for QEMU [default: 8G] [env: VGAPT_MEMORY]
    #[arg(long, visible_alias = "ram", alias = "mem", help_heading = heading::GUEST, value_name = "SIZE", value_parser = Size::asked)]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::write_size", deserialize_with = "text::read_size")]
    #[schemars(with = "Option<String>")]
    pub memory: Option<Size>,
    /// Number of virtual CPUs (threads, not cores); auto: as many as one L3 cache of the host can provide
    /// [default: 4] [env: CORES_NUMBER]
    #[arg(long, aliases = ["cpu", "vcpu", "vcpus"], help_heading = heading::GUEST, value_name = "N|auto")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Start the domain automatically when the host boots
    #[arg(long, help_heading = heading::GUEST, num_args = 0, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autostart: Option<bool>,
    /// Title of the domain, one line, which virt-manager shows in place of the name
    #[arg(long, help_heading = heading::GUEST, hide_short_help = true, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Description of the domain, which virt-manager and Cockpit show
    #[arg(long, help_heading = heading::GUEST, hide_short_help = true, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Graphics card, by the PCI address of any of its functions; all functions of the card are passed through.
    /// auto: choose the card, if the choice is unambiguous [env: VGAPT_VGA_BUS]
    #[arg(long, help_heading = heading::CARD, value_name = "ADDRESS|auto")]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub gpu: Vec<GpuChoice>,
    /// Hand over the host's only display with the card: the display manager, with every session on it, is stopped
    /// before the domain starts, and started again after the domain stops
    #[arg(long, help_heading = heading::CARD)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub handover: bool,
    /// Audio function of the card, if it is not detected automatically [env: VGAPT_VGA_AUDIO_BUS]
    #[arg(long, help_heading = heading::CARD, hide_short_help = true, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_audio: Option<PciAddress>,
    /// Disk image or block device; without this option the domain has no disk [env: VGAPT_DISK_IMAGE]
    #[arg(long, help_heading = heading::DISKS, value_name = "PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub disk: Vec<String>,
    /// Image of a CD or DVD, such as the installer of the guest system
    #[arg(long, visible_alias = "iso", help_heading = heading::DISKS, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdrom: Option<String>,
    /// Image of the CD with the virtio drivers for Windows [env: VGAPT_VIRTIO_DRIVERS_CD]
    #[arg(long, help_heading = heading::DISKS, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtio_iso: Option<String>,
    /// USB keyboard to pass through [env: VGAPT_KEYBOARD_ID]
    #[arg(long, help_heading = heading::INPUT, value_name = "VENDOR:PRODUCT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<UsbId>,
    /// USB mouse to pass through [env: VGAPT_MOUSE_ID]
    #[arg(long, help_heading = heading::INPUT, value_name = "VENDOR:PRODUCT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mouse: Option<UsbId>,
    /// USB device to pass through
    #[arg(long, help_heading = heading::INPUT, value_name = "VENDOR:PRODUCT", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub usb: Vec<UsbId>,
    /// Any other PCI function to pass through; a virtual function of a network card can have a MAC address and a VLAN
    #[arg(long, help_heading = heading::INPUT, value_name = "ADDRESS[,mac=MAC][,vlan=ID]", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub pci: Vec<PciChoice>,
    /// Options for further devices.
    #[command(flatten)]
    #[serde(flatten)]
    pub extras: Extras,
    /// Back the guest's memory with huge pages, which are allocated before the guest starts
    #[arg(long, help_heading = heading::TUNING)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hugepages: bool,
    /// CPU pinning and huge page size.
    #[command(flatten)]
    #[serde(flatten)]
    pub tuning: Tuning,
    /// UEFI firmware code image [default: the host's; with Secure Boot where the system's setup requires it] [env: VGAPT_FIRMWARE_BIN]
    #[arg(long, help_heading = heading::FIRMWARE, hide_short_help = true, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
    /// UEFI variables template, copied once and never written to [default: the one that matches the code image]
    /// [env: VGAPT_FIRMWARE_VARS_TMP]
    #[arg(long, help_heading = heading::FIRMWARE, hide_short_help = true, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvram_template: Option<String>,
    /// QEMU binary [default: libvirt's choice] [env: QEMU_BINARY]
    #[arg(long, help_heading = heading::FIRMWARE, hide_short_help = true, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulator: Option<String>,
    /// Options that remove something.
    #[command(flatten)]
    #[serde(skip)]
    pub without: Without,
}

impl Request {
    /// All requested USB devices, without duplicates.
    pub fn usb_ids(&self) -> Vec<UsbId> {
        let mut ids = Vec::new();
        for id in self.keyboard.iter().chain(&self.mouse).chain(&self.usb) {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids
    }
}
