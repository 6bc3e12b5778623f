//! Options for devices other than passed hardware: input, sound, network, shared folders, shared memory, and
//! options of cards and disks.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::yes_or_no;
use super::heading;
use super::network::Network;
use super::screen::Screen;
use super::text;

/// Options for further devices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
#[command(next_help_heading = heading::BESIDE)]
pub struct Extras {
    /// File with the firmware (ROM) of the graphics card, if the guest cannot read the card's own
    #[arg(long, help_heading = heading::CARD, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rom: Option<String>,
    /// Give the PCI devices to QEMU through iommufd, the kernel's newer interface: on, off, or auto, where all that it needs is known to be there [default: off]
    #[arg(long, help_heading = heading::CARD, hide_short_help = true, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iommufd: Option<IommufdMode>,
    /// Mediated device (mdev, a part of a card), by its UUID
    #[arg(long, help_heading = heading::INPUT, hide_short_help = true, value_name = "UUID", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub mdev: Vec<String>,
    /// Keyboard or mouse to switch between host and guest: /dev/input/by-id/…-event-kbd, …-event-mouse
    #[arg(long, help_heading = heading::INPUT, value_name = "DEVICE", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub evdev: Vec<String>,
    /// Keys that switch keyboard and mouse between host and guest [default: ctrl-ctrl, both control keys]
    #[arg(long, help_heading = heading::INPUT, hide_short_help = true, value_name = "KEYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evdev_toggle: Option<Toggle>,
    /// Shared memory for Looking Glass, large enough for this resolution: 2560x1440, or 2560x1440-hdr
    #[arg(long, value_name = "WxH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looking_glass: Option<Screen>,
    /// Window on this host that shows the guest and takes keyboard and mouse; none removes it [default: spice with --looking-glass, else none]
    #[arg(long, value_name = "KIND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<Display>,
    /// Network: user, passt, nat[=NETWORK], bridge=BRIDGE, macvtap=INTERFACE, none [default: user]
    #[arg(long, value_name = "KIND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Folder to share with the guest by virtiofs; the guest sees it under the folder's name, or under NAME
    #[arg(long, value_name = "DIR[=NAME]", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub share: Vec<String>,
    /// Folder to share with the guest by Samba on the host
    #[arg(long, value_name = "DIR", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub share_smb: Vec<String>,
    /// Sound card, with this sound server of the host
    #[arg(long, value_name = "PROGRAM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
    /// Cache mode of the disks [default: writeback for files, none for block devices]
    #[arg(long, help_heading = heading::DISKS, hide_short_help = true, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_cache: Option<DiskCache>,
    /// Format of the disks [default: the one in the domain, else the one that file name and content agree on; raw for block devices]
    #[arg(long, help_heading = heading::DISKS, hide_short_help = true, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_format: Option<DiskFormat>,
    /// What becomes of the blocks that the guest discards [default: unmap]
    #[arg(long, help_heading = heading::DISKS, hide_short_help = true, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_discard: Option<DiskDiscard>,
    /// Whether the guest's writes of nothing but zeroes are made discards, which costs a look at each write [default: no]
    #[arg(long, help_heading = heading::DISKS, hide_short_help = true, value_name = "yes|no", value_parser = yes_or_no())]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect_zeroes: Option<bool>,
    /// Queues of the network card, each with a thread of the kernel: for many connections at once; not for user and passt [default: 1]
    #[arg(long, hide_short_help = true, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_queues: Option<u32>,
}

impl Extras {
    /// The window of the guest. Looking Glass takes keyboard, mouse and clipboard through SPICE (looking-glass.io/docs/B7,
    /// libvirt installation).
    pub(crate) fn window(&self) -> Option<Window> {
        match (self.display, self.looking_glass) {
            (Some(Display::Spice), _) | (None, Some(_)) => Some(Window::Spice),
            (Some(Display::Vnc), _) => Some(Window::Vnc),
            (Some(Display::None) | None, _) => None,
        }
    }
}

/// The value of `--iommufd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IommufdMode {
    /// Where all that it needs is known to be there.
    Auto,
    /// In any case; what is known to be missing blocks the definition.
    On,
    /// The older interface of VFIO, one container for each domain.
    Off,
}

/// The value of `--display`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Display {
    /// SPICE, with a shared clipboard; Looking Glass needs it.
    Spice,
    /// VNC.
    Vnc,
    /// No window.
    None,
}

/// The protocol of a guest's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Spice,
    Vnc,
}

impl IommufdMode {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl Window {
    pub(crate) const ALL: [Self; 2] = [Self::Spice, Self::Vnc];

    /// libvirt's name for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Spice => "spice",
            Self::Vnc => "vnc",
        }
    }
}

/// Keys that switch keyboard and mouse between host and guest; libvirt's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Toggle {
    /// Both control keys.
    #[default]
    CtrlCtrl,
    /// Both alt keys.
    AltAlt,
    /// Both shift keys.
    ShiftShift,
    /// Both meta keys.
    MetaMeta,
    /// Scroll lock.
    #[value(name = "scrolllock")]
    #[serde(rename = "scrolllock")]
    ScrollLock,
    /// Control and scroll lock.
    #[value(name = "ctrl-scrolllock")]
    #[serde(rename = "ctrl-scrolllock")]
    CtrlScrollLock,
}

/// A sound server of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sound {
    /// PipeWire (libvirt 9.10 and later).
    #[value(name = "pipewire")]
    PipeWire,
    /// PulseAudio, or PipeWire's replacement for it.
    #[value(name = "pulseaudio")]
    PulseAudio,
}

/// Cache mode of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DiskCache {
    /// Bypasses the host's page cache: no data is cached twice.
    None,
    /// Uses the host's page cache; safe, because the guest's flushes reach the disk.
    Writeback,
    /// Uses the host's page cache; each write waits for the disk.
    Writethrough,
    /// Bypasses the host's page cache; each write waits for the disk.
    Directsync,
    /// Ignores the guest's flushes: fast, but data is lost if the host crashes.
    Unsafe,
}

/// What becomes of the blocks that a guest discards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DiskDiscard {
    /// The host may use them for other files.
    #[default]
    Unmap,
    /// As unmap, but they keep their place in a qcow2 image, which is then not fragmented by discards (libvirt 9.5 and QEMU 8.1, or later).
    KeepReserved,
    /// Nothing: the image does not shrink.
    Ignore,
}

/// The format of a disk; libvirt's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// Plain data without a header.
    Raw,
    /// QEMU's format.
    Qcow2,
    /// QEMU's former format, before qcow2.
    Qcow,
    /// QEMU Enhanced Disk, an obsolete format of QEMU's.
    Qed,
    /// VMware's format.
    Vmdk,
    /// VirtualBox's format.
    Vdi,
    /// Virtual PC's format, also called VHD.
    Vpc,
}

impl DiskFormat {
    /// libvirt's name for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qcow => "qcow",
            Self::Qed => "qed",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vpc => "vpc",
        }
    }
}

impl Toggle {
    /// libvirt's name for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CtrlCtrl => "ctrl-ctrl",
            Self::AltAlt => "alt-alt",
            Self::ShiftShift => "shift-shift",
            Self::MetaMeta => "meta-meta",
            Self::ScrollLock => "scrolllock",
            Self::CtrlScrollLock => "ctrl-scrolllock",
        }
    }
}

impl Sound {
    /// libvirt's name for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PipeWire => "pipewire",
            Self::PulseAudio => "pulseaudio",
        }
    }
}

impl DiskDiscard {
    /// Whether the host learns of them.
    pub const fn is_passed_on(self) -> bool {
        !matches!(self, Self::Ignore)
    }
}

impl DiskCache {
    /// libvirt's name for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Writeback => "writeback",
            Self::Writethrough => "writethrough",
            Self::Directsync => "directsync",
            Self::Unsafe => "unsafe",
        }
    }
}
