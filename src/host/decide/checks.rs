//! What is checked of a finished plan before anything is written: the configuration could be read, also by the shells that
//! read it, there is space for new boot images, and no disk asks for its key unexpectedly.

use super::sourced;
use crate::host::plan::Plan;
use crate::host::request::Wanted;
use crate::model::{Finding, Host, NoText, Setup, Size};

/// All findings about a plan that is not empty.
pub(super) fn findings(host: &Host, setup: &Setup, plan: &Plan, wanted: &Wanted) -> Vec<Finding> {
    let mut findings = sourced::findings(host, setup, plan);
    findings.extend([unread(setup), no_room(setup, plan), asks_for_key(host, setup, plan, wanted)].into_iter().flatten());
    findings
}

/// Configuration that could not be read and may change the plan. A user who may not read it may not write either, and
/// gets that error when writing.
fn unread(setup: &Setup) -> Option<Finding> {
    let first = setup.unread.first()?;
    let more = if setup.unread.len() > 1 { format!(" (and {} more)", setup.unread.len() - 1) } else { String::new() };
    let message = format!("{first}{more}; its content is not known, and might change the plan");
    let is_closed = |because: &String| because.contains("Permission denied") || because.ends_with("is closed");
    Some(if setup.unread.iter().all(is_closed) {
        Finding::warning("unread", message, "as root, which may read it: vgapt prepare")
    } else {
        let remedy = "correct or remove it (each file that cannot be read is named by: vgapt check), and run vgapt prepare again";
        Finding::blocked("unread", message, remedy)
    })
}

/// A generous estimate of what vfio and its configuration add to an image: its modules have 100 KiB compressed.
const GROWTH: Size = Size::from_mib(2);

/// The images are written one after another, each next to the old one before it replaces it.
fn no_room(setup: &Setup, plan: &Plan) -> Option<Finding> {
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
    let needed = made.iter().map(|size| size.bytes()).sum();
    let free = setup.room_at("/var").or_else(|| setup.room_at("/"))?;
    let remedy = "free space in /var, and run vgapt prepare again";
    lack(free, needed, remedy, |free, needed| format!("/var has {free} free, and copies of the boot images for vgapt undo need {needed}"))
}

fn images(setup: &Setup, made: &[Size], largest: Size) -> Option<Finding> {
    let needed = largest.bytes() + GROWTH.bytes() * made.len() as u64;
    let free = setup.room_at("/boot")?;
    let remedy = "remove old kernels (apt autoremove, dnf remove --oldinstallonly), and run vgapt prepare again";
    lack(free, needed, remedy, |free, needed| format!("/boot has {free} free, and the new initramfs images need {needed}"))
}

fn lack(free: Size, needed: u64, remedy: &str, message: impl Fn(String, String) -> String) -> Option<Finding> {
    let mib = |mib: u64| format!("{mib} MiB");
    (free.bytes() < needed).then(|| Finding::error("no-room", message(mib(free.bytes() >> 20), mib(needed.div_ceil(1 << 20))), remedy))
}

/// A disk that the TPM unlocks may ask for its key after a change of what is booted.
const TABLE: &str = "/etc/crypttab";

fn asks_for_key(host: &Host, setup: &Setup, plan: &Plan, wanted: &Wanted) -> Option<Finding> {
    if let Some(Err(what)) = setup.files.0.get(TABLE).map(|file| &file.text).filter(|_| !wanted.accept_tpm && !plan.reboot.is_empty()) {
        let message = format!("{TABLE} {what}, so it is unknown whether the TPM unlocks a disk");
        // A user who may not read it may not write anything either.
        return Some(if matches!(what, NoText::Unread { closed: true, .. }) {
            Finding::warning("tpm", message, "run vgapt as root")
        } else {
            let remedy = format!("correct {TABLE}; or have the disk's passphrase or recovery key at hand, then add --accept-tpm");
            Finding::blocked("tpm", message, remedy)
        });
    }
    let table = setup.files.text(TABLE).unwrap_or_default();
    let on_command_line = host
        .platform
        .cmdline
        .as_ref()
        .and_then(|cmdline| cmdline.get("rd.luks.options"))
        .filter(|options| options.contains("tpm2-device="));
    let measured = table.lines().map(str::trim).filter(|line| !line.starts_with('#')).find(|line| line.contains("tpm2-device="));
    let line = measured.or(on_command_line.map(|_| "of the root file system")).filter(|_| !wanted.accept_tpm && !plan.reboot.is_empty())?;
    let name = if on_command_line.is_some() { line } else { line.split_whitespace().next().unwrap_or_default() };
    Some(Finding::blocked(
        "tpm",
        format!("the TPM unlocks the disk {name}; after a change of the kernel command line or the initramfs it may no longer unlock it"),
        "have the disk's passphrase or recovery key at hand, then add --accept-tpm; afterwards enroll the TPM again (systemd-cryptenroll)",
    ))
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
        no_room(&setup, &Plan { commands, ..Plan::default() }).map(|finding| finding.message).unwrap_or_default()
    }

    #[test]
    fn one_new_image_beside_all_the_others_and_copies_of_them() {
        assert_eq!(said(54, 90), "");
        assert_eq!(said(53, 90), "/boot has 53 MiB free, and the new initramfs images need 54 MiB");
        assert_eq!(said(54, 89), "/var has 89 MiB free, and copies of the boot images for vgapt undo need 90 MiB");
        assert!(no_room(&Setup::default(), &Plan::default()).is_none(), "nothing is regenerated");
    }
}
