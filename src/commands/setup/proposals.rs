//! What setup proposes, from what was found; pure.

use std::cmp::Ordering;

use anyhow::Result;

use super::answers::Answers;
use super::found::{Found, IMAGES};
use crate::commands::Context;
use crate::commands::shared::refused::Refused;
use crate::domain::{Cpus, Display, GpuChoice, Os, Profile};
use crate::model::{CardKind, Finding, PciAddress, Size};
use crate::passthrough::{self, Assessment, Verdict};
use crate::topology::{CoreKinds, Count, PinningRequest, pin};

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
pub(super) fn complete(context: &Context, mut answers: Answers, found: &Found) -> Result<Answers> {
    let os = answers.request.os.clone().or_else(|| systems().into_iter().next()).unwrap_or_default();
    let name = answers.name.clone().unwrap_or_else(|| os.to_string());
    let existing = Found::domain(context, &name)?;
    if let Some(existing) = &existing {
        answers = answers.of_existing(&name, existing);
    }
    if answers.lacks_card() {
        answers.request.gpu = vec![GpuChoice::At(card(found)?)];
    }
    if existing.is_some() {
        return Ok(answers);
    }
    answers.request.os = Some(os);
    if answers.request.disk.is_empty() {
        answers.request.disk = vec![disk(&name)];
    }
    answers.request.memory = answers.request.memory.or_else(|| memory(found));
    answers.request.cpus = answers.request.cpus.or_else(|| Some(cpus(found)));
    let installs = !found.has(&answers.request.disk[0]);
    if answers.request.cdrom.is_none() && installs && !answers.request.without.no_cdrom {
        answers.request.cdrom = only(&installers(found));
    }
    if answers.request.virtio_iso.is_none() && installs && answers.is_windows() && !answers.request.without.no_virtio_iso {
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

/// The card that is clearly the best choice.
pub(super) fn card(found: &Found) -> Result<PciAddress> {
    let choice = passthrough::choose(&found.cards);
    let card = choice.card().or(choice.sole());
    let none = || Refused::from(Finding::error("no-clear-choice", choice.because(), choice.remedy())).into();
    card.map(|card| card.address).ok_or_else(none)
}

/// The cards that a guest can have, or could if the host did without; discrete ones first.
pub(super) fn cards(found: &Found) -> Vec<&Assessment> {
    let is_physical = |card: &&Assessment| matches!(card.kind, CardKind::Discrete | CardKind::Integrated);
    let can_go = |card: &&Assessment| match card.verdict {
        Verdict::Ready | Verdict::Available | Verdict::OnlyDisplay | Verdict::Unknown => true,
        Verdict::Blocked | Verdict::Reserved | Verdict::Console | Verdict::SharedOut => false,
    };
    let mut cards: Vec<&Assessment> = found.cards.iter().filter(is_physical).filter(can_go).collect();
    cards.sort_by_key(|card| (card.kind != CardKind::Discrete, card.address));
    cards
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

/// What the installation on a new disk lacks; `is_told`: the domain's summary says that the installer needs a driver.
pub(super) fn lacking(answers: &Answers, found: &Found, is_new: bool, is_told: bool) -> Vec<Finding> {
    let request = &answers.request;
    let one_of = |option: &str, paths: &[String]| match paths {
        [] => format!("add {option} with its path"),
        paths => format!("add {option}, with one of {}", paths.join(", ")),
    };
    let (installers, drivers) = (installers(found), drivers(found));
    let installer = (request.cdrom.is_none() && is_new).then(|| {
        let message = "no installer is given, and the new disk is empty";
        Finding::warning("no-installer", message, one_of("--cdrom", &installers))
    });
    let is_needed = request.virtio_iso.is_none() && is_new && answers.is_windows() && !(is_told && drivers.is_empty());
    let drivers = is_needed.then(|| {
        let message = "the installer of Windows shows no disk without the drivers in virtio-win.iso";
        Finding::warning("no-drivers", message, one_of("--virtio-iso", &drivers))
    });
    installer.into_iter().chain(drivers).collect()
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

/// As many processors as one L3 cache of the host can provide; where that cannot be told, vgapt's default, and one is left for the
/// host.
pub(super) fn cpus(found: &Found) -> Cpus {
    const DEFAULT: u32 = 4;
    let topology = &found.host.topology;
    let demand = PinningRequest { count: Count::Auto, kinds: CoreKinds::default(), node: None };
    match (pin(topology, &demand), u32::try_from(topology.online.0.len())) {
        (Ok(_), _) => Cpus::Auto,
        (Err(_), Ok(there @ 1..)) => Cpus::Count((there - 1).clamp(1, DEFAULT)),
        (Err(_), _) => Cpus::Count(DEFAULT),
    }
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

/// The cards that are passed, by whichever of their functions they are named.
fn passed<'f>(answers: &Answers, found: &'f Found) -> impl Iterator<Item = &'f Assessment> {
    let is_named = |function: &PciAddress| answers.request.gpu.contains(&GpuChoice::At(*function));
    found.cards.iter().filter(move |card| card.functions.iter().any(is_named))
}

/// Whether passing these cards leaves the host without a display.
pub(super) fn is_only_display(answers: &Answers, found: &Found) -> bool {
    passed(answers, found).any(|card| !card.host_keeps_display)
}

/// Whether no monitor can be plugged into a passed card.
fn is_blind(answers: &Answers, found: &Found) -> bool {
    let has_none = |card: &Assessment| found.host.device(card.address).is_some_and(|device| !passthrough::has_outlets(device));
    passed(answers, found).all(has_none)
}

/// Whether the guest's picture would be nowhere.
pub(super) fn needs_window(answers: &Answers, found: &Found) -> bool {
    let extras = &answers.request.extras;
    extras.display.is_none() && extras.looking_glass.is_none() && is_blind(answers, found)
}
