//! The processor as exposed to the guest: caches, threads, interrupt controller, address width; and the address space for the
//! memory regions (BARs) of cards.

use super::question::TuningInput;
use crate::domain::base::Purpose;
use crate::domain::edit::{Edit, Part};
use crate::domain::spec::Processors;
use crate::model::Size;

/// The default size of q35's window above 4 GiB (`pci-hole64-size` of `hw/i386/pc_q35.c`).
const DEFAULT_WINDOW: Size = Size::from_mib(32 << 10);

/// Written once for a new domain from vgapt's template, and again when its pinning or its devices change.
pub(super) fn settings(question: &TuningInput<'_>, is_decided: bool, is_pinned: bool, processors: Option<Processors>) -> Option<Vec<Edit>> {
    let base = question.base;
    let is_attached = base.purpose == Purpose::Attach;
    let was_written = base.last.as_ref().is_some_and(|last| last.written.has(Part::Processor));
    let speaks = is_decided || base.differs(|request| (request.gpu.clone(), request.pci.clone()));
    let is_new = question.is_ours() || is_pinned || is_attached;
    let is_changed = was_written && speaks;
    if !is_new && !is_changed {
        return None;
    }
    let cpu = base.domain.root().child("cpu");
    let is_host = cpu.and_then(|cpu| cpu.attribute("mode")).as_deref() == Some("host-passthrough");
    let mut settings = Vec::new();
    if !question.passed.is_empty() {
        // QEMU's q35 4.0 moved the IOAPIC out of KVM, and cards with level-triggered interrupts hung
        // (kubevirt#5619; reverted in q35 4.1). With this element it is in KVM on every machine type.
        settings.push(put("features/ioapic").with("driver", "kvm"));
    }
    if is_host && !question.passed.is_empty() && !is_attached {
        settings.push(address_width(question));
    }
    if is_host && !is_attached {
        // libvirt accepts it for host-passthrough only.
        settings.push(put("cpu/cache").with("mode", "passthrough"));
        let now = cpu.and_then(|cpu| cpu.child("topology")?.attribute("threads")?.parse().ok());
        let threads = processors.map(|processors| processors.guest.threads).or(now).unwrap_or(1);
        let host = &question.host.cpu;
        if host.is_amd() && threads > 1 && host.flags.contains("topoext") {
            // QEMU does not enable it by default (target/i386/kvm: no_autoenable_flags), and
            // without it the guest sees threads as cores.
            settings.push(put("cpu/feature[name=topoext]").with("policy", "require"));
        }
    }
    Some(settings)
}

fn put(path: &str) -> Edit {
    Edit::put(Part::Processor, path)
}

/// The host's physical address bits, limited to those of its IOMMU, because a card cannot access higher addresses.
fn address_width(question: &TuningInput<'_>) -> Edit {
    let host = question.host;
    let narrower = host.platform.iommu_bits.filter(|bits| host.cpu.physical_bits.is_some_and(|physical| *bits < physical));
    let width = put("cpu/maxphysaddr");
    match narrower {
        None => width.with("mode", "passthrough"),
        Some(bits) if question.libvirt.at_least(9, 3) => width.with("limit", bits).with("mode", "passthrough"),
        // For an older libvirt without `limit`.
        Some(bits) => width.with("bits", bits).with("mode", "emulate"),
    }
}

/// Decided if devices are added or removed; half of QEMU's window is left for other devices.
pub(super) fn regions(question: &TuningInput<'_>) -> Option<Vec<Edit>> {
    let differ = question.base.differs(|request| (request.gpu.clone(), request.pci.clone()));
    if !differ && !question.is_ours() {
        return None;
    }
    let regions = question.host.devices(&question.passed).flat_map(|device| &device.bars);
    let all: u64 = regions.map(|region| region.size.bytes()).fold(0, u64::saturating_add);
    if all.saturating_mul(2) <= DEFAULT_WINDOW.bytes() {
        return Some(Vec::new());
    }
    // Regions are aligned to their sizes, so that the next power of two may not be enough.
    let window = all.checked_next_power_of_two()?.checked_mul(2)?;
    let root = "devices/controller[model=pcie-root]";
    let hole = Edit::put(Part::Regions, format!("{root}/pcihole64")).with("unit", "KiB").text(Size::from_bytes(window).kib());
    Some(vec![Edit::put(Part::Regions, root).with("index", 0).with("type", "pci"), hole])
}
