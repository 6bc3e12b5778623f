//! The processor as exposed to the guest: caches, threads, interrupt controller, address width; and the address space for the
//! memory regions (BARs) of cards.

use super::question::TuningInput;
use crate::domain::base::{Base, Purpose};
use crate::domain::edit::{Edit, Part, Policy, find};
use crate::domain::spec::Processors;
use crate::domain_xml::{is_without_hypervisor, of_a_die, threads};
use crate::model::Size;
use crate::topology::are_hosts_caches;

/// The guest may trust its time stamp counter.
const STEADY_CLOCK: &str = "cpu/feature[name=invtsc]";

/// The default size of q35's window above 4 GiB (`pci-hole64-size` of `hw/i386/pc_q35.c`).
const DEFAULT_WINDOW: Size = Size::from_mib(32 << 10);

/// Where the vCPUs are.
pub(super) struct Placing {
    /// Whether that was decided now.
    pub(super) is_decided: bool,
    /// Whether it was decided that they are pinned; pins that somebody changed stay nevertheless.
    pub(super) is_pinned: bool,
    /// Whether they are pinned afterwards.
    pub(super) has_own_cores: bool,
    /// The host CPU of each, where it has one of its own.
    pub(super) vcpus: Vec<u32>,
    /// Number and topology to write.
    pub(super) processors: Option<Processors>,
}

impl Placing {
    /// Whether the guest's caches are those of whichever CPU of the host QEMU asks. Else QEMU shows its own: an L3 cache for
    /// each die.
    fn has_hosts_caches(&self, question: &TuningInput<'_>) -> bool {
        let root = question.base.domain.root();
        let seen = self.processors.map(|Processors { guest, .. }| (guest.threads, guest.cores.saturating_mul(guest.threads)));
        let Some((threads, of_a_die)) = seen.or_else(|| Some((threads(root), of_a_die(root)?))) else { return false };
        are_hosts_caches(&question.host.topology, &self.vcpus, threads, of_a_die)
    }
}

/// Written once for a new domain from vgapt's template, and again when its pinning or its devices change.
pub(super) fn settings(question: &TuningInput<'_>, placing: &Placing) -> Option<Vec<Edit>> {
    let &Placing { is_decided, is_pinned, has_own_cores, .. } = placing;
    let base = question.base;
    let is_attached = base.purpose == Purpose::Attach;
    let was_written = question.is_of_template() || base.last.as_ref().is_some_and(|last| last.written.has(Part::Processor));
    let speaks = is_decided || base.differs(|request| (request.gpu.clone(), request.pci.clone(), request.tuning.hide_kvm));
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
        settings.extend(placing.has_hosts_caches(question).then(|| put("cpu/cache").with("mode", "passthrough")));
        let host = &question.host.cpu;
        if host.is_amd() && host.flags.contains("topoext") {
            // QEMU does not enable it by default (target/i386/cpu.c: no_autoenable_flags), though its own models of AMD's
            // processors have it, also with one thread for each core. Without it the guest sees threads as cores, and Linux does
            // not read which processors share an L3 cache (leaf 0x8000001d: arch/x86/kernel/cpu/cacheinfo.c).
            settings.push(put("cpu/feature[name=topoext]").with("policy", "require"));
        }
        if has_own_cores && sees_kvm(question) {
            // A Linux guest then spins instead of leaving a processor that nobody else uses, and waits a moment for its next
            // work before it halts (Linux Documentation/virt/kvm/x86/cpuid.rst and guest-halt-polling.rst).
            settings.push(put("features/kvm/hint-dedicated").with("state", "on"));
            settings.push(put("features/kvm/poll-control").with("state", "on"));
        }
    }
    let is_for_passing = is_host && !question.passed.is_empty() && !is_attached;
    if is_for_passing && question.host.cpu.has_steady_tsc() && (was_steady(base) || find(base.domain.root(), STEADY_CLOCK).is_none()) {
        // Without it a guest reads a clock outside of the processor, by a VM exit each time, or declares its own unsteady.
        // Such a domain cannot be migrated or saved, and one with a passed device cannot anyway.
        settings.push(put("cpu").with("migratable", "off").policy(Policy::Checked));
        settings.push(put(STEADY_CLOCK).with("policy", "require"));
    } else {
        settings.extend(migratable_again(base));
    }
    Some(settings)
}

/// Whether the guest is one that recognises KVM: one without Hyper-V's enlightenments, from which neither KVM nor that there is
/// a hypervisor is hidden.
fn sees_kvm(question: &TuningInput<'_>) -> bool {
    let root = question.base.domain.root();
    if is_without_hypervisor(root) {
        return false;
    }
    let features = root.child("features");
    let is_hidden = || features.and_then(|features| features.at("kvm/hidden")?.attribute("state")).as_deref() == Some("on");
    let is_windows = features.is_some_and(|features| features.child("hyperv").is_some())
        || question.base.profile.is_some_and(|profile| !profile.enlightenments().is_empty());
    !is_windows && !question.wanted.tuning.hide_kvm.unwrap_or_else(is_hidden)
}

fn was_steady(base: &Base) -> bool {
    base.last.as_ref().is_some_and(|last| last.written.of(Part::Processor).any(|(path, _)| path == STEADY_CLOCK))
}

/// Takes back what the steady clock had required of the `<cpu>` element, which is not vgapt's.
pub(super) fn migratable_again(base: &Base) -> Option<Edit> {
    was_steady(base).then(|| put("cpu").with_or_without("migratable", None::<&str>).policy(Policy::Helper))
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
