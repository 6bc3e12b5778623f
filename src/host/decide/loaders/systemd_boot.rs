//! systemd-boot: entries on the EFI system partition or in /boot, written by kernel-install.

use super::entry::Entry;
use super::loader::Loader;
use super::{bls, cmdline, fallback, unified};
use crate::host::plan::{Command, Edits};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static SYSTEMD_BOOT: Loader = Loader { kind: BootLoader::SystemdBoot, name: "systemd-boot", configured, edit, next, fallback };

/// openSUSE's GRUB that reads entries; it has no `grub.cfg`.
pub(super) static GRUB_OF_ENTRIES: Loader =
    Loader { kind: BootLoader::Grub, name: "GRUB with entries (grub2-bls)", configured: owns_entries, edit, next, fallback };

/// Where entries are: the boot partition, and the places where distributions mount the EFI system partition.
pub(super) const PLACES: [&str; 3] = ["/boot/loader", "/boot/efi/loader", "/efi/loader"];

fn configured(setup: &Setup) -> bool {
    // Fedora's GRUB reads /boot/loader/entries too, so entries alone prove nothing.
    PLACES.iter().any(|place| setup.files.exists(&format!("{place}/loader.conf"))) || owns_entries(setup) || copies(setup)
}

/// Whether openSUSE's tool manages the entries; systemd-boot or GRUB (grub2-bls) may read them.
pub(in crate::host::decide) fn owns_entries(setup: &Setup) -> bool {
    setup.has("sdbootutil") && !entries(setup).is_empty()
}

/// Whether Proxmox copies kernels and entries to EFI system partitions that are not mounted.
fn copies(setup: &Setup) -> bool {
    setup.has("proxmox-boot-tool") && setup.files.exists(bls::NEW_KERNELS) && entries(setup).is_empty()
}

fn edit(host: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    if owns_entries(setup) {
        return owned(setup, wants);
    }
    for place in PLACES {
        bls::edit_entries(setup, &entries_of(place), wants, &mut edits)?;
    }
    let place = PLACES.into_iter().find(|place| setup.files.below(&entries_of(place), ".conf").next().is_some()).unwrap_or(PLACES[0]);
    bls::edit_new_kernels(host, setup, &entries_of(place), wants, &mut edits)?;
    if copies(setup) && !edits.writes.is_empty() {
        edits.commands.push(refresh());
    }
    if edits.writes.is_empty() && next(setup).iter().any(|entry| !tokens::says(&entry.cmdline, wants)) {
        return Err(Finding::error(
            "boot-loader",
            "the kernel parameters cannot be added to an entry of systemd-boot",
            "check its options line",
        ));
    }
    if next(setup).is_empty() {
        return Err(Finding::error(
            "boot-loader",
            "systemd-boot has no entry for Linux where vgapt looks: /boot/loader, /boot/efi/loader, /efi/loader",
            "mount the EFI system partition at /boot, /boot/efi or /efi, and run vgapt prepare again",
        ));
    }
    Ok(edits)
}

/// Its entries refer to kernels and initramfs by their digests, so only the tool itself writes them, also for undo.
fn owned(setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let why = "kernel parameters of the entries that sdbootutil writes";
    edits.change(setup, bls::NEW_KERNELS, why, |text| cmdline::with(text, wants))?;
    if !edits.writes.is_empty() || entries(setup).iter().any(|entry| !tokens::says(&entry.cmdline, wants)) {
        let mut command = Command::of(&["sdbootutil", "update-all-entries"], why);
        command.undo = Some(command.argv.clone());
        edits.commands.push(command);
    }
    Ok(edits)
}

/// Proxmox's tool copies kernels, initramfs and entries again, also for undo.
fn refresh() -> Command {
    let mut command =
        Command::of(&["proxmox-boot-tool", "refresh"], "it copies kernels, initramfs and entries to the EFI system partitions");
    command.undo = Some(command.argv.clone());
    command
}

/// Copies of boot images outside of /boot itself: those that kernel-install and similar tools make for the
/// loader, with the entries that refer to them, and unified images.
pub(in crate::host::decide) fn copied(setup: &Setup) -> Vec<String> {
    let images = |place: &str| {
        let partition = place.trim_end_matches("/loader").to_owned();
        let named = setup.files.texts(&entries_of(place), ".conf").flat_map(|(_, text)| bls::initramfs(text)).collect::<Vec<_>>();
        let images = named.into_iter().map(move |image| format!("{partition}/{}", image.trim_start_matches('/')));
        let entries = setup.has("kernel-install").then(|| format!("{}/", entries_of(place)));
        images.chain(entries).collect::<Vec<_>>()
    };
    let used = |place: &&&str| setup.files.exists(&format!("{place}/loader.conf"));
    PLACES.iter().filter(used).flat_map(|place| images(place)).chain(unified::images(setup)).collect()
}

/// The command that copies a new initramfs to where it is booted from, if no other command does that.
pub(in crate::host::decide) fn copying(setup: &Setup) -> Option<Command> {
    copies(setup).then(refresh)
}

pub(super) fn fallback(setup: &Setup, wants: &[ParameterChange], off: Option<&str>) -> Option<(String, String)> {
    if owns_entries(setup) {
        return None;
    }
    PLACES.iter().find_map(|place| fallback::entry(setup, &entries_of(place), wants, off))
}

fn next(setup: &Setup) -> Vec<Entry> {
    let written = setup.files.text(bls::NEW_KERNELS).filter(|_| copies(setup));
    let written = written.map(|text| Entry { source: bls::NEW_KERNELS.to_owned(), cmdline: cmdline::said(text) });
    entries(setup).into_iter().chain(written).collect()
}

fn entries_of(place: &str) -> String {
    format!("{place}/entries")
}

fn entries(setup: &Setup) -> Vec<Entry> {
    PLACES.iter().flat_map(|place| bls::entries(setup, &entries_of(place))).collect()
}
