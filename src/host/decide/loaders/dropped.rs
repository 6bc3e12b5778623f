//! What entries that are made anew would lack, and this boot needs to find its root file system: somebody has written it into the
//! generated entry only, or has written the file that it is made from anew.

use super::choose::Chosen;
use super::{bls, grub, systemd_boot, unified};
use crate::host::text::shell;
use crate::model::{BootLoader, Finding, Host, Setup, kernel_part};

/// Parameters by which an initramfs finds and opens the root file system, and what begins with their name and a dot (dracut.cmdline(7),
/// systemd-cryptsetup-generator(8), mkinitcpio's and genkernel's hooks).
const OF_ROOT: [&str; 12] =
    ["root", "rootflags", "cryptdevice", "cryptkey", "rd.luks", "luks", "rd.lvm", "rd.md", "zfs", "crypt_root", "real_root", "netroot"];
/// Those that a tool finds out by itself.
const FOUND_BY_GRUB: [&str; 3] = ["root", "rootflags", "zfs"];
const FOUND_BY_SDBOOTUTIL: [&str; 1] = ["rootflags"];

/// A refusal, where entries that are made anew would lack one of them.
pub(in crate::host::decide) fn dropped(chosen: &Chosen, host: &Host, setup: &Setup) -> Option<Finding> {
    let (path, text, by_tool) = source(chosen, setup)?;
    let has = |name: &str| text.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| words(line).any(|word| word == name));
    let is_needed =
        |name: &str| OF_ROOT.iter().any(|of_root| name.strip_prefix(of_root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
    let running = host.platform.cmdline.as_ref()?;
    let name = |token: &&str| token.split('=').next().unwrap_or_default().to_owned();
    let lost =
        running.parameters().filter(|token| is_needed(&name(token)) && !by_tool.contains(&name(token).as_str()) && !has(&name(token)));
    let lost: Vec<&str> = lost.collect();
    (!lost.is_empty()).then(|| {
        let lost = lost.join(" ");
        let message =
            format!("this boot has {lost}, which {path} lacks: entries that are made from it could not open the root file system");
        Finding::error("entries-would-lack", message, format!("add {lost} to {path}, and run vgapt prepare again"))
    })
}

/// The file from which the entries' whole command lines are made, its text, and which parameters need not be in it.
fn source(chosen: &Chosen, setup: &Setup) -> Option<(String, String, &'static [&'static str])> {
    let made_from = (chosen.loader.made_from)(setup).first().copied();
    match chosen.loader.kind {
        BootLoader::UnifiedKernelImage => {
            let entry = unified::next(setup).into_iter().next()?;
            Some((entry.source, entry.cmdline, &[]))
        }
        BootLoader::Grub if made_from == Some(grub::DEFAULTS) => Some((grub::DEFAULTS.to_owned(), grub_texts(setup)?, &FOUND_BY_GRUB)),
        BootLoader::SystemdBoot | BootLoader::Grub if made_from == Some(bls::NEW_KERNELS) => {
            let by_tool: &[&str] = if systemd_boot::owns_entries(setup) { &FOUND_BY_SDBOOTUTIL } else { &[] };
            Some((bls::NEW_KERNELS.to_owned(), setup.files.text(bls::NEW_KERNELS)?.to_owned(), by_tool))
        }
        BootLoader::Limine => made_from.and_then(|path| Some((path.to_owned(), setup.files.text(path)?.to_owned(), &[][..]))),
        _ => None,
    }
}

/// All that GRUB's defaults say; none where a command makes some of it.
fn grub_texts(setup: &Setup) -> Option<String> {
    let texts = setup.files.texts_lossy(grub::MORE_DEFAULTS, ".cfg").map(|(_, text)| text);
    let texts: Vec<&str> = setup.files.text_lossy(grub::DEFAULTS).into_iter().chain(texts).collect();
    let is_made = |text: &&str| {
        let all = [grub::ALL_ENTRIES, grub::NORMAL_ENTRIES].map(|name| shell::assignments(text, name));
        all.iter().flatten().any(|value| ["$(", "`"].iter().any(|sign| text[value.inside.clone()].contains(sign)))
    };
    (!texts.iter().any(is_made)).then(|| texts.join("\n"))
}

/// The names of the parameters in a line, and more words: a name may follow that of a variable.
fn words(line: &str) -> impl Iterator<Item = &str> {
    kernel_part(line).split(|letter: char| letter.is_whitespace() || "\"'=".contains(letter))
}
