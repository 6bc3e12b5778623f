//! Hyper-V enlightenments: interfaces that let a Windows guest cooperate with the hypervisor.
//! Names and dependencies as in QEMU's docs/system/i386/hyperv.rst, elements as in libvirt's
//! formatdomain.

use super::file::Profile;
use crate::domain::edit::{Edit, Part};
use crate::model::{Cpu, Libvirt};

/// How often a guest tries to take a spinlock before it notifies the hypervisor: the guide's 0x1fff.
const SPINLOCK_RETRIES: &str = "8191";
/// The only one of them that depends on the pinning.
pub(crate) const SPINLOCKS: &str = "features/hyperv/spinlocks";
/// Any string of at most twelve letters (this one is from the guide); old NVIDIA drivers refuse the real vendor ids.
const VENDOR: &str = "vgaptrocks";

/// Where an enlightenment is useful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// Everywhere.
    Any,
    /// On Intel processors only.
    Intel,
    /// Where the processor delivers the guest's interrupts, as KVM says.
    InterruptsByProcessor,
    /// Where the vCPUs are not pinned to cores of their own.
    SharedCores,
}

/// One enlightenment.
struct Enlightenment {
    name: &'static str,
    /// The enlightenments that QEMU requires for this one.
    needs: &'static [&'static str],
    /// The first version of libvirt that supports it.
    since: (u64, u64),
    on: On,
    asks: ListRule,
}

/// Whether it depends on libvirt's list of what its QEMU supports (domain capabilities).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListRule {
    /// No: every QEMU and kernel supports it.
    Ignored,
    /// If there is such a list, it must contain it.
    IfPresent,
    /// There must be such a list, and it must contain it, because it is recent.
    Required,
}

const fn old(name: &'static str) -> Enlightenment {
    Enlightenment { name, needs: &[], since: (9, 0), on: On::Any, asks: ListRule::Ignored }
}

const fn known(name: &'static str, needs: &'static [&'static str]) -> Enlightenment {
    Enlightenment { needs, asks: ListRule::IfPresent, ..old(name) }
}

const fn young(name: &'static str, needs: &'static [&'static str]) -> Enlightenment {
    Enlightenment { needs, asks: ListRule::Required, ..old(name) }
}

const ALL: [Enlightenment; 16] = [
    old("time"),
    old("relaxed"),
    old("vapic"),
    // A vCPU that waits for another one that does not run should let it run; on cores of their own all vCPUs run, and each
    // notification is a VM exit for nothing.
    Enlightenment { on: On::SharedCores, ..old("spinlocks") },
    known("vpindex", &[]),
    known("runtime", &[]),
    known("synic", &["vpindex"]),
    known("stimer", &["vpindex", "synic", "time"]),
    known("frequencies", &[]),
    known("tlbflush", &["vpindex"]),
    known("ipi", &["vpindex"]),
    Enlightenment { on: On::Intel, ..known("evmcs", &["vapic"]) },
    // Keeps the synthetic interrupt controller from switching the processor's delivery off (APICV_INHIBIT_REASON_HYPERV);
    // without that delivery it makes interrupts slower.
    Enlightenment { on: On::InterruptsByProcessor, ..young("avic", &[]) },
    Enlightenment { since: (10, 7), ..young("xmm_input", &[]) },
    Enlightenment { since: (10, 7), on: On::Intel, ..young("emsr_bitmap", &["evmcs"]) },
    old("vendor_id"),
];

/// The elements of a profile's enlightenments that this host and libvirt support, and that help its vCPUs.
pub(crate) fn settings(profile: &Profile, cpu: &Cpu, libvirt: &Libvirt, is_pinned: bool) -> Vec<Edit> {
    let mut names: Vec<&Enlightenment> = ALL.iter().filter(|one| profile.enlightenments().iter().any(|name| name == one.name)).collect();
    names.retain(|one| is_useful(one.on, cpu, is_pinned) && is_supported(one, libvirt));
    // Remove also those that depend on a removed one, repeatedly.
    while let Some(at) = names.iter().position(|one| one.needs.iter().any(|need| !names.iter().any(|other| other.name == *need))) {
        names.remove(at);
    }
    let mut settings: Vec<Edit> = names.iter().flat_map(|one| elements(one.name, libvirt)).collect();
    if settings.iter().any(is_hyperv) {
        settings.insert(0, Edit::put(Part::Guest, "features/hyperv").with("mode", "custom"));
    }
    settings
}

/// Whether an edit is one of libvirt's elements for Hyper-V.
pub(crate) fn is_hyperv(edit: &Edit) -> bool {
    edit.path().is_some_and(|path| path.starts_with("features/hyperv"))
}

fn is_useful(on: On, cpu: &Cpu, is_pinned: bool) -> bool {
    match on {
        On::Any => true,
        On::Intel => cpu.is_intel(),
        On::InterruptsByProcessor => cpu.delivers_interrupts == Some(true),
        On::SharedCores => !is_pinned,
    }
}

fn is_supported(one: &Enlightenment, libvirt: &Libvirt) -> bool {
    let listed = libvirt.enlightenments.as_ref().map(|listed| listed.contains(one.name));
    let has_it = match one.asks {
        ListRule::Ignored => true,
        ListRule::IfPresent => listed.unwrap_or(true),
        ListRule::Required => listed.unwrap_or(false),
    };
    has_it && libvirt.at_least(one.since.0, one.since.1)
}

/// The parts of `tlbflush`, by the words of libvirt's list.
const TLBFLUSH: [(&str, &str); 2] = [("tlbflush_direct", "tlbflush/direct"), ("tlbflush_extended", "tlbflush/extended")];

fn elements(name: &str, libvirt: &Libvirt) -> Vec<Edit> {
    let on = |path: &str| Edit::put(Part::Guest, format!("features/hyperv/{path}")).with("state", "on");
    let is_listed = |name: &str| libvirt.enlightenments.as_ref().is_some_and(|listed| listed.contains(name));
    match name {
        "time" => vec![Edit::put(Part::Guest, "clock/timer[name=hypervclock]").with("present", "yes")],
        "spinlocks" => vec![Edit::put(Part::Guest, SPINLOCKS).with("retries", SPINLOCK_RETRIES).with("state", "on")],
        "vendor_id" => vec![on("vendor_id").with("value", VENDOR)],
        // Without direct mode, Windows uses the older timers.
        "stimer" => vec![on("stimer"), on("stimer/direct")],
        "tlbflush" => {
            let parts = TLBFLUSH.into_iter().filter(|(word, _)| is_listed(word)).map(|(_, path)| on(path));
            [on("tlbflush")].into_iter().chain(parts).collect()
        }
        name => vec![on(name)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(profile: &str, vendor: &str, libvirt: &Libvirt) -> Vec<String> {
        let cpu = Cpu { vendor: Some(vendor.to_owned()), ..Cpu::default() };
        paths_on(profile, &cpu, libvirt, false)
    }

    fn paths_on(profile: &str, cpu: &Cpu, libvirt: &Libvirt, is_pinned: bool) -> Vec<String> {
        let edits = settings(Profile::named(profile).unwrap(), cpu, libvirt, is_pinned);
        edits.into_iter().filter_map(|edit| edit.path().map(|path| path.replace("features/hyperv/", ""))).collect()
    }

    #[test]
    fn every_profile_names_what_is_known_and_what_that_needs() {
        for name in Profile::names() {
            let named = Profile::named(name).unwrap().enlightenments();
            for one in named {
                let known = ALL.iter().find(|known| known.name == one).unwrap_or_else(|| panic!("{name}: no enlightenment {one}"));
                assert!(known.needs.iter().all(|need| named.iter().any(|other| other == need)), "{name}: {one} needs {:?}", known.needs);
            }
        }
    }

    #[test]
    fn what_the_host_or_libvirt_does_not_have_is_left_out() {
        let old = Libvirt::default();
        let intel = paths("win10", "GenuineIntel", &old);
        let amd = paths("win10", "AuthenticAMD", &old);
        let evmcs = "evmcs".to_owned();
        assert!(intel.contains(&evmcs) && !amd.contains(&evmcs));
        assert!(!intel.iter().any(|path| path.contains("xmm_input")), "{intel:?}");
        let listed = |names: &[&str]| Libvirt {
            version: Some(11_003_000),
            enlightenments: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Libvirt::default()
        };
        assert_eq!(
            paths("win10", "GenuineIntel", &listed(&["xmm_input", "stimer", "emsr_bitmap"])).join(" "),
            "features/hyperv clock/timer[name=hypervclock] relaxed vapic spinlocks xmm_input vendor_id"
        );
        assert!(paths("win7", "GenuineIntel", &old).is_empty() && paths("linux", "GenuineIntel", &old).is_empty());
        assert!(!paths("win8.1", "GenuineIntel", &old).iter().any(|path| path.contains("spinlocks")));
    }
    #[test]
    fn what_only_costs_vm_exits_is_left_out() {
        let libvirt = Libvirt {
            version: Some(12_002_000),
            enlightenments: Some(["avic", "vapic", "vpindex", "tlbflush", "tlbflush_extended"].map(str::to_owned).into()),
            ..Libvirt::default()
        };
        let cpu = |delivers_interrupts| Cpu { delivers_interrupts, ..Cpu::default() };
        let has = |cpu: &Cpu, is_pinned, name: &str| paths_on("win11", cpu, &libvirt, is_pinned).iter().any(|path| path == name);
        // Known to be used is the only reason; a processor's flag is none.
        assert_eq!([Some(true), Some(false), None].map(|known| has(&cpu(known), true, "avic")), [true, false, false]);
        assert_eq!([true, false].map(|is_pinned| has(&cpu(None), is_pinned, "spinlocks")), [false, true]);
        assert!(has(&cpu(None), true, "tlbflush/extended") && !has(&cpu(None), true, "tlbflush/direct"));
    }
}
