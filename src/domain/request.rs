//! What is asked of a domain: the options of `vgapt define`, and what the metadata remembers of them.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::resolve::matching_vars;
use crate::model::{PciAddress, Size, UsbId};

/// What is asked of a domain. An option that is not given keeps what the last request said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
#[command(next_help_heading = "What the domain is to have")]
pub struct Request {
    /// Graphics card by the address of any of its functions, with all that belongs to it; `auto` takes the one clear choice [env: VGAPT_VGA_BUS]
    #[arg(long, value_name = "ADDRESS|auto")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpu: Vec<GpuChoice>,
    /// Audio function of the card, where it is not found by itself [env: VGAPT_VGA_AUDIO_BUS]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_audio: Option<PciAddress>,
    /// Any other PCI function
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pci: Vec<PciAddress>,
    /// USB device
    #[arg(long, value_name = "VENDOR:PRODUCT", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Processor cores, in one socket [default: 4] [env: CORES_NUMBER]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Memory from the host's huge pages, allocated before the guest starts
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hugepages: bool,
    /// Disk image or block device; without it the domain has none [env: VGAPT_DISK_IMAGE]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
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
    /// Guest system: decides the template of a new domain [default: windows]
    #[arg(long, value_name = "SYSTEM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    /// Take out: gpu, pci, usb (keyboard and mouse too), hugepages, disk, cdrom, virtio-iso
    #[command(flatten)]
    #[serde(skip)]
    pub without: Without,
}

/// What is to be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::Args)]
#[command(next_help_heading = "What is to be taken out")]
pub struct Without {
    /// Take out the graphics cards
    #[arg(long, conflicts_with_all = ["gpu", "gpu_audio"])]
    pub no_gpu: bool,
    /// Take out the other PCI functions
    #[arg(long, conflicts_with = "pci")]
    pub no_pci: bool,
    /// Take out the USB devices, keyboard and mouse included
    #[arg(long, conflicts_with_all = ["usb", "keyboard", "mouse"])]
    pub no_usb: bool,
    /// Take out the huge pages
    #[arg(long, conflicts_with = "hugepages")]
    pub no_hugepages: bool,
    /// Take out the disks
    #[arg(long, conflicts_with = "disk")]
    pub no_disk: bool,
    /// Take out the CD
    #[arg(long, conflicts_with = "cdrom")]
    pub no_cdrom: bool,
    /// Take out the CD with the virtio drivers
    #[arg(long, conflicts_with = "virtio_iso")]
    pub no_virtio_iso: bool,
}

/// A graphics card as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuChoice {
    /// The one clear choice.
    Auto,
    /// The card with this function.
    At(PciAddress),
}

/// A guest system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Windows 10 and later.
    #[default]
    Windows,
    /// Linux.
    Linux,
}

impl Request {
    /// This request with the options of another over it: what the other gives, it decides.
    #[must_use]
    pub fn overlaid_by(&self, given: &Self) -> Self {
        let Without { no_gpu, no_pci, no_usb, no_hugepages, no_disk, no_cdrom, no_virtio_iso } = given.without;
        Self {
            gpu: list(&self.gpu, &given.gpu, no_gpu),
            // The audio function belongs to the card that is given with it.
            gpu_audio: option(self.gpu_audio.as_ref(), given.gpu_audio.as_ref(), no_gpu || !given.gpu.is_empty()),
            pci: list(&self.pci, &given.pci, no_pci),
            usb: list(&self.usb, &given.usb, no_usb),
            keyboard: option(self.keyboard.as_ref(), given.keyboard.as_ref(), no_usb),
            mouse: option(self.mouse.as_ref(), given.mouse.as_ref(), no_usb),
            memory: given.memory.or(self.memory),
            cpus: given.cpus.or(self.cpus),
            hugepages: (self.hugepages || given.hugepages) && !no_hugepages,
            disk: list(&self.disk, &given.disk, no_disk),
            cdrom: option(self.cdrom.as_ref(), given.cdrom.as_ref(), no_cdrom),
            virtio_iso: option(self.virtio_iso.as_ref(), given.virtio_iso.as_ref(), no_virtio_iso),
            loader: option(self.loader.as_ref(), given.loader.as_ref(), false),
            // Variables belong to the code that is given with them.
            nvram_template: option(
                self.nvram_template.as_ref(),
                given.nvram_template.as_ref(),
                given.loader.is_some() && given.loader != self.loader,
            ),
            emulator: option(self.emulator.as_ref(), given.emulator.as_ref(), false),
            os: given.os.or(self.os),
            without: given.without,
        }
    }

    /// The same with every path made absolute, seen from a directory.
    #[must_use]
    pub fn with_absolute_paths(mut self, directory: &str) -> Self {
        let paths = [&mut self.cdrom, &mut self.virtio_iso, &mut self.loader, &mut self.nvram_template, &mut self.emulator];
        for path in paths.into_iter().flatten().chain(&mut self.disk).filter(|path| !path.starts_with('/')) {
            *path = format!("{}/{}", directory.trim_end_matches('/'), path.trim_start_matches("./"));
        }
        self
    }

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

    /// The files that are asked for, by name or because they belong to one that is.
    pub fn files(&self) -> Vec<String> {
        let belonging = self.loader.as_deref().filter(|_| self.nvram_template.is_none()).and_then(matching_vars);
        self.disk
            .iter()
            .chain(&self.cdrom)
            .chain(&self.virtio_iso)
            .chain(&self.loader)
            .chain(&self.nvram_template)
            .cloned()
            .chain(belonging)
            .collect()
    }
}

fn list<T: Clone>(last: &[T], given: &[T], taken_out: bool) -> Vec<T> {
    if taken_out || !given.is_empty() { given.to_vec() } else { last.to_vec() }
}

fn option<T: Clone>(last: Option<&T>, given: Option<&T>, taken_out: bool) -> Option<T> {
    given.or(last.filter(|_| !taken_out)).cloned()
}

impl FromStr for GpuChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::At) }
    }
}

impl fmt::Display for GpuChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl Serialize for GpuChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GpuChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_decides_and_the_rest_stays() {
        let last = Request {
            memory: "8G".parse().ok(),
            cpus: Some(4),
            disk: vec!["/a".into()],
            keyboard: "1:2".parse().ok(),
            ..Request::default()
        };
        let given = Request { cpus: Some(6), without: Without { no_usb: true, ..Without::default() }, ..Request::default() };
        let now = last.overlaid_by(&given);
        assert_eq!((now.memory, now.cpus, now.keyboard, now.disk), (last.memory, Some(6), None, last.disk));
    }

    #[test]
    fn paths_become_absolute() {
        let request = Request { disk: vec!["./a.qcow2".into(), "/b".into()], cdrom: Some("c.iso".into()), ..Request::default() }
            .with_absolute_paths("/vm");
        assert_eq!((request.disk, request.cdrom), (vec!["/vm/a.qcow2".into(), "/b".into()], Some("/vm/c.iso".into())));
    }
}
