//! How the guest sees the processor: caches, threads, address width, interrupt controller.

use super::pinning::Placed;
use super::question::Question;
use crate::domain::base::Purpose;
use crate::domain::setting::{Group, Setting};

/// Written once for a domain of vgapt's own making, and again when its pinning or its devices change.
pub(super) fn settings(question: &Question<'_>, placed: &Placed) -> Option<Vec<Setting>> {
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
        // The guide's open question. QEMU's q35 4.0 moved this controller out of KVM, and cards whose
        // interrupts are levels hung (kubevirt#5619; taken back in q35 4.1): said, it is so on any.
        settings.push(Setting::new("features/ioapic").with("driver", "kvm"));
    }
    if is_host && !question.passed.is_empty() && !is_attached {
        settings.push(address_width(question));
    }
    if is_host && !is_attached {
        // libvirt allows it for host-passthrough only.
        settings.push(Setting::new("cpu/cache").with("mode", "passthrough"));
        let now = cpu.and_then(|cpu| cpu.child("topology")?.attribute("threads")?.parse().ok());
        let threads = placed.processors.map(|processors| processors.guest.threads).or(now).unwrap_or(1);
        let host = &question.host.cpu;
        if host.is_amd() && threads > 1 && host.flags.contains("topoext") {
            // QEMU does not take it over by itself (target/i386/kvm: no_autoenable_flags), and
            // without it the guest takes threads for cores.
            settings.push(Setting::new("cpu/feature[name=topoext]").with("policy", "require"));
        }
    }
    Some(settings)
}

/// The host's own address bits, and no more than its IOMMU translates: a card cannot reach further.
fn address_width(question: &Question<'_>) -> Setting {
    let host = question.host;
    let narrower = host.platform.iommu_bits.filter(|bits| host.cpu.physical_bits.is_some_and(|physical| *bits < physical));
    let width = Setting::new("cpu/maxphysaddr");
    match narrower {
        None => width.with("mode", "passthrough"),
        Some(bits) if question.libvirt.at_least(9, 3) => width.with("mode", "passthrough").with("limit", bits),
        // What an older libvirt has in its place.
        Some(bits) => width.with("mode", "emulate").with("bits", bits),
    }
}
