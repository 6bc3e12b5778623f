//! What is asked of a domain: the options of `vgapt define`, and what the metadata remembers of them.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

pub(super) mod cpus;
pub(super) mod extras;
mod file;
pub(super) mod files;
pub(super) mod gpu;
pub(super) mod network;
mod overlay;
pub(super) mod screen;
mod text;
pub(super) mod tuning;
pub(super) mod variables;
pub(super) mod without;

use serde::{Deserialize, Serialize};

use super::profile::name::Os;
use crate::model::{PciAddress, Size, UsbId};
use cpus::Cpus;
use extras::Extras;
use gpu::GpuChoice;
use tuning::Tuning;
use without::Without;

/// What is asked of a domain. An option that is not given keeps what the last request said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
#[command(next_help_heading = "What the domain is to have")]
pub struct Request {
    /// Graphics card by the address of any of its functions, with all that belongs to it; `auto` takes the one clear choice [env: VGAPT_VGA_BUS]
    #[arg(long, value_name = "ADDRESS|auto")]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub gpu: Vec<GpuChoice>,
    /// Audio function of the card, where it is not found by itself [env: VGAPT_VGA_AUDIO_BUS]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_audio: Option<PciAddress>,
    /// Hand the host's only display over with the card: the display manager, and with it every session on it,
    /// ends before the domain starts, and starts again after it
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub handover: bool,
    /// Any other PCI function
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub pci: Vec<PciAddress>,
    /// USB device
    #[arg(long, value_name = "VENDOR:PRODUCT", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub usb: Vec<UsbId>,
    /// USB keyboard [env: VGAPT_KEYBOARD_ID]
    #[arg(long, value_name = "VENDOR:PRODUCT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<UsbId>,
    /// USB mouse [env: VGAPT_MOUSE_ID]
    #[arg(long, value_name = "VENDOR:PRODUCT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mouse: Option<UsbId>,
    /// Memory: 8G, 8192M, or in MiB as for QEMU [default: 8G] [env: VGAPT_MEMORY]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::write_size", deserialize_with = "text::read_size")]
    pub memory: Option<Size>,
    /// Virtual processors (the threads of its cores); `auto` takes what one L3 cache of the host has to give [default: 4] [env: CORES_NUMBER]
    #[arg(long, value_name = "N|auto")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Who gets which of the host's processors.
    #[command(flatten)]
    #[serde(flatten)]
    pub tuning: Tuning,
    /// Memory from the host's huge pages, allocated before the guest starts
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hugepages: bool,
    /// Disk image or block device; without it the domain has none [env: VGAPT_DISK_IMAGE]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub disk: Vec<String>,
    /// Image of a CD or DVD, such as the system's installer
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdrom: Option<String>,
    /// Image of the CD with the virtio drivers for Windows [env: VGAPT_VIRTIO_DRIVERS_CD]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtio_iso: Option<String>,
    /// UEFI code image [default: the host's, without Secure Boot keys] [env: VGAPT_FIRMWARE_BIN]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
    /// UEFI variables image, copied once and never written [default: the one that matches the code] [env: VGAPT_FIRMWARE_VARS_TMP]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvram_template: Option<String>,
    /// QEMU program [default: libvirt's choice] [env: QEMU_BINARY]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulator: Option<String>,
    /// Guest system: decides what a new domain is made of [default: windows]
    #[arg(long, value_name = "SYSTEM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    /// Let the domain start with the host
    #[arg(long, num_args = 0, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autostart: Option<bool>,
    /// Further devices.
    #[command(flatten)]
    #[serde(flatten)]
    pub extras: Extras,
    /// Take out: gpu, pci, usb (keyboard and mouse too), hugepages, disk, cdrom, virtio-iso
    #[command(flatten)]
    #[serde(skip)]
    pub without: Without,
}

impl Request {
    /// All USB devices that are asked for, each once.
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
