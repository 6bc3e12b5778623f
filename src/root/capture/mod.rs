//! A capture: the files of a recorded machine in one readable text, optionally gzipped.
//!
//! ```text
//! vgapt capture 1
//! [/sys/devices/pci0000:00/0000:00:02.0]
//! class = 0x030000
//! iommu_group -> ../../../kernel/iommu_groups/2
//! uevent |
//! | DRIVER=i915
//! | PCI_ID=8086:1912
//! config % 868012190704
//! [/usr/share/OVMF]
//! OVMF_CODE_4M.fd ? 3653632
//! [/etc/default]
//! grub 0600 = GRUB_TIMEOUT=5
//! ```
//!
//! A section is a directory. `=` is a file with one line, `|` a file with several lines (a last line that starts
//! with `\ ` has no newline), `%` a file in hexadecimal, `?` a file of which only the size is known,
//! `->` a symbolic link. The mode follows the name if it is not 644 (755 for a directory).
//! Space, backslash and control characters in names are written as `\x20`.

mod entry;
mod text;
mod tree;
mod write;

pub use entry::{CapturedPath, Entry, Node};
pub use tree::Capture;
