//! systemd-boot: entries on the EFI system partition or in /boot, written by kernel-install.

use super::loader::{Entry, Loader};
use super::{bls, cmdline, unified};
use crate::host::plan::{Command, Edits};
use crate::host::text::tokens::ParameterChange;
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static SYSTEMD_BOOT: Loader =
    Loader { kind: BootLoader::SystemdBoot, name: "systemd-boot", configured, edit, next, made_from, images, fallback };

/// openSUSE's GRUB that reads entries; it has no `grub.cfg`.
pub(super) static GRUB_OF_ENTRIES: Loader =
    Loader { kind: BootLoader::Grub, name: "GRUB with entries (grub2-bls)", configured: owns_entries, ..SYSTEMD_BOOT };

/// The boot partition, and the places where distributions mount the EFI system partition.
const PARTITIONS: [&str; 3] = ["/boot", "/boot/efi", "/efi"];
/// Where entries are on them.
pub(super) const ENTRIES: [&str; 3] = ["/boot/loader/entries", "/boot/efi/loader/entries", "/efi/loader/entries"];

fn configured(setup: &Setup) -> bool {
    // Fedora's GRUB reads /boot/loader/entries too, so entries alone prove nothing.
    PARTITIONS.iter().any(|partition| is_used(setup, partition)) || owns_entries(setup) || copies(setup)
}

fn is_used(setup: &Setup, partition: &str) -> bool {
    setup.files.exists(&format!("{partition}/loader/loader.conf"))
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
    for directory in ENTRIES {
        bls::edit_entries(host, setup, directory, wants, &mut edits)?;
    }
    let directory = ENTRIES.into_iter().find(|directory| setup.files.below(directory, ".conf").next().is_some()).unwrap_or(ENTRIES[0]);
    if copies(setup) {
        edits.change(setup, bls::NEW_KERNELS, bls::WHY_NEW, |text| cmdline::with_first(text, wants))?;
    } else {
        bls::edit_new_kernels(host, setup, directory, wants, &mut edits)?;
    }
    if copies(setup) && !edits.writes.is_empty() {
        edits.commands.push(refresh());
    }
    if edits.writes.is_empty() && next(setup).iter().any(|entry| entry.lacks(wants)) {
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
    if !edits.writes.is_empty() || entries(setup).iter().any(|entry| entry.lacks(wants)) {
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
    let on_partition = |(partition, directory): (&str, &str)| {
        let images = bls::images(setup, directory).into_iter().map(|image| format!("{partition}/{}", image.trim_start_matches('/')));
        images.chain(setup.has("kernel-install").then(|| format!("{directory}/"))).collect::<Vec<_>>()
    };
    let used = PARTITIONS.into_iter().zip(ENTRIES).filter(|(partition, _)| is_used(setup, partition));
    used.flat_map(on_partition).chain(unified::rebuilt(setup)).collect()
}

/// The command that copies a new initramfs to where it is booted from, if no other command does that.
pub(in crate::host::decide) fn copying(setup: &Setup) -> Option<Command> {
    copies(setup).then(refresh)
}

pub(super) fn fallback(host: &Host, setup: &Setup, wants: &[ParameterChange], off: Option<&str>) -> Option<(String, String)> {
    if owns_entries(setup) {
        return None;
    }
    ENTRIES.iter().find_map(|directory| bls::fallback(host, setup, directory, wants, off))
}

fn made_from(setup: &Setup) -> Vec<&'static str> {
    let generated = (owns_entries(setup) && setup.files.exists(bls::NEW_KERNELS)) || copies(setup);
    generated.then_some(bls::NEW_KERNELS).into_iter().collect()
}

fn next(setup: &Setup) -> Vec<Entry> {
    let written = setup.files.text(bls::NEW_KERNELS).filter(|_| copies(setup));
    let written =
        written.map(|text| Entry { source: bls::NEW_KERNELS.to_owned(), cmdline: cmdline::first(text).to_owned(), ..Entry::default() });
    entries(setup).into_iter().chain(written).collect()
}

pub(super) fn entries(setup: &Setup) -> Vec<Entry> {
    ENTRIES.iter().flat_map(|directory| bls::entries(setup, directory)).collect()
}

pub(super) fn images(setup: &Setup) -> Vec<String> {
    ENTRIES.iter().flat_map(|directory| bls::images(setup, directory)).collect()
}
