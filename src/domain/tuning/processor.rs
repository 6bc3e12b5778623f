//! How the guest sees the processor: caches, threads, address width, interrupt controller.

use super::super::setting::Setting;
use super::Question;
use crate::topology::Pinning;

/// Written once for a domain of vgapt's own making, and again when its pinning changes.
pub(super) fn settings(question: &Question<'_>, pinning: Option<&Pinning>) -> Option<Vec<Setting>> {
    if !question.is_ours() && pinning.is_none() {
        return None;
    }
    let cpu = question.base.domain.root().child("cpu");
    let is_host = cpu.and_then(|cpu| cpu.attribute("mode")).as_deref() == Some("host-passthrough");
    let mut settings = Vec::new();
    if !question.passed.is_empty() {
        // The guide's open question. QEMU's q35 4.0 moved this controller out of KVM, and cards whose
        // interrupts are levels hung (kubevirt#5619; taken back in q35 4.1): said, it is so on any.
        settings.push(Setting::new("features/ioapic").with("driver", "kvm"));
    }
    if is_host {
        // libvirt allows it for host-passthrough only.
        settings.push(Setting::new("cpu/cache").with("mode", "passthrough"));
        let threads = pinning.map_or(1, |pinning| pinning.guest.threads);
        let host = &question.host.cpu;
        if host.is_amd() && threads > 1 && host.flags.contains("topoext") {
            // QEMU does not take it over by itself (target/i386/kvm: no_autoenable_flags), and
            // without it the guest takes threads for cores.
            settings.push(Setting::new("cpu/feature[name=topoext]").with("policy", "require"));
        }
    }
    Some(settings)
}
