//! Which boot loader booted this machine: only that one is edited, and where it is not certain, none.

use super::{ALL, Loader, grub, of_kind, systemd_boot};
use crate::model::{BootLoader, Finding, Host, Setup};

/// The boot loader that counts, and how that is known.
#[derive(Debug)]
pub struct Chosen {
    /// The loader.
    pub loader: &'static Loader,
    /// How that is known.
    pub evidence: String,
}

/// The loader that booted this machine.
///
/// # Errors
/// Where that is not certain.
pub fn chosen(host: &Host, setup: &Setup) -> Result<Chosen, Finding> {
    let configured: Vec<&'static Loader> = ALL.into_iter().filter(|loader| (loader.configured)(setup)).collect();
    let (kind, evidence) = match witness(host, setup) {
        Some(witness) => witness,
        None => by_files(&configured)?,
    };
    match owner(kind, setup).filter(|loader| (loader.configured)(setup)) {
        Some(loader) => Ok(Chosen { loader, evidence }),
        None => Err(uncertain(&format!("{evidence}, but the configuration of {} is not there", name(kind)))),
    }
}

/// What the machine itself says of its boot, the surest first.
fn witness(host: &Host, setup: &Setup) -> Option<(BootLoader, String)> {
    let booted = &setup.booted;
    if setup.files.exists("/run/ostree-booted") {
        return Some((BootLoader::Ostree, "/run/ostree-booted is there".into()));
    }
    if let Some(stub) = &booted.stub {
        return Some((BootLoader::UnifiedKernelImage, format!("the kernel was started by {stub} (EFI variable StubInfo)")));
    }
    let named = |text: &str| {
        let text = text.to_ascii_lowercase();
        [("systemd", BootLoader::SystemdBoot), ("limine", BootLoader::Limine), ("grub", BootLoader::Grub), ("shim", BootLoader::Grub)]
            .into_iter()
            .find(|(word, _)| text.contains(word))
            .map(|(_, kind)| kind)
    };
    if let Some((kind, loader)) = booted.loader.as_ref().and_then(|loader| Some((named(loader)?, loader))) {
        return Some((kind, format!("it calls itself {loader} (EFI variable LoaderInfo)")));
    }
    if let Some(program) = &booted.program {
        if let Some(kind) = named(program) {
            return Some((kind, format!("the firmware started {program} (EFI variable BootCurrent)")));
        }
        if program.to_ascii_lowercase().contains("\\efi\\linux\\") {
            return Some((BootLoader::UnifiedKernelImage, format!("the firmware started {program} (EFI variable BootCurrent)")));
        }
    }
    let image = host.platform.cmdline.as_ref().and_then(|cmdline| cmdline.get("BOOT_IMAGE")).filter(|image| !image.is_empty());
    image.map(|image| (BootLoader::Grub, format!("BOOT_IMAGE={image} is on the kernel's command line")))
}

/// Without a witness, the files of exactly one loader are certain enough.
fn by_files(configured: &[&'static Loader]) -> Result<(BootLoader, String), Finding> {
    match configured {
        // kernelstub and ostree come with the files of the loader that they drive.
        [loader] | [loader, ..] if configured.len() == 1 || matches!(loader.kind, BootLoader::Ostree | BootLoader::Kernelstub) => {
            Ok((loader.kind, format!("the files of {} are there, and of no other", loader.name)))
        }
        [] => Err(uncertain("no boot loader's configuration was found")),
        several => {
            let names: Vec<&str> = several.iter().map(|loader| loader.name).collect();
            Err(uncertain(&format!("the files of {} are there, and the firmware does not tell which booted", names.join(" and "))))
        }
    }
}

/// Who writes the loader's files: kernelstub writes systemd-boot's, and a GRUB without a `grub.cfg` reads
/// the same entries as systemd-boot (grub2-bls).
fn owner(kind: BootLoader, setup: &Setup) -> Option<&'static Loader> {
    if kind == BootLoader::Grub && systemd_boot::owns_entries(setup) && !grub::is_generated(setup) {
        return Some(&systemd_boot::GRUB_OF_ENTRIES);
    }
    let kernelstub = of_kind(BootLoader::Kernelstub).filter(|loader| kind == BootLoader::SystemdBoot && (loader.configured)(setup));
    kernelstub.or_else(|| of_kind(kind))
}

fn name(kind: BootLoader) -> &'static str {
    of_kind(kind).map_or("that boot loader", |loader| loader.name)
}

fn uncertain(what: &str) -> Finding {
    Finding::fatal("boot-loader", format!("which boot loader is to be given the kernel parameters is not certain: {what}"), "")
}
