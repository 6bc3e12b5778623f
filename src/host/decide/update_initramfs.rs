//! Debian's `update-initramfs`.

use crate::host::plan::Command;

/// The prefix of the images' paths.
pub(super) const IMAGES: &str = "/boot/initrd.img-";

/// The command that regenerates all images.
pub(super) fn command(why: &str) -> Command {
    Command::of(&["update-initramfs", "-u", "-k", "all"], why)
}
