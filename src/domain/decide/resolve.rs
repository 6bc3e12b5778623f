//! Decides what to write into a domain, from the request, the last request, the present domain and the host, and
//! reports problems.

use super::disks::disks;
use super::firmware::firmware;
use super::tuning::decide as tuning;
use super::tuning::question::TuningInput;
use super::{attach, checks, owned, remember};
use crate::domain::alias;
use crate::domain::base::{Base, Purpose};
use crate::domain::record::{Passed, Record, unreadable};
use crate::domain::request::Request;
use crate::domain::request::cpus::Cpus;
use crate::domain::request::gpu::GpuChoice;
use crate::domain::request::without::Without;
use crate::domain::spec::{Cdrom, Slot, Spec};
use crate::domain::write::cells;
use crate::domain_xml::{alias_of, pci_hostdevs};
use crate::model::{Card, Files, Finding, Host, Libvirt, PciAddress, shell_word};
use crate::passthrough::{assess, choose};
use crate::xml::Element;

/// What to write, and the problems that were found.
#[derive(Debug)]
pub struct Resolved {
    /// What to write.
    pub spec: Spec,
    /// Blockers and warnings.
    pub findings: Vec<Finding>,
}

/// Decides what to write and reports problems.
pub fn resolve(base: &Base, host: &Host, files: &Files, libvirt: &Libvirt) -> Resolved {
    let mut findings = of_base(base);
    let mut wanted = base.wanted.clone();
    let cards = cards(&mut wanted, host, &mut findings);
    let functions = by_slot(&wanted.pci, &cards);
    let cards_differ = base
        .last
        .as_ref()
        .map_or(!wanted.gpu.is_empty(), |last| last.request.gpu != wanted.gpu || last.request.gpu_audio != wanted.gpu_audio);
    let functions_differ = base.differs(|request| request.pci.clone());
    let usb_differ = base.differs(Request::usb_ids);
    let firmware = firmware(base, files, &mut findings);
    let cdrom =
        |alias, unit, image: fn(&Request) -> Option<String>| base.differs(image).then(|| Cdrom { alias, unit, image: image(&wanted) });
    let mut spec = Spec {
        name: base.name.clone(),
        uuid: base.uuid.clone(),
        memory: wanted.memory.filter(|_| base.differs(|request| request.memory)),
        cpus: None,
        placed: None,
        hugepages: base.differs(|request| request.hugepages).then_some(wanted.hugepages),
        emulator: wanted.emulator.clone().filter(|_| base.differs(|request| request.emulator.clone())),
        firmware,
        disks: disks(base, &wanted, files),
        cdroms: [cdrom("install", 0, |request| request.cdrom.clone()), cdrom("virtio", 1, |request| request.virtio_iso.clone())]
            .into_iter()
            .flatten()
            .collect(),
        cards: cards_differ.then(|| cards.clone()),
        functions: functions_differ.then(|| functions.clone()),
        usb: usb_differ.then(|| wanted.usb_ids()),
        owned: Vec::new(),
        rom: None,
        changes: Vec::new(),
        replacements: Vec::new(),
        removes_record: false,
        record: Record::default(),
    };
    further(base, &wanted, host, &mut spec);
    let mut passed = remembered(base, alias::GPU, cards_differ, &cards, host);
    passed.extend(remembered(base, alias::PCI, functions_differ, &functions, host));
    let of_functions = checks::devices::of_functions(&passed, host, &files.uses).into_iter();
    // Do not report again what the user accepted with an earlier request; a display that is handed over is returned.
    let is_decided = |code: &str| match code {
        "default-route" | "last-keyboard" | "host-function" => !cards_differ && !functions_differ,
        "only-display" => wanted.handover,
        _ => false,
    };
    findings.extend(of_functions.filter(|finding| !is_decided(finding.code)));
    let functions = passed.iter().map(|passed| passed.address).collect();
    findings.extend(tuning::decide(&TuningInput { base, wanted: &wanted, host, libvirt, passed: functions }, &mut spec));
    if let (Some(Cpus::Auto), Some(processors)) = (wanted.cpus, spec.cpus) {
        wanted.cpus = Some(Cpus::Count(processors.count));
    }
    findings.extend(checks::guest::of_guest(base, &spec));
    findings.extend(of_cells(base, &spec));
    findings.extend(checks::request::of_request(base, &wanted, &spec, host, files));
    wanted.without = Without::default();
    spec.record = Record {
        request: wanted,
        passed,
        wrote: remember::wrote(base, &spec),
        settings: remember::settings(base, &spec),
        ..Record::default()
    };
    spec.record.wrote.extend(remember::single_functions(base, &spec));
    spec.record.wrote.extend(remember::by_hand(base, &spec));
    attach::decide(base, &mut spec);
    Resolved { spec, findings }
}

/// Findings about the base that do not depend on the request.
fn of_base(base: &Base) -> Vec<Finding> {
    let mut findings: Vec<Finding> = base.unreadable.iter().map(|because| unreadable(&base.name, because)).collect();
    if base.purpose == Purpose::Define && !base.is_new && base.last.is_none() && base.unreadable.is_none() {
        findings.push(Finding::warning(
            "not-defined-by-vgapt",
            format!("'{}' was not defined by vgapt: only what is requested is changed", base.name),
            format!("vgapt detach {} removes the devices and vgapt's record of the domain again", shell_word(&base.name)),
        ));
    }
    findings
}

/// Errors for memory and vCPUs that do not fit the NUMA cells of the domain.
fn of_cells(base: &Base, spec: &Spec) -> Vec<Finding> {
    let root = base.domain.root();
    let memory = spec.memory.and_then(|memory| Some((memory, cells::memory(root, memory).err()?))).map(|(memory, why)| {
        let message = format!("the domain cannot have {memory}: {why}");
        Finding::error("memory-does-not-fit", message, "use another amount with --memory, or change that first: virsh edit")
    });
    let cpus = spec.cpus.and_then(|cpus| Some((cpus.count, cells::cpus(root, cpus.count).err()?))).map(|(count, why)| {
        let message = format!("the domain cannot have {count} processors: {why}");
        Finding::error("cpus-do-not-fit", message, "use more with --cpus, or remove cells first: virsh edit")
    });
    memory.into_iter().chain(cpus).collect()
}

/// The devices other than passed hardware.
fn further(base: &Base, wanted: &Request, host: &Host, spec: &mut Spec) {
    let now = owned::all(&wanted.extras);
    let before = owned::all(&base.last.as_ref().map(|last| last.request.extras.clone()).unwrap_or_default());
    spec.owned = now.into_iter().zip(before).filter(|(now, before)| now != before).map(|(now, _)| now).collect();
    let network = wanted.extras.network.as_ref().filter(|_| base.differs(|request| request.extras.network.clone()));
    spec.owned.extend(network.map(owned::network));
    if base.differs(|request| (request.extras.rom.clone(), request.gpu.clone())) {
        let card = wanted.gpu.iter().find_map(|choice| match choice {
            GpuChoice::At(address) => Some(Card::with(host, *address).map_or(*address, |card| card.address)),
            GpuChoice::Auto => None,
        });
        spec.rom = card.map(|card| (card, wanted.extras.rom.clone()));
    }
}

/// The requested cards, each with all of its functions; `auto` becomes an address.
fn cards(wanted: &mut Request, host: &Host, findings: &mut Vec<Finding>) -> Vec<Slot> {
    let mut slots = Vec::new();
    for choice in &mut wanted.gpu {
        let card = match choice {
            GpuChoice::Auto => auto(host, findings),
            GpuChoice::At(address) => card_at(host, *address, findings),
        };
        if let Some(card) = card {
            *choice = GpuChoice::At(card.address);
            slots.push(Slot { functions: card.functions });
        }
    }
    let own_audio = wanted.gpu_audio.filter(|audio| !slots.iter().any(|slot| slot.functions.contains(audio)));
    if let (Some(audio), Some(first)) = (own_audio, slots.first_mut()) {
        first.functions.push(audio);
    }
    slots
}

fn auto(host: &Host, findings: &mut Vec<Finding>) -> Option<Card> {
    let cards = assess(host);
    let choice = choose(&cards);
    if choice.card().is_none() {
        findings.push(Finding::error("no-clear-choice", format!("--gpu auto: {}", choice.because()), choice.remedy()));
    }
    choice.card().and_then(|card| Card::with(host, card.address))
}

fn card_at(host: &Host, address: PciAddress, findings: &mut Vec<Finding>) -> Option<Card> {
    let card = Card::with(host, address);
    if card.is_none() {
        let known: Vec<String> = Card::all(host).iter().map(|card| card.address.short()).collect();
        let known = if known.is_empty() {
            "this host has no graphics cards".to_owned()
        } else {
            format!("the graphics cards of this host are {}", known.join(", "))
        };
        findings.push(match host.device(address) {
            Some(device) => Finding::error(
                "no-graphics-card",
                format!("{} is not a graphics card but {} ({})", address.short(), device.label(), device.class.noun()),
                format!("use --pci {} to pass it through; {known}", address.short()),
            ),
            None => Finding::error(
                "no-such-device",
                format!("PCI function {} does not exist", address.short()),
                format!("run `vgapt list`; {known}"),
            ),
        });
    }
    card
}

/// Groups functions that share a slot of the host, so that they share one of the guest; functions of the cards are skipped.
fn by_slot(functions: &[PciAddress], cards: &[Slot]) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    for function in functions.iter().filter(|function| !cards.iter().any(|card| card.functions.contains(function))) {
        match slots.iter_mut().find(|slot| slot.functions.iter().any(|other| other.same_slot(*function))) {
            Some(slot) if slot.functions.contains(function) => {}
            Some(slot) => {
                slot.functions.push(*function);
                slot.functions.sort_unstable();
            }
            None => slots.push(Slot { functions: vec![*function] }),
        }
    }
    slots
}

/// The functions of a kind with their ids: the present ids if the request changes them, else the ids they had when
/// they were passed.
fn remembered(base: &Base, prefix: &str, differ: bool, slots: &[Slot], host: &Host) -> Vec<Passed> {
    if differ {
        return slots.iter().flat_map(|slot| &slot.functions).map(|function| passed(*function, host)).collect();
    }
    let last = base.last.as_ref();
    let known = |address: PciAddress| last.and_then(|last| last.passed.iter().position(|passed| passed.address == address));
    // Functions that were passed manually have no alias of vgapt's.
    let is_of_kind = |address: &PciAddress| last.is_some_and(|last| last.request.pci.contains(address)) == (prefix == alias::PCI);
    let by_hand = |address: PciAddress| last.is_some_and(|last| last.was_by_hand(address)) && is_of_kind(&address);
    let own = |hostdev: Element<'_>, address| match alias_of(hostdev).filter(|name| name.starts_with(alias::OURS)) {
        Some(name) => name.starts_with(prefix),
        None => by_hand(address),
    };
    let hostdevs = pci_hostdevs(base.domain.root()).filter(|(hostdev, address)| own(*hostdev, *address));
    let mut functions: Vec<PciAddress> = hostdevs.map(|(_, address)| address).collect();
    functions.sort_by_key(|address| known(*address).unwrap_or(usize::MAX));
    let was = |address| last.and_then(|last| last.passed.get(known(address)?).copied());
    functions.into_iter().map(|address| was(address).unwrap_or_else(|| passed(address, host))).collect()
}

fn passed(address: PciAddress, host: &Host) -> Passed {
    let device = host.device(address);
    Passed { address, id: device.map(|device| device.id), subsystem: device.and_then(|device| device.subsystem) }
}
