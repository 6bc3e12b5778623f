//! Room for new boot images, before the first of them is written.

use super::plan::Plan;
use crate::model::{Finding, Setup, Size};

/// What vfio and its configuration add to an image, generously: its modules have 100 KiB compressed.
const GROWTH: Size = Size::from_mib(2);

/// Each image is written beside the old one before it takes its place, one after another.
pub(super) fn refusal(setup: &Setup, plan: &Plan) -> Option<Finding> {
    let made: Vec<Size> = plan
        .commands
        .iter()
        .flat_map(|command| &command.makes)
        .flat_map(|prefix| setup.images.iter().filter(move |(path, _)| path.starts_with(prefix.as_str())))
        .map(|(_, size)| *size)
        .collect();
    let largest = made.iter().max()?;
    copies(setup, &made).or_else(|| images(setup, &made, *largest))
}

/// Copies of all of them are kept until `vgapt undo`.
fn copies(setup: &Setup, made: &[Size]) -> Option<Finding> {
    let needed: u64 = made.iter().map(|size| size.bytes()).sum();
    let free = setup.room_at("/var").or_else(|| setup.room_at("/"))?;
    (free.bytes() < needed).then(|| {
        Finding::fatal(
            "no-room",
            format!(
                "/var has {} MiB left, and copies of the boot images, kept for vgapt undo, need {} MiB",
                free.bytes() >> 20,
                needed.div_ceil(1 << 20)
            ),
            "make room in /var, and run vgapt prepare again",
        )
    })
}

fn images(setup: &Setup, made: &[Size], largest: Size) -> Option<Finding> {
    let needed = largest.bytes() + GROWTH.bytes() * made.len() as u64;
    let free = setup.room_at("/boot")?;
    (free.bytes() < needed).then(|| {
        Finding::fatal(
            "no-room",
            format!("/boot has {} MiB left, and the new initramfs images need {} MiB", free.bytes() >> 20, needed.div_ceil(1 << 20)),
            "remove old kernels (apt autoremove, dnf remove --oldinstallonly), and run vgapt prepare again",
        )
    })
}
