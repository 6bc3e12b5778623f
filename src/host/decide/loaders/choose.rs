//! All boot loaders that vgapt supports, and which of them booted this host. Only its configuration is edited; if the
//! loader is uncertain or unsupported, none is.

use super::default::default_entry;
use super::loader::Loader;
use super::{grub, kernelstub, limine, ostree, sdboot_manage, systemd_boot, unified};
use crate::host::plan::Command;
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

/// All supported boot loaders; if several are configured, the first one manages the files of the others.
static ALL: [&Loader; 6] =
    [&ostree::OSTREE, &kernelstub::KERNELSTUB, &unified::UNIFIED, &systemd_boot::SYSTEMD_BOOT, &limine::LIMINE, &grub::GRUB];

fn of_kind(kind: BootLoader) -> Option<&'static Loader> {
    ALL.into_iter().find(|loader| loader.kind == kind)
}

/// The boot loader that booted this host, and how that is known.
#[derive(Debug)]
pub struct Chosen {
    /// The loader.
    pub loader: &'static Loader,
    /// How that is known.
    pub evidence: String,
}

/// The placeholder for the kernel parameters in the remedy if [`chosen`] refuses.
pub const PARAMETERS: &str = "<parameters>";

/// A boot loader whose configuration vgapt does not edit.
struct UnsupportedLoader {
    name: &'static str,
    /// Parts of its program's path or of the name that it reports, in lower case.
    words: &'static [&'static str],
    /// Where its kernel parameters are configured.
    place: fn(&Setup) -> String,
}

/// According to SYSLINUX' manual (doc/syslinux.txt, "APPEND") and Alpine's update-extlinux.
static SYSLINUX: UnsupportedLoader = UnsupportedLoader {
    name: "SYSLINUX",
    words: &["syslinux", "extlinux"],
    place: |setup| {
        if setup.files.exists(EXTLINUX) {
            return format!("in {EXTLINUX}, in the quotes of default_kernel_opts, add {PARAMETERS}; then: update-extlinux");
        }
        format!(
            "at the end of each APPEND line of its configuration (/boot/syslinux/syslinux.cfg, /boot/extlinux/extlinux.conf), add {PARAMETERS}"
        )
    },
};

/// According to the manuals of rEFInd ("Configuring the Boot Manager") and `ZFSBootMenu` (zfsbootmenu(7)).
static UNSUPPORTED: [UnsupportedLoader; 2] = [
    UnsupportedLoader {
        name: "rEFInd",
        words: &["refind"],
        place: |_| {
            format!(
                "in /boot/refind_linux.conf, after the parameters in the second pair of quotes of each line (or in the options of your menuentry in refind.conf): {PARAMETERS}"
            )
        },
    },
    UnsupportedLoader {
        name: "ZFSBootMenu",
        words: &["\\zbm\\", "zfsbootmenu"],
        place: |setup| {
            let dataset = root_dataset(setup).unwrap_or("DATASET");
            format!(
                "zfs get org.zfsbootmenu:commandline {dataset} prints the present parameters; put them in front: zfs set org.zfsbootmenu:commandline=\"… {PARAMETERS}\" {dataset}"
            )
        },
    },
];

/// Alpine makes the configuration of extlinux from it.
const EXTLINUX: &str = "/etc/update-extlinux.conf";

/// Parts of the names and paths of the loaders that vgapt supports.
const NAMES: [(&str, BootLoader); 4] =
    [("systemd", BootLoader::SystemdBoot), ("limine", BootLoader::Limine), ("grub", BootLoader::Grub), ("shim", BootLoader::Grub)];

/// The ZFS dataset of the root file system.
fn root_dataset(setup: &Setup) -> Option<&str> {
    let mut lines = setup.files.text("/proc/mounts")?.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.rfind(|fields| fields.len() > 2 && fields[1] == "/" && fields[2] == "zfs").map(|fields| fields[0])
}

/// The boot loader that booted this host.
///
/// # Errors
/// If that is uncertain, or if vgapt does not support the loader.
pub fn chosen(host: &Host, setup: &Setup) -> Result<Chosen, Finding> {
    let configured: Vec<&'static Loader> = ALL.into_iter().filter(|loader| (loader.configured)(setup)).collect();
    let (kind, evidence) = match evidence_of_boot(host, setup) {
        Some(found) => found?,
        None => by_files(&configured)?,
    };
    match owner(kind, setup).filter(|loader| (loader.configured)(setup)) {
        Some(loader) => Ok(Chosen { loader, evidence }),
        None => {
            let name = of_kind(kind).map_or("that boot loader", |loader| loader.name);
            Err(uncertain(&format!("{evidence}, but the configuration of {name} does not exist")))
        }
    }
}

/// The loader that booted, according to the running system; the most reliable evidence comes first. An unknown loader is
/// an error, so that it is not guessed from files that another loader left behind.
fn evidence_of_boot(host: &Host, setup: &Setup) -> Option<Result<(BootLoader, String), Finding>> {
    let booted = &setup.booted;
    if setup.is_of_ostree() {
        return Some(Ok((BootLoader::Ostree, "/run/ostree-booted exists".into())));
    }
    let loader = booted.loader.as_deref().map(|name| (name, format!("the boot loader reports itself as {name} (EFI variable LoaderInfo)")));
    let program = booted.program.as_deref().map(|path| (path, format!("the firmware started {path} (EFI variable BootCurrent)")));
    let reports: Vec<(String, String)> =
        loader.into_iter().chain(program).map(|(text, evidence)| (text.to_ascii_lowercase(), evidence)).collect();
    let image = host.platform.cmdline.as_ref().and_then(|cmdline| cmdline.get("BOOT_IMAGE")).filter(|image| !image.is_empty());
    // GRUB sets `BOOT_IMAGE`, even if another loader started GRUB. So do SYSLINUX and LILO, for which it need not be a whole
    // path, and which put `initrd=` there too (readconfig.c of SYSLINUX); GRUB never does.
    let names_initrd = host.platform.cmdline.as_ref().is_some_and(|cmdline| cmdline.get("initrd").is_some());
    let is_grubs = |image: &&str| image.starts_with(['/', '(']) && !names_initrd;
    let other = image.filter(|image| !is_grubs(image));
    let image = image.filter(is_grubs);
    let unsupported = |text: &str| UNSUPPORTED.iter().chain([&SYSLINUX]).find(|one| one.words.iter().any(|word| text.contains(word)));
    let foreign = reports.iter().find_map(|(text, evidence)| Some((unsupported(text)?, evidence)));
    if let Some((foreign, evidence)) = foreign.filter(|_| image.is_none()) {
        let message = format!("vgapt does not edit the configuration of {}, which booted this host: {evidence}", foreign.name);
        return Some(Err(Finding::error("boot-loader", message, (foreign.place)(setup))));
    }
    if let Some(stub) = &booted.stub {
        return Some(Ok((BootLoader::UnifiedKernelImage, format!("the kernel was started by {stub} (EFI variable StubInfo)"))));
    }
    let kind_in = |text: &str| NAMES.iter().find(|(word, _)| text.contains(word)).map(|(_, kind)| *kind);
    if let Some((kind, evidence)) = reports.iter().find_map(|(text, evidence)| Some((kind_in(text)?, evidence))) {
        return Some(Ok((kind, evidence.clone())));
    }
    if let Some((_, evidence)) = reports.iter().find(|(text, _)| text.contains("\\efi\\linux\\")) {
        return Some(Ok((BootLoader::UnifiedKernelImage, evidence.clone())));
    }
    if let Some(image) = image {
        return Some(Ok((BootLoader::Grub, format!("BOOT_IMAGE={image} is on the kernel's command line"))));
    }
    if let Some(other) = other {
        let message = format!(
            "vgapt does not edit the configuration of the boot loader that booted this host: BOOT_IMAGE={other} is on the kernel's command line as {} or LILO writes it, not as GRUB does",
            SYSLINUX.name
        );
        return Some(Err(Finding::error("boot-loader", message, (SYSLINUX.place)(setup))));
    }
    let unknown = reports.iter().find(|(text, _)| !is_fallback(text));
    unknown.map(|(_, evidence)| Err(uncertain(&format!("{evidence}, which vgapt does not support"))))
}

/// Whether a program has the fallback name `boot*.efi`, which does not identify a loader.
fn is_fallback(program: &str) -> bool {
    program.rsplit('\\').next().is_some_and(|name| name.starts_with("boot") && name.ends_with(".efi"))
}

/// Without other evidence, the files of exactly one boot loader are certain enough.
fn by_files(configured: &[&'static Loader]) -> Result<(BootLoader, String), Finding> {
    match configured {
        // kernelstub and ostree use another loader, whose files exist too.
        [loader] | [loader, ..] if configured.len() == 1 || matches!(loader.kind, BootLoader::Ostree | BootLoader::Kernelstub) => {
            Ok((loader.kind, format!("only the configuration files of {} exist", loader.name)))
        }
        [] => Err(uncertain("no boot loader's configuration was found")),
        several => {
            let names: Vec<&str> = several.iter().map(|loader| loader.name).collect();
            Err(uncertain(&format!(
                "the configuration files of {} exist, and the firmware does not report which one booted",
                names.join(" and ")
            )))
        }
    }
}

/// Who writes the loader's files: kernelstub or sdboot-manage write systemd-boot's, and a GRUB without a `grub.cfg` reads
/// the same entries as systemd-boot (grub2-bls).
fn owner(kind: BootLoader, setup: &Setup) -> Option<&'static Loader> {
    if kind == BootLoader::Grub && systemd_boot::owns_entries(setup) && !grub::is_generated(setup) {
        return Some(&systemd_boot::GRUB_OF_ENTRIES);
    }
    let kernelstub = of_kind(BootLoader::Kernelstub).filter(|loader| kind == BootLoader::SystemdBoot && (loader.configured)(setup));
    let manager = || (kind == BootLoader::SystemdBoot && sdboot_manage::configured(setup)).then_some(&sdboot_manage::SDBOOT_MANAGE);
    kernelstub.or_else(manager).or_else(|| of_kind(kind))
}

/// The command that regenerates what the next boot reads from the file with the command line, where that itself is not looked at: the
/// file may have been changed since.
pub fn regenerating(chosen: &Chosen, setup: &Setup) -> Option<Command> {
    match chosen.loader.kind {
        BootLoader::UnifiedKernelImage => Some(unified::rebuild(setup)),
        BootLoader::SystemdBoot => systemd_boot::copying(setup),
        _ => None,
    }
}

/// Entries that somebody wrote by hand and that lack what is needed: what is written for the others does not reach them.
pub(in crate::host::decide) fn by_hand(chosen: &Chosen, setup: &Setup, wants: &[ParameterChange]) -> Option<Finding> {
    let entries = chosen.loader.next_boot(setup);
    let default = default_entry(setup, &entries);
    if let Some((says, entry)) = default.and_then(|default| Some((default.says, default.entry.filter(|entry| entry.lacks_by_hand(wants))?)))
    {
        let lacking: Vec<ParameterChange> =
            wants.iter().filter(|want| !tokens::has_all(&entry.cmdline, std::slice::from_ref(*want))).cloned().collect();
        let (source, file, words) = (&entry.source, entry.by_hand.as_deref()?, tokens::with("", &lacking));
        return Some(Finding::error(
            "entry-by-hand",
            format!(
                "{says}, which is {source}: it is copied from {file} as it is, so what vgapt writes for the other entries does not reach it, and it lacks {words}"
            ),
            format!(
                "add {words} to its linux line in {file}, regenerate grub.cfg (update-grub, or grub-mkconfig -o), and run vgapt prepare again; or name another entry in /etc/default/grub"
            ),
        ));
    }
    let lacking = entries.iter().find(|entry| entry.lacks_by_hand(wants))?;
    let (source, file, words) = (&lacking.source, lacking.by_hand.as_deref()?, tokens::with("", wants));
    Some(Finding::warning(
        "entry-by-hand",
        format!("{source} is copied from {file} as it is, so a boot by it lacks {words}"),
        format!(
            "if you boot that entry: add {words} to its linux line in {file}, and regenerate grub.cfg (update-grub, or grub-mkconfig -o)"
        ),
    ))
}

/// The names of the initramfs images that are booted: those of the running kernel's command line, else of the loader's
/// entries; images of microcode left out.
pub(in crate::host::decide) fn booted_images(host: &Host, setup: &Setup) -> Vec<String> {
    let is_one = |name: &String| !name.is_empty() && !name.contains("ucode") && !name.contains("fallback");
    let names = |paths: Vec<String>| -> Vec<String> {
        paths.iter().map(|path| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()).filter(is_one).collect()
    };
    let line = host.platform.cmdline.clone().unwrap_or_default().0;
    let running = line.split_ascii_whitespace().filter_map(|token| token.strip_prefix("initrd=")).flat_map(|value| value.split(','));
    let running = names(running.map(str::to_owned).collect());
    if !running.is_empty() || setup.booted.stub.is_some() {
        return running;
    }
    chosen(host, setup).map_or_else(|_| Vec::new(), |chosen| names((chosen.loader.images)(setup)))
}

fn uncertain(what: &str) -> Finding {
    Finding::error(
        "boot-loader",
        format!("it is uncertain which boot loader's configuration needs the kernel parameters: {what}"),
        format!("add these kernel parameters to your boot loader's configuration: {PARAMETERS}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Booted, Cmdline, ConfigFile, ConfigFiles};

    /// The choice on a host where files of GRUB are left over.
    fn of(loader: Option<&str>, program: Option<&str>, stub: Option<&str>, cmdline: &str) -> Result<Chosen, Finding> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let booted = Booted { efi: true, loader: own(loader), program: own(program), stub: own(stub), ..Booted::default() };
        let file = |text: &str| ConfigFile { place: "/x".into(), mode: 0o644, text: Ok(text.into()) };
        let files = [
            ("/etc/default/grub".to_owned(), file("GRUB_CMDLINE_LINUX=\"\"\n")),
            ("/proc/mounts".to_owned(), file("zroot/ROOT/debian / zfs rw 0 0\n")),
        ];
        let setup = Setup { booted, files: ConfigFiles(files.into()), ..Setup::default() };
        let mut host = Host::default();
        host.platform.cmdline = Some(Cmdline(cmdline.to_owned()));
        chosen(&host, &setup)
    }

    #[test]
    fn an_unsupported_loader_counts_more_than_files_that_were_left() {
        let refind = "\\EFI\\refind\\refind_x64.efi";
        for (loader, program, stub, words) in [
            (Some("rEFInd 0.14.2"), Some(refind), None, ["rEFInd", "/boot/refind_linux.conf"]),
            (None, Some("\\EFI\\ZBM\\VMLINUZ.EFI"), None, ["ZFSBootMenu", "<parameters>\" zroot/ROOT/debian"]),
            (None, Some("\\EFI\\zbm\\vmlinuz.efi"), Some("systemd-stub 257.7"), ["ZFSBootMenu", "org.zfsbootmenu:commandline"]),
            (Some("Clover 5157"), None, None, ["Clover 5157", "to your boot loader's configuration: <parameters>"]),
            (None, Some("\\vmlinuz-linux"), None, ["\\vmlinuz-linux", "<parameters>"]),
            (None, Some("\\EFI\\syslinux\\syslinux.efi"), None, ["SYSLINUX", "APPEND line"]),
        ] {
            let finding = of(loader, program, stub, "root=1").expect_err("it is not GRUB");
            assert!(finding.message.contains(words[0]) && finding.remedy.contains(words[1]), "{finding:?}");
        }
        // SYSLINUX and LILO set `BOOT_IMAGE` too.
        for cmdline in [
            "BOOT_IMAGE=vmlinuz-lts root=1 initrd=initramfs-lts",
            "BOOT_IMAGE=/boot/vmlinuz root=1 initrd=/boot/initrd",
            "BOOT_IMAGE=Linux ro",
        ] {
            let finding = of(None, None, None, cmdline).expect_err("it is not GRUB");
            assert!(finding.message.contains("not as GRUB does") && finding.remedy.contains("APPEND line"), "{finding:?}");
        }
        // `BOOT_IMAGE` identifies GRUB even after another loader; a fallback name identifies nothing.
        for (loader, program, cmdline) in [
            (Some("rEFInd 0.14.2"), Some(refind), "BOOT_IMAGE=/vmlinuz root=1"),
            (None, Some("\\EFI\\BOOT\\BOOTX64.EFI"), "root=1"),
            (None, Some("\\EFI\\debian\\shimx64.efi"), "root=1"),
            (None, None, "root=1"),
        ] {
            assert_eq!(of(loader, program, None, cmdline).unwrap().loader.kind, BootLoader::Grub, "{program:?}");
        }
    }
}
