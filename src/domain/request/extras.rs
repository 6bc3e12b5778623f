//! Devices that are not the host's own hardware, or only a part of it: input, sound, network,
//! shared folders, shared memory.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::screen::Screen;
use super::text;

/// Devices that are not the host's own hardware, or only a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", default)]
#[command(next_help_heading = "Further devices")]
pub struct Extras {
    /// File with the graphics card's firmware, where the guest cannot read the card's own
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rom: Option<String>,
    /// Mediated device (a share of a card) by its UUID
    #[arg(long, value_name = "UUID", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub mdev: Vec<String>,
    /// Keyboard or mouse that goes to and fro between host and guest: /dev/input/by-id/…-event-kbd, …-event-mouse
    #[arg(long, value_name = "DEVICE", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub evdev: Vec<String>,
    /// Keys that send keyboard and mouse to the other side [default: ctrl-ctrl, both control keys]
    #[arg(long, value_name = "KEYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evdev_toggle: Option<Toggle>,
    /// Shared memory for Looking Glass, for this resolution: 2560x1440, or 2560x1440-hdr
    #[arg(long, value_name = "WxH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looking_glass: Option<Screen>,
    /// Network: user, passt, nat[=NETWORK], bridge=BRIDGE, macvtap=INTERFACE, none [default: user]
    #[arg(long, value_name = "KIND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Folder that the guest shares by virtiofs; its name there is the folder's, or the one behind =
    #[arg(long, value_name = "DIR[=NAME]", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub share: Vec<String>,
    /// Folder that the host's Samba is to share with the guest
    #[arg(long, value_name = "DIR", num_args = 1..)]
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "text::one_or_many")]
    pub share_smb: Vec<String>,
    /// Sound card, played by this program of the host
    #[arg(long, value_name = "PROGRAM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
    /// What the host does with the disks' data before it is on them [default: writeback for files, none for block devices]
    #[arg(long, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_cache: Option<DiskCache>,
    /// Format of the disks [default: what the domain has, else what the name and the content both say; raw for block devices]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_format: Option<DiskFormat>,
}

/// Keys that send keyboard and mouse to the other side; libvirt's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
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

/// A program of the host that plays sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sound {
    /// PipeWire (libvirt 9.10 and later).
    #[value(name = "pipewire")]
    PipeWire,
    /// PulseAudio, or PipeWire's stand-in for it.
    #[value(name = "pulseaudio")]
    PulseAudio,
}

/// What the host does with the data of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DiskCache {
    /// The guest writes past the host's page cache: nothing is kept twice.
    None,
    /// Through the host's page cache; safe, since the guest's flushes reach the disk.
    Writeback,
    /// Through the page cache, each write waits for the disk.
    Writethrough,
    /// Past the page cache, each write waits for the disk.
    Directsync,
    /// The guest's flushes are left out: fast, and lost when the host falls.
    Unsafe,
}

/// The format of a disk; libvirt's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The disk's bytes, and nothing else.
    Raw,
    /// QEMU's own.
    Qcow2,
    /// QEMU's own before that.
    Qcow,
    /// QEMU's of between.
    Qed,
    /// VMware's.
    Vmdk,
    /// VirtualBox's.
    Vdi,
    /// Virtual PC's, also called VHD.
    Vpc,
}

impl DiskFormat {
    /// libvirt's word.
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
    /// libvirt's word.
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
    /// libvirt's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PipeWire => "pipewire",
            Self::PulseAudio => "pulseaudio",
        }
    }
}

impl DiskCache {
    /// libvirt's word.
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
