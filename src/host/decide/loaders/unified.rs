//! Unified kernel images (UKI): kernel, initramfs and command line in one EFI program, built from
//! /etc/kernel/cmdline or the files of /etc/cmdline.d.

use super::loader::{Entry, Loader};
use super::{bls, cmdline};
use crate::host::decide::{initramfs, kernel_install};
use crate::host::plan::{Command, Edits};
use crate::host::text::shell;
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static UNIFIED: Loader = Loader {
    kind: BootLoader::UnifiedKernelImage,
    name: "unified kernel images",
    configured,
    edit,
    next,
    // The images are made from what they boot with next.
    made_from: |_| Vec::new(),
    images: |_| Vec::new(),
    fallback: |_, _, _, _| None,
};

const CMDLINE: &str = bls::NEW_KERNELS;
/// mkinitcpio reads these if there is no /etc/kernel/cmdline.
pub(super) const PARTS: &str = "/etc/cmdline.d";
const WHY: &str = "the command line that is built into unified kernel images";
/// Where the images are written.
const IMAGES: [&str; 3] = ["/boot/EFI/Linux/", "/boot/efi/EFI/Linux/", "/efi/EFI/Linux/"];

fn configured(setup: &Setup) -> bool {
    let layout = kernel_install::value(setup, "layout") == Some("uki");
    let preset =
        setup.files.texts_lossy("/etc/mkinitcpio.d", ".preset").any(|(_, text)| !shell::assignments(text, "default_uki").is_empty());
    let dracut = setup
        .files
        .texts_lossy("/etc/dracut.conf.d", ".conf")
        .any(|(_, text)| shell::assignments(text, "uefi").last().is_some_and(|last| matches!(&text[last.inside.clone()], "yes" | "true")));
    layout || preset || dracut
}

fn edit(host: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let running = host.platform.cmdline.as_ref().map_or("", |line| line.0.as_str());
    if let Some((preset, option)) = own_option(setup).filter(|_| !tokens::has_all(running, wants)) {
        return Err(Finding::error(
            "boot-loader",
            format!("{preset} has `{option}`, so mkinitcpio does not read {CMDLINE} for its unified kernel images"),
            format!("write the whole command line into {CMDLINE}, remove `{option}` from {preset}, and run vgapt prepare again"),
        ));
    }
    if setup.files.exists(CMDLINE) {
        edits.change(setup, CMDLINE, WHY, |text| cmdline::with(text, wants))?;
    } else if let Some((path, _)) = setup.files.below(PARTS, ".conf").last() {
        let says = next(setup).iter().all(|entry| tokens::has_all(&entry.cmdline, wants));
        for (other, _) in setup.files.below(PARTS, ".conf") {
            let change = if other == path && !says { cmdline::with } else { cmdline::without_opposites };
            edits.change(setup, other, WHY, |text| change(text, wants))?;
        }
    } else {
        // Both builders use the running kernel's command line if none is configured.
        return Err(Finding::error(
            "boot-loader",
            format!("the unified kernel images have no configured command line: neither {CMDLINE} nor {PARTS} exists"),
            format!("write the kernel's command line into {CMDLINE} (the present one is in /proc/cmdline), and run vgapt prepare again"),
        ));
    }
    if !edits.writes.is_empty() {
        edits.commands.push(rebuild(setup));
    }
    Ok(edits)
}

/// A preset whose options of mkinitcpio name another file with the command line, or none (`--cmdline` and `--no-cmdline` in its man
/// page), and the option.
fn own_option(setup: &Setup) -> Option<(&str, String)> {
    initramfs::of_presets(setup, "options").find_map(|(path, options)| {
        let words: Vec<&str> = options.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        let at = words.iter().position(|word| *word == "--no-cmdline" || *word == "--cmdline" || word.starts_with("--cmdline="))?;
        let (option, next) = (words[at], words.get(at + 1).copied().unwrap_or_default());
        let option = if option == "--cmdline" { format!("{option} {next}") } else { option.to_owned() };
        (!option.ends_with(CMDLINE) || option.contains("no-")).then_some((path, option))
    })
}

/// The directories of the images that are rebuilt with every new initramfs.
pub(super) fn rebuilt(setup: &Setup) -> impl Iterator<Item = String> {
    let has_images = |place: &&str| setup.images.iter().any(|(path, _)| path.starts_with(place));
    IMAGES.into_iter().filter(has_images).filter(|_| configured(setup)).map(str::to_owned)
}

/// Why rebuilt images would not be booted.
pub(in crate::host::decide) fn unsigned(setup: &Setup) -> Option<Finding> {
    (setup.booted.secure_boot == Some(true) && !can_sign(setup)).then(|| {
        Finding::error(
            "signing",
            "Secure Boot is on, and no tool was found that signs the new unified kernel images, so the firmware would refuse them at the next boot",
            "set up signing (sbctl create-keys and enroll-keys, or SecureBootPrivateKey in /etc/kernel/uki.conf), and run vgapt prepare again",
        )
    })
}

/// Whether the builder signs: with sbctl's keys, ukify's or dracut's.
fn can_sign(setup: &Setup) -> bool {
    let says = |text: &str, key: &str| text.lines().any(|line| line.trim_start().starts_with(key));
    let ukify = setup.files.text_lossy("/etc/kernel/uki.conf").is_some_and(|text| says(text, "SecureBootPrivateKey"));
    let dracut = setup.files.texts_lossy("/etc/dracut.conf.d", ".conf").any(|(_, text)| says(text, "uefi_secureboot_key"));
    ukify || dracut || setup.has("sbctl")
}

pub(super) fn rebuild(setup: &Setup) -> Command {
    let why = "the command line is inside the images, so they are rebuilt";
    let command = if setup.files.below("/etc/mkinitcpio.d", ".preset").next().is_some() {
        Command::of(&["mkinitcpio", "-P"], why)
    } else if setup.has("dracut") && !setup.has("kernel-install") {
        Command::of(&["dracut", "--regenerate-all", "--force"], why)
    } else if setup.has("update-initramfs") && setup.has("lsinitramfs") {
        // kernel-install finds kernels only in /usr/lib/modules, and Debian's are in /boot; a hook passes them on.
        let mut command = update_initramfs(why);
        command.makes.extend(IMAGES.map(str::to_owned));
        return command;
    } else {
        Command::of(&["kernel-install", "add-all"], why)
    };
    command.making(IMAGES)
}

/// Debian's command that regenerates all images.
pub(in crate::host::decide) fn update_initramfs(why: &str) -> Command {
    Command::of(&["update-initramfs", "-u", "-k", "all"], why).making(["/boot/initrd.img-"])
}

pub(super) fn next(setup: &Setup) -> Vec<Entry> {
    if own_option(setup).is_some() {
        return Vec::new();
    }
    if let Some(text) = setup.files.text(CMDLINE) {
        return vec![Entry { source: CMDLINE.to_owned(), cmdline: cmdline::joined(text), ..Entry::default() }];
    }
    let parts: Vec<String> = setup.files.texts(PARTS, ".conf").map(|(_, text)| cmdline::joined(text)).collect();
    if parts.is_empty() { Vec::new() } else { vec![Entry { source: PARTS.to_owned(), cmdline: parts.join(" "), ..Entry::default() }] }
}
