//! The headings of the help under which the options of a request are, in the order of need.

pub(super) const GUEST: &str = "Guest";
pub(super) const CARD: &str = "Graphics card";
pub(super) const DISKS: &str = "Disks and CDs";
pub(super) const INPUT: &str = "Keyboard, mouse and other devices of the host";
pub(super) const BESIDE: &str = "Network, display, sound and shared folders";
pub(super) const TUNING: &str = "CPU pinning and huge pages";
pub(super) const FIRMWARE: &str = "Firmware and QEMU";
