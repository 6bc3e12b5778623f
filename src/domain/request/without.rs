//! What is to be taken out.

#![allow(clippy::doc_markdown)] // The comments are the help, where back ticks would be shown.

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
