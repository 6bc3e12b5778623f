//! Checks the free space for new boot images before the first one is written.

use crate::host::plan::Plan;
use crate::model::{Finding, Setup, Size};

/// A generous estimate of what vfio and its configuration add to an image: its modules have 100 KiB compressed.
const GROWTH: Size = Size::from_mib(2);

/// The images are written one after another, each next to the old one before it replaces it.
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

/// Copies of all images are stored until `vgapt undo`.
fn copies(setup: &Setup, made: &[Size]) -> Option<Finding> {
    let needed: u64 = made.iter().map(|size| size.bytes()).sum();
    let free = setup.room_at("/var").or_else(|| setup.room_at("/"))?;
    (free.bytes() < needed).then(|| {
        Finding::error(
            "no-room",
            format!(
                "/var has {} MiB free, and copies of the boot images for vgapt undo need {} MiB",
                free.bytes() >> 20,
                needed.div_ceil(1 << 20)
            ),
            "free space in /var, and run vgapt prepare again",
        )
    })
}

fn images(setup: &Setup, made: &[Size], largest: Size) -> Option<Finding> {
    let needed = largest.bytes() + GROWTH.bytes() * made.len() as u64;
    let free = setup.room_at("/boot")?;
    (free.bytes() < needed).then(|| {
        Finding::error(
            "no-room",
            format!("/boot has {} MiB free, and the new initramfs images need {} MiB", free.bytes() >> 20, needed.div_ceil(1 << 20)),
            "remove old kernels (apt autoremove, dnf remove --oldinstallonly), and run vgapt prepare again",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::plan::Command;

    /// The message for this many free MiB in /boot and /var if images of 40 and 50 MiB are regenerated.
    fn said(boot: u64, var: u64) -> String {
        let image = |name: &str, size| (format!("/boot/initrd.img-{name}"), Size::from_mib(size));
        let setup = Setup {
            images: vec![image("6.1", 40), image("6.12", 50), ("/boot/vmlinuz-6.12".into(), Size::from_mib(900))],
            room: vec![("/boot".into(), Size::from_mib(boot)), ("/var".into(), Size::from_mib(var))],
            ..Setup::default()
        };
        let commands = vec![Command::of(&["update-initramfs"], "").making(["/boot/initrd.img-"])];
        refusal(&setup, &Plan { commands, ..Plan::default() }).map(|finding| finding.message).unwrap_or_default()
    }

    #[test]
    fn one_new_image_beside_all_the_others_and_copies_of_them() {
        assert_eq!(said(54, 90), "");
        assert_eq!(said(53, 90), "/boot has 53 MiB free, and the new initramfs images need 54 MiB");
        assert_eq!(said(54, 89), "/var has 89 MiB free, and copies of the boot images for vgapt undo need 90 MiB");
        assert!(refusal(&Setup::default(), &Plan::default()).is_none(), "nothing is regenerated");
    }
}
