//! What is to be taken out.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

/// What is to be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::Args)]
#[command(next_help_heading = "What is to be taken out")]
pub struct Without {
    /// Take out the graphics cards
    #[arg(long, conflicts_with_all = ["gpu", "gpu_audio"])]
    pub no_gpu: bool,
    /// Keep the host's display where it is
    #[arg(long, conflicts_with = "handover")]
    pub no_handover: bool,
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
    /// Let the domain start by hand only
    #[arg(long, conflicts_with = "autostart")]
    pub no_autostart: bool,
    /// Take out the CD
    #[arg(long, conflicts_with = "cdrom")]
    pub no_cdrom: bool,
    /// Take out the CD with the virtio drivers
    #[arg(long, conflicts_with = "virtio_iso")]
    pub no_virtio_iso: bool,
    /// Take out the card's firmware file
    #[arg(long, conflicts_with = "rom")]
    pub no_rom: bool,
    /// Take out the mediated devices
    #[arg(long, conflicts_with = "mdev")]
    pub no_mdev: bool,
    /// Take out keyboard and mouse of --evdev
    #[arg(long, conflicts_with = "evdev")]
    pub no_evdev: bool,
    /// Take out the memory for Looking Glass
    #[arg(long, conflicts_with = "looking_glass")]
    pub no_looking_glass: bool,
    /// Take out the shared folders
    #[arg(long, conflicts_with_all = ["share", "share_smb"])]
    pub no_share: bool,
    /// Take out the sound card
    #[arg(long, conflicts_with = "sound")]
    pub no_sound: bool,
}
