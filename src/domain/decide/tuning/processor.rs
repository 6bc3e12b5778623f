//! The processor as exposed to the guest: caches, threads, address width, interrupt controller.

use super::pinning::Placed;
use super::question::TuningInput;
use crate::domain::base::Purpose;
use crate::domain::setting::{Group, Setting};

/// Written once for a new domain from vgapt's template, and again when its pinning or its devices change.
pub(super) fn settings(question: &TuningInput<'_>, placed: &Placed) -> Option<Vec<Setting>> {
    let base = question.base;
    let is_attached = base.purpose == Purpose::Attach;
    let was_written = base.last.as_ref().is_some_and(|last| last.settings.contains_key(&Group::Processor));
    let speaks = placed.is_decided || base.differs(|request| (request.gpu.clone(), request.pci.clone()));
    let is_new = question.is_ours() || placed.pinning.is_some() || is_attached;
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
        settings.push(Setting::new("features/ioapic").with("driver", "kvm"));
    }
    if is_host && !question.passed.is_empty() && !is_attached {
        settings.push(address_width(question));
    }
    if is_host && !is_attached {
        // libvirt accepts it for host-passthrough only.
        settings.push(Setting::new("cpu/cache").with("mode", "passthrough"));
        let now = cpu.and_then(|cpu| cpu.child("topology")?.attribute("threads")?.parse().ok());
        let threads = placed.processors.map(|processors| processors.guest.threads).or(now).unwrap_or(1);
        let host = &question.host.cpu;
        if host.is_amd() && threads > 1 && host.flags.contains("topoext") {
            // QEMU does not enable it by default (target/i386/kvm: no_autoenable_flags), and
            // without it the guest sees threads as cores.
            settings.push(Setting::new("cpu/feature[name=topoext]").with("policy", "require"));
        }
    }
    Some(settings)
}

/// The host's physical address bits, limited to those of its IOMMU, because a card cannot access higher addresses.
fn address_width(question: &TuningInput<'_>) -> Setting {
    let host = question.host;
    let narrower = host.platform.iommu_bits.filter(|bits| host.cpu.physical_bits.is_some_and(|physical| *bits < physical));
    let width = Setting::new("cpu/maxphysaddr");
    match narrower {
        None => width.with("mode", "passthrough"),
        Some(bits) if question.libvirt.at_least(9, 3) => width.with("mode", "passthrough").with("limit", bits),
        // For an older libvirt without `limit`.
        Some(bits) => width.with("mode", "emulate").with("bits", bits),
    }
}
