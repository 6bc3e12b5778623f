//! What setup proposes, from what was found; pure.

use std::cmp::Ordering;

use anyhow::Result;

use super::answers::Answers;
use super::found::{Found, IMAGES};
use crate::commands::shared::refused::Refused;
use crate::domain::{Cpus, Display, GpuChoice, Os, Profile};
use crate::model::{Finding, Size};
use crate::passthrough::{self, Assessment, Verdict};

/// The least memory that is proposed; an installer of Windows needs half of it.
const LEAST_MEMORY: Size = Size::from_mib(4 << 10);
/// The most memory that is proposed: enough for games.
const MOST_MEMORY: Size = Size::from_mib(16 << 10);
/// The size of a new disk.
pub(super) const DISK_SIZE: Size = Size::from_mib(100 << 10);

/// Every QEMU has VNC; those of RHEL 9 and Debian's without its recommended packages have no SPICE.
pub(super) const WINDOW: Display = Display::Vnc;

/// Answers every open question with its proposal.
///
/// # Errors
/// Where there is none: which card, where several are equal.
pub(super) fn complete(mut answers: Answers, found: &Found) -> Result<Answers> {
    if answers.request.gpu.is_empty() && answers.request.pci.is_empty() && answers.request.extras.mdev.is_empty() {
        let choice = passthrough::choose(&found.cards);
        let card = choice
            .card()
            .or(choice.sole())
            .ok_or_else(|| Refused::from(Finding::error("no-clear-choice", choice.because(), choice.remedy())))?;
        answers.request.gpu = vec![GpuChoice::At(card.address)];
    }
    let os = answers.request.os.clone().or_else(|| systems().into_iter().next()).unwrap_or_default();
    let name = answers.name.clone().unwrap_or_else(|| os.to_string());
    answers.request.os = Some(os);
    if answers.request.disk.is_empty() {
        answers.request.disk = vec![disk(&name)];
    }
    answers.request.memory = answers.request.memory.or_else(|| memory(found));
    answers.request.cpus = answers.request.cpus.or(Some(Cpus::Auto));
    let installs = !found.has(&answers.request.disk[0]);
    if answers.request.cdrom.is_none() && installs {
        answers.request.cdrom = only(&installers(found));
    }
    if answers.request.virtio_iso.is_none() && installs && answers.is_windows() {
        answers.request.virtio_iso = only(&drivers(found));
    }
    if !answers.has_input() {
        answers.request.extras.evdev.clone_from(&found.inputs);
    }
    if !answers.has_input() || needs_window(&answers, found) {
        answers.request.extras.display = answers.request.extras.display.or(Some(WINDOW));
    }
    answers.name = Some(name);
    Ok(answers)
}

/// The images that may be installers.
pub(super) fn installers(found: &Found) -> Vec<String> {
    found.discs.iter().filter(|path| !has_drivers(path)).cloned().collect()
}

/// The images with the virtio drivers for Windows.
pub(super) fn drivers(found: &Found) -> Vec<String> {
    found.discs.iter().filter(|path| has_drivers(path)).cloned().collect()
}

fn has_drivers(path: &str) -> bool {
    path.to_lowercase().rsplit('/').next().is_some_and(|name| name.contains("virtio"))
}

/// The proposal, if it is the only one: nobody is asked which of several.
fn only(paths: &[String]) -> Option<String> {
    if let [path] = paths { Some(path.clone()) } else { None }
}

/// From what the guest system is installed on its new disk, and what is missing for that.
pub(super) fn install(answers: &Answers, found: &Found, is_new: bool) -> String {
    let several = |paths: &[String]| if paths.len() > 1 { format!(" one of {}", paths.join(", ")) } else { String::new() };
    let request = &answers.request;
    let installer = match &request.cdrom {
        Some(path) => format!("from {path}"),
        None if is_new => {
            format!("nothing: the new disk is empty, and no installer is given; add --cdrom{}", several(&installers(found)))
        }
        None => return String::new(),
    };
    let drivers = match &request.virtio_iso {
        Some(path) => format!(", drivers from {path}"),
        None if answers.is_windows() => {
            format!("; without virtio-win.iso the installer of Windows shows no disk: add --virtio-iso{}", several(&drivers(found)))
        }
        None => String::new(),
    };
    installer + &drivers
}

/// The path of a new disk.
pub(super) fn disk(name: &str) -> String {
    format!("{IMAGES}/{name}.qcow2")
}

/// Half of the host's memory, in whole GiB.
pub(super) fn memory(found: &Found) -> Option<Size> {
    const GIB: u64 = 1 << 30;
    let half = Size::from_bytes(found.host.memory.total?.bytes() / 2 / GIB * GIB);
    Some(half.clamp(LEAST_MEMORY, MOST_MEMORY))
}

/// The systems in the order in which they are offered: Windows first, the newest first.
pub(super) fn systems() -> Vec<Os> {
    let mut names: Vec<&str> = Profile::names().collect();
    let version = |name: &str| name.trim_start_matches("win").parse::<f32>().ok();
    names.sort_by(|one, other| version(other).partial_cmp(&version(one)).unwrap_or(Ordering::Equal).then(one.cmp(other)));
    names.into_iter().map(Os::from).collect()
}

/// What a card means for the host, in a line.
pub(super) fn meaning(card: &Assessment) -> &'static str {
    match card.verdict {
        Verdict::Ready => "already reserved for guests",
        Verdict::Available => "the host keeps another display",
        Verdict::OnlyDisplay => "the host's only display",
        Verdict::Blocked => "blocked: the host uses other devices of its IOMMU group",
        Verdict::Reserved => "the firmware reserves memory for it, so it stays with the host",
        Verdict::Console => "the console of the management controller, stays with the host",
        Verdict::SharedOut => "shared out as virtual functions",
        Verdict::Unknown => "the IOMMU is off, so this is not certain",
    }
}

/// Whether passing these cards leaves the host without a display.
pub(super) fn is_only_display(answers: &Answers, found: &Found) -> bool {
    let is_passed = |card: &&Assessment| answers.request.gpu.contains(&GpuChoice::At(card.address));
    found.cards.iter().filter(is_passed).any(|card| !card.host_keeps_display)
}

/// Whether no monitor can be plugged into the passed cards.
pub(super) fn is_blind(answers: &Answers, found: &Found) -> bool {
    let is_passed = |card: &&Assessment| answers.request.gpu.contains(&GpuChoice::At(card.address));
    let has_none = |card: &Assessment| found.host.device(card.address).is_some_and(|device| !passthrough::has_outlets(device));
    let mut cards = found.cards.iter().filter(is_passed).peekable();
    cards.peek().is_some() && cards.all(has_none)
}

/// Whether the guest's picture would be nowhere.
pub(super) fn needs_window(answers: &Answers, found: &Found) -> bool {
    let extras = &answers.request.extras;
    extras.display.is_none() && extras.looking_glass.is_none() && is_blind(answers, found)
}

/// Whether the host shows no picture while the guest runs, so that only another machine can open a window.
fn is_dark(answers: &Answers, found: &Found) -> bool {
    answers.request.handover || is_only_display(answers, found)
}

/// What opens the guest's window.
pub(super) fn viewer(answers: &Answers, found: &Found, name: &str) -> String {
    if is_dark(answers, found) {
        format!("from another machine, virt-viewer -c qemu+ssh://HOST/system {name}")
    } else {
        format!("virt-viewer {name}, or virt-manager")
    }
}

/// Where the guest's picture will be.
pub(super) fn picture(answers: &Answers, found: &Found) -> &'static str {
    if answers.request.gpu.is_empty() {
        return if answers.has_window() {
            "in a window on this host, which virt-manager or virt-viewer opens"
        } else {
            "nowhere yet: there is no card; add --display vnc, or use a remote desktop"
        };
    }
    match (is_blind(answers, found), answers.has_window()) {
        (true, true) => "in a window on this host, which virt-manager or virt-viewer opens: the card has no outputs",
        (true, false) => "nowhere yet: the card has no outputs; add --display vnc, or use a remote desktop",
        (false, _) if answers.request.handover => "on the host's own monitor, which returns to the host when the guest ends",
        (false, true) if !is_dark(answers, found) => {
            "on a monitor that is plugged into the card, and in a window on this host, which virt-manager or virt-viewer opens"
        }
        (false, _) => "on a monitor that is plugged into the card",
    }
}
