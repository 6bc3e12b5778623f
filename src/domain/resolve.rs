//! Decides what to write into a domain, from the request, the last request, the present domain and the host; makes the edits;
//! and reports problems.

use super::alias;
use super::base::{Base, Purpose};
use super::decide::checks;
use super::decide::checks::devices::PassedTo;
use super::decide::firmware::firmware;
use super::decide::functions::{by_slot, cards, passed, ways};
use super::decide::moved;
use super::decide::tuning::decide::decide as tuning;
use super::decide::tuning::question::TuningInput;
use super::edit::{Change, Edit, Part};
use super::record::{Passed, Record, unreadable};
use super::request::Request;
use super::request::cpus::Cpus;
use super::request::gpu::GpuChoice;
use super::request::without::Without;
use super::spec::{Cdrom, Processors, Spec};
use super::write::apply::Draft;
use super::write::{balloon, basics, devices, disks, hostdevs, window};
use crate::model::{Card, Files, Finding, Host, Libvirt, PciAddress, Size, shell_word};
use crate::passthrough::record_again;

/// What to write, and the problems that were found.
#[derive(Debug)]
pub struct Resolved {
    /// What to write.
    pub spec: Spec,
    /// Blockers and warnings.
    pub findings: Vec<Finding>,
}

/// Decides what to write, makes the edits, and reports problems.
pub fn resolve(base: &Base, host: &Host, files: &Files, libvirt: &Libvirt) -> Resolved {
    let mut findings = of_base(base);
    let mut wanted = base.wanted.clone();
    if base.follows_moved {
        moved::follow(&mut wanted, base, host, &mut findings);
    }
    // What the record has and is no longer there has moved: the check of the functions says so, and what to do.
    let gone = |address: PciAddress| {
        let passed = base.last.iter().flat_map(|last| &last.passed).find(|passed| passed.address == address);
        passed.is_some_and(|passed| passed.id.is_some() && !passed.recorded().is_there(host))
    };
    let is_kept = base.last.as_ref().is_some_and(|last| last.request.gpu == wanted.gpu);
    let cards = cards(&mut wanted, host, &mut findings, &|address| is_kept && gone(address));
    let addresses: Vec<PciAddress> = wanted.pci.iter().map(|choice| choice.address).collect();
    let functions = by_slot(&addresses, &cards);
    let ways = ways(&wanted, cards.iter().chain(&functions), host, &mut findings);
    let cards_differ = base
        .last
        .as_ref()
        .map_or(!wanted.gpu.is_empty(), |last| last.request.gpu != wanted.gpu || last.request.gpu_audio != wanted.gpu_audio);
    let functions_differ = base.differs(|request| request.pci.clone());
    let firmware = firmware(base, files, &mut findings);
    let mut assigned = passed(base, alias::GPU, cards_differ, &cards, host);
    assigned.extend(passed(base, alias::PCI, functions_differ, &functions, host));
    let of_functions = {
        // Their groups are recorded as they are now.
        let assigned = PassedTo { name: &base.name, passed: &assigned, groups: &[] };
        checks::devices::of_functions(&assigned, host, &files.uses).into_iter()
    };
    // Do not report again what the user accepted with an earlier request; a display that is handed over is returned.
    let is_decided = |code: &str| match code {
        "disk-use-unknown" | "default-route" | "last-keyboard" | "host-function" => !cards_differ && !functions_differ,
        "only-display" => wanted.handover,
        _ => false,
    };
    findings.extend(of_functions.filter(|finding| !is_decided(finding.code)));
    let addresses: Vec<PciAddress> = assigned.iter().map(|passed| passed.address).collect();
    let last_groups = base.last.as_ref().map(|last| last.groups.as_slice()).unwrap_or_default();
    let groups = record_again(last_groups, host, &addresses);
    let tuned = tuning(&TuningInput { base, wanted: &wanted, host, libvirt, passed: addresses });
    findings.extend(tuned.findings);
    let mut spec = Spec {
        memory: wanted.memory.filter(|_| base.differs(|request| request.memory)),
        cpus: tuned.processors,
        keeps_topology: tuned.keeps_topology,
        placed: tuned.pinning,
        hugepages: base.differs(|request| request.hugepages).then_some(wanted.hugepages),
        firmware,
        disks: disks::wanted(base, &wanted, files),
        cdroms: cdroms(base, &wanted, files),
        cards: cards_differ.then_some(cards),
        functions: functions_differ.then_some(functions),
        ways,
        usb: base.differs(Request::usb_ids).then(|| wanted.usb_ids()),
        rom: rom(base, &wanted, host),
        edits: tuned.edits,
        record: None,
    };
    if let (Some(Cpus::Auto), Some(count)) = (wanted.cpus, tuned.count) {
        wanted.cpus = Some(Cpus::Count(count));
    }
    let mut record = Record { groups, ..remembered(base, wanted, assigned, &spec) };
    let (draft, not_fitting) = edit(base, &record, &mut spec, host);
    let left: Vec<PciAddress> = spec.slots().flat_map(|slot| hostdevs::missing(&draft.domain, slot)).collect();
    findings.extend(checks::guest::of_guest(base, &spec, &left));
    findings.extend(not_fitting);
    findings.extend(checks::lacking::lacking(base, &draft.domain, &record, host));
    findings.extend(checks::lacking::of_window(base, &draft.domain, &record, host, libvirt));
    spec.edits = draft.edits;
    findings.extend(checks::request::of_request(base, &record.request, (&spec, &draft.domain), host, files));
    record.request.without = Without::default();
    record.guest_cpus = record.guest_cpus.filter(|_| draft.written.has(Part::Pinning));
    record.written = draft.written;
    // A record of before groups were recorded gets them with its next other change: they alone are none.
    if base.last.as_ref().is_some_and(|last| last.groups.is_empty() && Record { groups: Vec::new(), ..record.clone() } == *last) {
        record.groups.clear();
    }
    spec.record = (base.purpose != Purpose::Detach).then_some(record);
    Resolved { spec, findings }
}

/// The new record, but for what the edits add to it.
fn remembered(base: &Base, request: Request, passed: Vec<Passed>, spec: &Spec) -> Record {
    let last = base.last.clone().unwrap_or_default();
    Record {
        attached: base.is_unmanaged(),
        template: base.profile.map(|_| request.os.clone().unwrap_or_default().to_string()).or(last.template),
        guest_cpus: spec.placed.as_ref().map(|placed| placed.taken.clone()).or(last.guest_cpus),
        by_hand: hostdevs::by_hand(base, spec),
        single_functions: hostdevs::single_functions(base, spec),
        written: last.written,
        request,
        passed,
        groups: Vec::new(),
    }
}

/// Makes all edits, in the order in which they are written. The edits of the tuning come after those of the devices. Returns
/// errors for what does not fit the domain's NUMA cells.
fn edit(base: &Base, record: &Record, spec: &mut Spec, host: &Host) -> (Draft, Vec<Finding>) {
    let wanted = &record.request;
    let mut draft = Draft::of(base.domain.clone(), record.written.clone());
    let mut findings = Vec::new();
    // What goes of the guest's nodes is gone before memory and processors are divided among those that stay.
    let is_gone = |edit: &Edit| edit.part == Part::Numa && edit.change == Change::Withdraw;
    let (gone, tuned): (Vec<Edit>, Vec<Edit>) = spec.edits.drain(..).partition(is_gone);
    for edit in gone {
        draft.apply(edit);
    }
    basics::name(&mut draft, &base.name, base.uuid.as_deref());
    if let Some(memory) = spec.memory {
        findings.extend(basics::memory(&mut draft, memory).err().map(|why| memory_does_not_fit(memory, &why)));
    }
    if let Some(cpus) = spec.cpus {
        findings.extend(basics::cpus(&mut draft, cpus).err().map(|why| cpus_do_not_fit(cpus, &why)));
    }
    if let Some(wanted) = spec.hugepages {
        basics::hugepages(&mut draft, wanted);
    }
    if let Some(firmware) = &spec.firmware {
        basics::firmware(&mut draft, firmware);
    }
    if let Some(emulator) = wanted.emulator.as_ref().filter(|_| base.differs(|request| request.emulator.clone())) {
        basics::emulator(&mut draft, emulator);
    }
    if let Some(is_hidden) = wanted.tuning.hide_kvm.filter(|_| base.differs(|request| request.tuning.hide_kvm)) {
        basics::hide_kvm(&mut draft, is_hidden);
    }
    if let Some(number) = wanted.tuning.io_threads.filter(|_| base.differs(|request| request.tuning.io_threads)) {
        basics::io_threads(&mut draft, number);
    }
    if base.differs(|request| request.title.clone()) {
        basics::words(&mut draft, Part::Title, "title", wanted.title.as_deref());
    }
    if base.differs(|request| request.description.clone()) {
        basics::words(&mut draft, Part::Description, "description", wanted.description.as_deref());
    }
    if let Some(disks) = &spec.disks {
        disks::set(&mut draft, disks, disks::Changed::of(base));
    }
    for cdrom in &spec.cdroms {
        disks::set_cdrom(&mut draft, cdrom);
    }
    if let Some(cards) = &spec.cards {
        hostdevs::set(&mut draft, hostdevs::CARDS, cards, &spec.ways);
    }
    if let Some(functions) = &spec.functions {
        hostdevs::set(&mut draft, hostdevs::FUNCTIONS, functions, &spec.ways);
    }
    hostdevs::unset_multifunction(&mut draft, &record.single_functions);
    if let Some(usb) = &spec.usb {
        hostdevs::set_usb(&mut draft, usb);
    }
    if let Some((function, file)) = &spec.rom {
        hostdevs::set_rom(&mut draft, *function, file.as_deref());
    }
    devices::devices(&mut draft, base, wanted, host);
    window::window(&mut draft, base, wanted);
    for edit in tuned {
        draft.apply(edit);
    }
    balloon::balloon(&mut draft, base, !record.passed.is_empty());
    (draft, findings)
}

/// Findings about the base that do not depend on the request.
fn of_base(base: &Base) -> Vec<Finding> {
    let mut findings: Vec<Finding> = base.unreadable.iter().map(|because| unreadable(&base.name, because)).collect();
    if base.purpose == Purpose::Define && !base.is_new && base.last.is_none() && base.unreadable.is_none() {
        findings.push(Finding::warning(
            "not-defined-by-vgapt",
            format!("'{}' was not defined by vgapt: only what is requested is changed", base.name),
            format!("to remove the devices and vgapt's record of the domain again: vgapt detach {}", shell_word(&base.name)),
        ));
    }
    findings
}

fn memory_does_not_fit(memory: Size, why: &str) -> Finding {
    let message = format!("the domain cannot have {memory}: {why}");
    Finding::error("memory-does-not-fit", message, "use another amount with --memory, or change that first: virsh edit")
}

fn cpus_do_not_fit(Processors { count, .. }: Processors, why: &str) -> Finding {
    let message = format!("the domain cannot have {count} vCPUs: {why}");
    Finding::error("cpus-do-not-fit", message, "use more with --cpus, or remove cells first: virsh edit")
}

/// The CD drives that the request changes.
fn cdroms(base: &Base, wanted: &Request, files: &Files) -> Vec<Cdrom> {
    let cdrom = |alias, unit, of: fn(&Request) -> Option<String>| {
        let image = of(wanted);
        let is_block_device = image.as_ref().is_some_and(|image| files.is_block_device(image));
        base.differs(of).then_some(Cdrom { alias, unit, image, is_block_device })
    };
    let drives = [cdrom("install", 0, |request| request.cdrom.clone()), cdrom("virtio", 1, |request| request.virtio_iso.clone())];
    drives.into_iter().flatten().collect()
}

/// The firmware file of the first card.
fn rom(base: &Base, wanted: &Request, host: &Host) -> Option<(PciAddress, Option<String>)> {
    if !base.differs(|request| (request.extras.rom.clone(), request.gpu.clone())) {
        return None;
    }
    let card = wanted.gpu.iter().find_map(|choice| match choice {
        GpuChoice::At(address) => Some(Card::with(host, *address).map_or(*address, |card| card.address)),
        GpuChoice::Auto => None,
    })?;
    Some((card, wanted.extras.rom.clone()))
}
