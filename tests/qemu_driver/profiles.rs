//! What each guest system is promised, seen in what QEMU would be told.

use super::DAEMON;
use super::command::{Z170, run, vgapt};
use super::guide_flags::native;
use super::libvirt::{Libvirt, have};

/// What QEMU is told of Hyper-V's enlightenments, beside the clock.
const BASIC: &str =
    "hv-relaxed=on hv-vapic=on hv-vpindex=on hv-runtime=on hv-synic=on hv-stimer=on hv-frequencies=on hv-vendor-id=vgaptrocks";

/// What the guide has, and the word that hides KVM.
const GUIDES: [&str; 6] = ["hv-time=on", "hv-relaxed=on", "hv-vapic=on", "hv-spinlocks=0x1fff", "hv-vendor-id=vgaptrocks", "kvm=off"];

/// A guest system, what its processor is told, and what it is not.
const SYSTEMS: [(&str, &str, &str); 6] = [
    ("windows", "hv-time=on hv-spinlocks=0x1fff hv-tlbflush=on hv-ipi=on", ""),
    ("win11", "hv-time=on hv-spinlocks=0x1fff hv-tlbflush=on hv-ipi=on", ""),
    ("win10", "hv-time=on hv-spinlocks=0x1fff hv-tlbflush=on hv-ipi=on", ""),
    // The guide: with spinlocks it restarts while it boots.
    ("win8.1", "hv-time=on", "hv-spinlocks"),
    // The guide: under OVMF it does not boot with enlightenments.
    ("win7", "kvm=off", "hv-"),
    ("linux", "kvm=off", "hv-"),
];

#[test]
fn each_guest_system_is_told_what_it_is_promised() {
    if !have("guest systems against domxml-to-native", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    // What this host's KVM cannot do is left out of a domain, else it would not start; the guide's are
    // known to every KVM.
    let capabilities = libvirt.virsh(&["domcapabilities", "--machine", "q35"]).stdout;
    let hyperv = capabilities.split("<hyperv supported='yes'>").nth(1).and_then(|rest| rest.split("</hyperv>").next());
    let can = |flag: &str| {
        let name = flag.trim_start_matches("hv-").split('=').next().unwrap_or_default();
        GUIDES.contains(&flag) || hyperv.is_none_or(|list| list.contains(&format!("<value>{name}</value>")))
    };
    for (os, told, never) in SYSTEMS {
        if os == "win11" && !have("a guest system with a TPM", &["swtpm_setup"]) {
            continue;
        }
        let mut define = vgapt(["--root", Z170, "-c", &libvirt.uri, "define", os, "--gpu", "01:00.0", "--force"]);
        run(define.args(["--disk", "/vm/disk.qcow2"]).args(libvirt.template(os))).with(0);
        let (argv, _) = native(&libvirt, &libvirt.xml(os));
        let cpu = argv.iter().find(|option| option.starts_with("-cpu ")).unwrap_or_else(|| panic!("{os}: {argv:#?}"));
        let has = |flag: &str| cpu.split([',', ' ']).any(|told| told == flag);
        let basic = if never == "hv-" { "" } else { BASIC };
        for flag in told.split(' ').chain(basic.split_whitespace()) {
            assert_eq!(has(flag), can(flag), "{os}: {flag} in {cpu}\n{hyperv:?}");
        }
        assert!(never.is_empty() || !cpu.contains(never), "{os} is told {never}: {cpu}");
        let clock = argv.iter().find(|option| option.starts_with("-rtc ")).map(String::as_str);
        assert_eq!(clock.is_some_and(|clock| clock.starts_with("-rtc base=localtime")), os != "linux", "{os}: {clock:?}");
        assert!(argv.iter().any(|option| option.starts_with("-machine ") && option.contains("mem-merge=off")), "{os}: {argv:#?}");
        let tpm = argv.iter().any(|option| option.contains("tpm-crb"));
        assert_eq!(tpm, os == "win11", "{os}: {argv:#?}");
    }
}
