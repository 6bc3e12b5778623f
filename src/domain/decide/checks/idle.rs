//! Options of a request that have no effect: nobody should believe that they had.

use crate::domain::base::Base;
use crate::domain::edit::Part;
use crate::domain::request::Request;
use crate::domain::request::extras::DiskDiscard;
use crate::domain::request::gpu::GpuChoice;
use crate::domain::spec::Spec;
use crate::domain_xml::is_without_hypervisor;
use crate::model::{Finding, Host, PciAddress, PciDevice};
use crate::passthrough;

/// Those of cards, disks, memory and processors.
pub(super) fn options(base: &Base, wanted: &Request, spec: &Spec) -> Vec<Finding> {
    let mut findings = without_card(base, wanted);
    findings.extend(without_disk(base, wanted, spec));
    findings.extend(not_kept_reserved(base, wanted, spec));
    findings.extend(hidden_anyway(base, wanted));
    let has_toggle = wanted.extras.evdev_toggle.is_some() && base.differs(|request| request.extras.evdev_toggle);
    findings.extend((has_toggle && wanted.extras.evdev.is_empty()).then(|| {
        let message = "--evdev-toggle has no effect: no keyboard of the host is switched";
        Finding::warning("toggle-idle", message, "name the keyboard with --evdev")
    }));
    findings.extend(tuning(base, wanted, spec));
    findings
}

/// `--handover` has no effect if the host does not use the card's display, and is not needed if another one stays.
pub(super) fn handover(base: &Base, wanted: &Request, host: &Host) -> Option<Finding> {
    let asked = wanted.handover && base.differs(|request| (request.handover, request.gpu.clone()));
    let functions: Vec<PciAddress> = wanted
        .gpu
        .iter()
        .filter_map(|choice| match choice {
            GpuChoice::At(address) => Some(*address),
            GpuChoice::Auto => None,
        })
        .collect();
    let mut displays = host.devices(&functions).filter(|device| device.class.is_display()).peekable();
    if !asked || displays.peek().is_none() {
        return None;
    }
    let named: Vec<String> = functions.iter().map(|function| function.short()).collect();
    if !displays.all(PciDevice::on_vfio) {
        // What stays shows the firmware's picture at most, and the desktop has to go.
        let is_of_desktop = |warning: &Finding| warning.code == "display-without-driver";
        let assessed = passthrough::assess(host);
        if assessed.iter().any(|card| functions.contains(&card.address) && card.warnings.iter().any(is_of_desktop)) {
            return None;
        }
        return passthrough::keeps_display(host, &functions).then(|| {
            Finding::warning(
                "handover-idle",
                format!("--handover is not needed: without {} the host keeps another display", named.join(", ")),
                "leave --handover out (--no-handover removes it from a domain): it would stop the desktop while the guest runs",
            )
        });
    }
    Some({
        let at = named.join(" --gpu ");
        Finding::warning(
            "handover-idle",
            format!("--handover has no effect: {} is bound to vfio-pci already and is not a display of the host", named.join(", ")),
            format!(
                "leave --handover out; or let the host use the card until the domain starts: remove what binds it (see what: vgapt check --gpu {at}; where it is vgapt: vgapt undo); then: vgapt prepare --gpu {at} --bind start"
            ),
        )
    })
}

/// Options that need a card, although no card is passed.
fn without_card(base: &Base, wanted: &Request) -> Vec<Finding> {
    let said = [
        ("--rom", wanted.extras.rom.is_some() && base.differs(|request| request.extras.rom.clone())),
        ("--handover", wanted.handover && base.differs(|request| request.handover)),
    ];
    let alone = said.into_iter().filter(|(_, is_said)| *is_said && wanted.gpu.is_empty());
    alone
        .map(|(option, _)| {
            Finding::warning("no-card", format!("{option} has no effect: no graphics card is passed"), "name the card with --gpu")
        })
        .collect()
}

/// Options of disks, although there is no disk that they are written into.
fn without_disk(base: &Base, wanted: &Request, spec: &Spec) -> Vec<Finding> {
    let of = |request: &Request| request.extras.clone();
    let said = [
        ("--disk-cache", wanted.extras.disk_cache.is_some() && base.differs(|request| of(request).disk_cache)),
        ("--disk-format", wanted.extras.disk_format.is_some() && base.differs(|request| of(request).disk_format)),
        ("--disk-discard", wanted.extras.disk_discard.is_some() && base.differs(|request| of(request).disk_discard)),
        ("--detect-zeroes", wanted.extras.detect_zeroes.is_some() && base.differs(|request| of(request).detect_zeroes)),
    ];
    let (because, remedy) = if wanted.disk.is_empty() {
        ("the domain has no disk of --disk", "name the disk with --disk")
    } else {
        ("a disk of --disk was removed or replaced by hand", "name the disks again with --disk")
    };
    let is_written = spec.disks.as_ref().is_some_and(|disks| !disks.is_empty());
    let alone = said.into_iter().filter(|(_, is_said)| *is_said && !is_written);
    alone.map(|(option, _)| Finding::warning("disk-option-idle", format!("{option} has no effect: {because}"), remedy)).collect()
}

/// Only a qcow2 image keeps the place of what the guest discards; of other disks it becomes free space.
fn not_kept_reserved(base: &Base, wanted: &Request, spec: &Spec) -> Option<Finding> {
    let is_asked = wanted.extras.disk_discard == Some(DiskDiscard::KeepReserved);
    let differs = base.differs(|request| (request.disk.clone(), request.extras.disk_discard, request.extras.disk_format));
    let others = spec.disks.iter().flatten().filter(|disk| disk.format != "qcow2" && is_asked && differs);
    let others: Vec<String> = others.map(|disk| format!("{} ({})", disk.path, disk.format)).collect();
    (!others.is_empty()).then(|| {
        let message = format!(
            "--disk-discard keep-reserved has no effect on {}: only a qcow2 image keeps the place of what the guest discards; there it is as unmap",
            others.join(", ")
        );
        Finding::warning("disk-option-idle", message, "use --disk-discard unmap; or a qcow2 image")
    })
}

/// A guest whose processor says that there is no hypervisor looks for none, whatever its name.
fn hidden_anyway(base: &Base, wanted: &Request) -> Option<Finding> {
    let is_asked = wanted.tuning.hide_kvm == Some(false) && base.differs(|request| request.tuning.hide_kvm);
    (is_asked && is_without_hypervisor(base.domain.root())).then(|| {
        Finding::error(
            "hidden-anyway",
            "--hide-kvm no has no effect: the processor of this domain says that there is no hypervisor (<feature policy='disable' name='hypervisor'/>), as Windows 7 needs it",
            "leave --hide-kvm out; or define the domain without it, and remove that feature first: virsh edit",
        )
    })
}

/// Options for memory and processors that change nothing.
fn tuning(base: &Base, wanted: &Request, spec: &Spec) -> Vec<Finding> {
    let size = wanted.tuning.hugepage_size.filter(|_| !wanted.hugepages && base.differs(|request| request.tuning.hugepage_size));
    let size = size.map(|_| {
        Finding::warning("no-hugepages", "--hugepage-size has no effect: the memory is not in huge pages", "use it with --hugepages")
    });
    let was_pinned = base.last.as_ref().is_some_and(|last| last.written.has(Part::Pinning)) && !wanted.tuning.no_pin;
    let is_asked = wanted.tuning.move_interrupts == Some(true) && base.differs(|request| request.tuning.move_interrupts);
    let interrupts = (is_asked && spec.placed.is_none() && !was_pinned).then(|| {
        let message = "--move-interrupts yes has no effect: vgapt does not pin the vCPUs, so that no CPUs are the guest's own";
        Finding::warning("no-pins", message, "use it with --pin")
    });
    size.into_iter().chain(interrupts).collect()
}
