//! Options that remove something from a domain.

#![allow(clippy::doc_markdown)] // The comments are the help text, in which backticks would be visible.

/// Options that remove something from a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::Args)]
#[command(next_help_heading = "Remove")]
pub struct Without {
    /// Remove the graphics cards
    #[arg(long, hide_short_help = true, conflicts_with_all = ["gpu", "gpu_audio"])]
    pub no_gpu: bool,
    /// Do not hand over the host's display
    #[arg(long, hide_short_help = true, conflicts_with = "handover")]
    pub no_handover: bool,
    /// Remove the PCI functions of --pci
    #[arg(long, hide_short_help = true, conflicts_with = "pci")]
    pub no_pci: bool,
    /// Remove the USB devices, including keyboard and mouse
    #[arg(long, hide_short_help = true, conflicts_with_all = ["usb", "keyboard", "mouse"])]
    pub no_usb: bool,
    /// Do not use huge pages
    #[arg(long, hide_short_help = true, conflicts_with = "hugepages")]
    pub no_hugepages: bool,
    /// Remove the disks
    #[arg(long, hide_short_help = true, conflicts_with = "disk")]
    pub no_disk: bool,
    /// Remove the title
    #[arg(long, conflicts_with = "title")]
    pub no_title: bool,
    /// Remove the description
    #[arg(long, conflicts_with = "description")]
    pub no_description: bool,
    /// Do not start the domain automatically
    #[arg(long, hide_short_help = true, conflicts_with = "autostart")]
    pub no_autostart: bool,
    /// Remove the CD
    #[arg(long, hide_short_help = true, conflicts_with = "cdrom")]
    pub no_cdrom: bool,
    /// Remove the CD with the virtio drivers
    #[arg(long, hide_short_help = true, conflicts_with = "virtio_iso")]
    pub no_virtio_iso: bool,
    /// Remove the card's firmware file
    #[arg(long, hide_short_help = true, conflicts_with = "rom")]
    pub no_rom: bool,
    /// Remove the mediated devices
    #[arg(long, hide_short_help = true, conflicts_with = "mdev")]
    pub no_mdev: bool,
    /// Remove the keyboard and mouse of --evdev
    #[arg(long, hide_short_help = true, conflicts_with = "evdev")]
    pub no_evdev: bool,
    /// Remove the shared memory for Looking Glass
    #[arg(long, hide_short_help = true, conflicts_with = "looking_glass")]
    pub no_looking_glass: bool,
    /// Remove the shared folders
    #[arg(long, hide_short_help = true, conflicts_with_all = ["share", "share_smb"])]
    pub no_share: bool,
    /// Remove the sound card
    #[arg(long, hide_short_help = true, conflicts_with = "sound")]
    pub no_sound: bool,
}
