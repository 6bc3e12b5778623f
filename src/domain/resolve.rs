//! From what is asked for, what was asked for last, the domain as it is and the host: what is to be
//! written, and what speaks against it.

use std::path::Path;

use super::attach;
use super::cells;
use super::checks;
use super::disks::stated_format;
use super::firmware::firmware;
use super::hostdevs::pci_hostdevs;
use super::present::present;
use super::remember::{settings, wrote};
use super::spec::{Cdrom, Disk, Slot, Spec};
use super::tuning::{self, Question};
use super::{Cpus, DiskCache, GpuChoice, Passed, Profile, Record, Request, alias, by_hand, multifunction, owned};
use crate::model::{Card, Files, Finding, Host, Libvirt, PciAddress, Uri, format_by_name, shell_word};
use crate::passthrough::{assess, choose};
use crate::xml::{Document, Element};

/// What a definition starts from.
#[derive(Debug)]
pub struct Base {
    /// The template, or the domain as it is.
    pub domain: Document,
    /// Whether the domain is made anew; else it is there, and what it has is kept.
    pub is_new: bool,
    /// Its name.
    pub name: String,
    /// The UUID that a domain made anew under its name keeps.
    pub uuid: Option<String>,
    /// The guest system that a domain made anew is for, where it is made from a template of vgapt's
    /// or the system was named.
    pub profile: Option<&'static Profile>,
    /// What it is for.
    pub purpose: Purpose,
    /// The libvirt that it is for, as the remedies name it.
    pub uri: String,
    /// What the metadata remembers.
    pub last: Option<Record>,
    /// Why that cannot be read; then nothing may be written.
    pub unreadable: Option<String>,
    /// What the domain is to have: the request over the last one.
    pub wanted: Request,
}

/// What a definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A domain of vgapt's.
    Define,
    /// Devices for a domain of somebody else's.
    Attach,
    /// These out again.
    Detach,
}

/// What is to be written, and what speaks against it.
#[derive(Debug)]
pub struct Resolved {
    /// What is to be written.
    pub spec: Spec,
    /// What speaks against it, and what is good to know.
    pub findings: Vec<Finding>,
}

impl Base {
    /// A base, with the request laid over what was asked for last. The guide's variables count
    /// where nothing was asked for yet.
    pub fn new(domain: Document, is_new: bool, name: &str, given: &Request, variables: &Request) -> Self {
        let record = Record::of(&domain);
        let unreadable = record.unknown().map(str::to_owned);
        let last = record.known();
        let before = last.as_ref().map_or(variables, |record| &record.request);
        let wanted = before.overlaid_by(given);
        Self {
            domain,
            is_new,
            name: name.to_owned(),
            uuid: None,
            profile: None,
            purpose: Purpose::Define,
            uri: Uri::DEFAULT.to_owned(),
            last,
            unreadable,
            wanted,
        }
    }

    /// Whether the domain is there and somebody else made it: what vgapt puts in can be taken out again.
    pub(super) fn is_foreign(&self) -> bool {
        self.last.as_ref().map_or(!self.is_new, |last| last.attached)
    }

    /// Whether an option says another thing than the last request did.
    pub(super) fn differs<T: PartialEq>(&self, option: impl Fn(&Request) -> T) -> bool {
        let last = self.last.as_ref().map_or_else(|| option(&Request::default()), |record| option(&record.request));
        option(&self.wanted) != last
    }
}

/// Decides.
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
        forgets: false,
        record: Record::default(),
    };
    further(base, &wanted, host, &mut spec);
    let mut passed = remembered(base, alias::GPU, cards_differ, &cards, host);
    passed.extend(remembered(base, alias::PCI, functions_differ, &functions, host));
    let of_functions = checks::of_functions(&passed, host, &files.uses).into_iter();
    // What was decided once is not asked again; a display that is handed over comes back.
    let is_decided = |code: &str| match code {
        "default-route" | "last-keyboard" | "host-function" => !cards_differ && !functions_differ,
        "only-display" => wanted.handover,
        _ => false,
    };
    findings.extend(of_functions.filter(|finding| !is_decided(finding.code)));
    let functions = passed.iter().map(|passed| passed.address).collect();
    findings.extend(tuning::decide(&Question { base, wanted: &wanted, host, libvirt, passed: functions }, &mut spec));
    if let (Some(Cpus::Auto), Some(processors)) = (wanted.cpus, spec.cpus) {
        wanted.cpus = Some(Cpus::Count(processors.count));
    }
    findings.extend(checks::of_guest(base, &spec));
    findings.extend(of_cells(base, &spec));
    findings.extend(checks::of_request(base, &wanted, &spec, host, files));
    wanted.without = super::request::Without::default();
    spec.record = Record { request: wanted, passed, wrote: wrote(base, &spec), settings: settings(base, &spec), ..Record::default() };
    spec.record.wrote.extend(multifunction::remembered(base, &spec));
    spec.record.wrote.extend(by_hand::remembered(base, &spec));
    attach::decide(base, &mut spec);
    Resolved { spec, findings }
}

/// What there is to say of a base, whatever is asked for.
fn of_base(base: &Base) -> Vec<Finding> {
    let mut findings: Vec<Finding> = base.unreadable.iter().map(|because| super::record::unreadable(&base.name, because)).collect();
    if base.purpose == Purpose::Define && !base.is_new && base.last.is_none() && base.unreadable.is_none() {
        findings.push(Finding::warning(
            "not-defined-by-vgapt",
            format!("'{}' was not defined by vgapt: what is asked for is changed, and all else is left", base.name),
            format!("vgapt detach {} takes the devices out again, and vgapt's record of the domain", shell_word(&base.name)),
        ));
    }
    findings
}

/// What the NUMA cells of the domain cannot have of what is asked for.
fn of_cells(base: &Base, spec: &Spec) -> Vec<Finding> {
    let root = base.domain.root();
    let memory = spec.memory.and_then(|memory| Some((memory, cells::memory(root, memory).err()?))).map(|(memory, why)| {
        let message = format!("the domain cannot have {memory}: {why}");
        Finding::fatal("memory-does-not-fit", message, "ask for another amount with --memory, or change that first: virsh edit")
    });
    let cpus = spec.cpus.and_then(|cpus| Some((cpus.count, cells::cpus(root, cpus.count).err()?))).map(|(count, why)| {
        let message = format!("the domain cannot have {count} processors: {why}");
        Finding::fatal("cpus-do-not-fit", message, "ask for more with --cpus, or take cells out first: virsh edit")
    });
    memory.into_iter().chain(cpus).collect()
}

/// The devices that are not the host's own hardware.
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

/// The cards that are asked for, each with all that belongs to it; `auto` becomes an address.
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
        findings.push(Finding::fatal("no-clear-choice", format!("--gpu auto: {}", choice.because()), choice.remedy()));
    }
    choice.card().and_then(|card| Card::with(host, card.address))
}

fn card_at(host: &Host, address: PciAddress, findings: &mut Vec<Finding>) -> Option<Card> {
    let card = Card::with(host, address);
    if card.is_none() {
        let known: Vec<String> = Card::all(host).iter().map(|card| card.address.short()).collect();
        let known = if known.is_empty() { "there is none here".to_owned() } else { format!("the cards here are {}", known.join(", ")) };
        findings.push(match host.device(address) {
            Some(device) => Finding::fatal(
                "no-graphics-card",
                format!("{} is no graphics card but {} ({})", address.short(), device.label(), device.class.noun()),
                format!("pass it with --pci {}; {known}", address.short()),
            ),
            None => Finding::fatal(
                "no-such-device",
                format!("there is no PCI function {}", address.short()),
                format!("see `vgapt list`; {known}"),
            ),
        });
    }
    card
}

/// Functions that share a slot of the host share one of the guest; those of the cards are left out.
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

/// The functions of a kind with what they are: as the host shows them now where they are asked for
/// anew, else as they were when they were passed.
fn remembered(base: &Base, prefix: &str, differ: bool, slots: &[Slot], host: &Host) -> Vec<Passed> {
    if differ {
        return slots.iter().flat_map(|slot| &slot.functions).map(|function| passed(*function, host)).collect();
    }
    let last = base.last.as_ref();
    let known = |address: PciAddress| last.and_then(|last| last.passed.iter().position(|passed| passed.address == address));
    // Those that were there by hand have no alias of vgapt's.
    let is_of_kind = |address: &PciAddress| last.is_some_and(|last| last.request.pci.contains(address)) == (prefix == alias::PCI);
    let by_hand = |address: PciAddress| last.is_some_and(|last| by_hand::is_by_hand(last, address)) && is_of_kind(&address);
    let own = |hostdev: Element<'_>, address| match alias::of(hostdev).filter(|name| name.starts_with(alias::OURS)) {
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

/// The disks that are to be written: where they are asked for anew those of the request, where only
/// their format is those that the domain has now.
fn disks(base: &Base, wanted: &Request, files: &Files) -> Option<Vec<Disk>> {
    if base.differs(|request| request.disk.clone()) {
        return Some(wanted.disk.iter().map(|path| disk(path, base, wanted, files)).collect());
    }
    let format_differs = wanted.extras.disk_format.is_some() && base.differs(|request| request.extras.disk_format);
    let now = format_differs.then(|| present(&base.domain, wanted).0.disk)?;
    // One that somebody took out, or gave another kind of source, is not put back by the way.
    (now.len() == wanted.disk.len()).then(|| now.iter().map(|path| disk(path, base, wanted, files)).collect())
}

/// A disk, with its format: what is stated now, else what the domain states, else raw for a device
/// and what its name says so of, else what its content looks like. `checks::files::disk` tells where
/// name and content disagree.
fn disk(path: &str, base: &Base, wanted: &Request, files: &Files) -> Disk {
    let stated = wanted.extras.disk_format.map(|format| format.word().to_owned());
    let stated = stated.or_else(|| stated_format(base.domain.root(), path));
    let is_device = path.starts_with("/dev/");
    let by_name = if is_device { Some("raw") } else { format_by_name(Path::new(path)) };
    // Encrypted or not, libvirt has the bytes of LUKS as raw.
    let by_content = files.of(path).and_then(|facts| facts.format.as_deref()).map(|format| if format == "luks" { "raw" } else { format });
    let concluded = match (by_name, by_content) {
        (Some("raw"), _) => "raw",
        (_, Some(content)) => content,
        // A name that says nothing: the guide's format.
        (by_name, None) => by_name.unwrap_or("qcow2"),
    };
    // A device has no page cache of a file system's before it; a file's is the guide's.
    let usual = if is_device { DiskCache::None } else { DiskCache::Writeback };
    let cache = wanted.extras.disk_cache.unwrap_or(usual);
    Disk { path: path.to_owned(), cache, is_stated: stated.is_some(), format: stated.unwrap_or_else(|| concluded.to_owned()) }
}
