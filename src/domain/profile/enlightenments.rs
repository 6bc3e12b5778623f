//! What tells a Windows guest that it runs on a hypervisor, so that it asks instead of probing.
//! Names and dependencies as in QEMU's docs/system/i386/hyperv.rst, elements as in libvirt's
//! formatdomain.

use super::super::setting::Setting;
use super::Profile;
use crate::model::{Cpu, Libvirt};

/// How often a guest asks for a lock before it tells the hypervisor: the guide's number, 0x1fff.
const SPINLOCK_RETRIES: &str = "8191";
/// Any word of at most twelve letters; old NVIDIA drivers refuse the real ones. The guide's.
const VENDOR: &str = "vgaptrocks";

/// Where an enlightenment makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// Everywhere.
    Any,
    /// On Intel's processors only.
    Intel,
    /// Where the processor has this flag.
    Flag(&'static str),
}

/// One enlightenment.
struct Enlightenment {
    name: &'static str,
    /// Those without which QEMU does not start with it.
    needs: &'static [&'static str],
    /// The libvirt that brought it.
    since: (u64, u64),
    on: On,
    /// Whether it is young enough that only a libvirt which names it may be given it.
    is_young: bool,
}

const fn known(name: &'static str, needs: &'static [&'static str]) -> Enlightenment {
    Enlightenment { name, needs, since: (9, 0), on: On::Any, is_young: false }
}

const ALL: [Enlightenment; 16] = [
    known("time", &[]),
    known("relaxed", &[]),
    known("vapic", &[]),
    known("spinlocks", &[]),
    known("vpindex", &[]),
    known("runtime", &[]),
    known("synic", &["vpindex"]),
    known("stimer", &["vpindex", "synic", "time"]),
    known("frequencies", &[]),
    known("tlbflush", &["vpindex"]),
    known("ipi", &["vpindex"]),
    Enlightenment { on: On::Intel, ..known("evmcs", &["vapic"]) },
    // Of use only where the hardware delivers interrupts itself; KVM shows that for AMD only.
    Enlightenment { on: On::Flag("avic"), is_young: true, ..known("avic", &[]) },
    Enlightenment { since: (10, 7), is_young: true, ..known("xmm_input", &[]) },
    Enlightenment { since: (10, 7), is_young: true, on: On::Intel, ..known("emsr_bitmap", &["evmcs"]) },
    known("vendor_id", &[]),
];

/// The elements of a profile's enlightenments, without those that this host or libvirt does not have.
pub(in crate::domain) fn settings(profile: &Profile, cpu: &Cpu, libvirt: &Libvirt) -> Vec<Setting> {
    let mut names: Vec<&Enlightenment> = ALL.iter().filter(|one| profile.enlightenments().iter().any(|name| name == one.name)).collect();
    names.retain(|one| is_there(one, cpu, libvirt));
    // What needs something that is not there goes too, and what needs that.
    while let Some(at) = names.iter().position(|one| one.needs.iter().any(|need| !names.iter().any(|other| other.name == *need))) {
        names.remove(at);
    }
    let mut settings: Vec<Setting> = names.iter().flat_map(|one| elements(one.name)).collect();
    if settings.iter().any(|setting| setting.path.starts_with("features/hyperv")) {
        settings.insert(0, Setting::new("features/hyperv").with("mode", "custom"));
    }
    settings
}

fn is_there(one: &Enlightenment, cpu: &Cpu, libvirt: &Libvirt) -> bool {
    let fits = match one.on {
        On::Any => true,
        On::Intel => cpu.is_intel(),
        On::Flag(flag) => cpu.flags.contains(flag),
    };
    // Names that are no features of libvirt's own list are those that it has elsewhere.
    let listed = libvirt.enlightenments.as_ref().map(|listed| listed.contains(one.name) || one.name == "time");
    fits && libvirt.at_least(one.since.0, one.since.1) && listed.unwrap_or(!one.is_young)
}

fn elements(name: &str) -> Vec<Setting> {
    let on = |path: &str| Setting::new(format!("features/hyperv/{path}")).with("state", "on");
    match name {
        "time" => vec![Setting::new("clock/timer[name=hypervclock]").with("present", "yes")],
        "spinlocks" => vec![on("spinlocks").with("retries", SPINLOCK_RETRIES)],
        "vendor_id" => vec![on("vendor_id").with("value", VENDOR)],
        // Direct: without it Windows takes the older timers.
        "stimer" => vec![on("stimer"), on("stimer/direct")],
        name => vec![on(name)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(profile: &str, vendor: &str, libvirt: &Libvirt) -> Vec<String> {
        let cpu = Cpu { vendor: Some(vendor.to_owned()), ..Cpu::default() };
        settings(Profile::named(profile).unwrap(), &cpu, libvirt).into_iter().map(|setting| setting.path).collect()
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
        let evmcs = "features/hyperv/evmcs".to_owned();
        assert!(intel.contains(&evmcs) && !amd.contains(&evmcs));
        assert!(!intel.iter().any(|path| path.contains("xmm_input")), "{intel:?}");
        let listed = |names: &[&str]| Libvirt {
            version: Some(11_003_000),
            enlightenments: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Libvirt::default()
        };
        assert_eq!(
            paths("win10", "GenuineIntel", &listed(&["relaxed", "xmm_input", "stimer", "emsr_bitmap"])),
            ["features/hyperv", "clock/timer[name=hypervclock]", "features/hyperv/relaxed", "features/hyperv/xmm_input"]
        );
        assert!(paths("win7", "GenuineIntel", &old).is_empty() && paths("linux", "GenuineIntel", &old).is_empty());
        assert!(!paths("win8.1", "GenuineIntel", &old).iter().any(|path| path.contains("spinlocks")));
    }
}
