//! systemd-boot: entries on the EFI system partition or in /boot, made by kernel-install.

use super::{Entry, Loader, bls, cmdline, fallback};
use crate::host::plan::{Command, Edits};
use crate::host::tokens::{self, Want};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static SYSTEMD_BOOT: Loader = Loader { kind: BootLoader::SystemdBoot, name: "systemd-boot", configured, edit, next, fallback };

/// Where entries lie: the boot partition, and the places where distributions mount the EFI system partition.
pub(super) const PLACES: [&str; 3] = ["/boot/loader", "/boot/efi/loader", "/efi/loader"];

fn configured(setup: &Setup) -> bool {
    // Fedora's GRUB reads /boot/loader/entries too, so entries alone say nothing.
    PLACES.iter().any(|place| setup.files.exists(&format!("{place}/loader.conf"))) || owns_entries(setup) || copies(setup)
}

/// openSUSE's tool owns the entries, whether systemd-boot reads them or GRUB (grub2-bls).
pub(super) fn owns_entries(setup: &Setup) -> bool {
    setup.has("sdbootutil") && !entries(setup).is_empty()
}

/// Proxmox copies kernels and entries onto EFI system partitions that are not mounted.
fn copies(setup: &Setup) -> bool {
    setup.has("proxmox-boot-tool") && setup.files.exists(bls::NEW_KERNELS) && entries(setup).is_empty()
}

fn edit(_: &Host, setup: &Setup, wants: &[Want]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    for place in PLACES {
        bls::edit_entries(setup, &format!("{place}/entries"), wants, &mut edits)?;
    }
    bls::edit_new_kernels(setup, wants, &mut edits)?;
    // openSUSE's tool and Proxmox's own the entries, and make them from /etc/kernel/cmdline.
    let owner = [("sdbootutil", &["sdbootutil", "update-all-entries"][..]), ("proxmox-boot-tool", &["proxmox-boot-tool", "refresh"][..])];
    if let Some((_, argv)) = owner.iter().find(|(program, _)| setup.has(program) && !edits.writes.is_empty()) {
        edits
            .commands
            .push(Command::of(argv, "this distribution's tool makes the entries").making(PLACES.map(|place| format!("{place}/entries/"))));
    }
    if edits.writes.is_empty() && next(setup).iter().any(|entry| !tokens::says(&entry.cmdline, wants)) {
        return Err(Finding::fatal(
            "boot-loader",
            "an entry of systemd-boot does not take the kernel parameters",
            "look at its options line",
        ));
    }
    if next(setup).is_empty() {
        return Err(Finding::fatal(
            "boot-loader",
            "systemd-boot has no entry for Linux where vgapt looks: /boot/loader, /boot/efi/loader, /efi/loader",
            "mount the EFI system partition at /boot, /boot/efi or /efi, and run vgapt prepare again",
        ));
    }
    Ok(edits)
}

pub(super) fn fallback(setup: &Setup, wants: &[Want], off: Option<&str>) -> Option<(String, String)> {
    PLACES.iter().find_map(|place| fallback::entry(setup, &format!("{place}/entries"), wants, off))
}

fn next(setup: &Setup) -> Vec<Entry> {
    let written = setup.files.text(bls::NEW_KERNELS).filter(|_| copies(setup));
    let written = written.map(|text| Entry { source: bls::NEW_KERNELS.to_owned(), cmdline: cmdline::said(text) });
    entries(setup).into_iter().chain(written).collect()
}

fn entries(setup: &Setup) -> Vec<Entry> {
    PLACES.iter().flat_map(|place| bls::entries(setup, &format!("{place}/entries"))).collect()
}
