//! What each guest system is promised, seen in what QEMU would be told.

use std::path::Path;

use super::command::{Z170, run, vgapt};
use super::guide_flags::native;
use super::libvirt::{Libvirt, have};
use super::{DAEMON, with_firmware};

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
    let machine = with_firmware(&libvirt, Path::new(Z170));
    for (os, ..) in SYSTEMS {
        if os == "win11" && !have("a guest system with a TPM", &["swtpm_setup"]) {
            continue;
        }
        let mut define = vgapt(["--root", &machine, "-c", &libvirt.uri, "define", os, "--gpu", "01:00.0", "--force"]);
        run(define.args(["--disk", "/vm/disk.qcow2"]).args(libvirt.template(os))).with(0);
        promised(os, true, &native(&libvirt, &libvirt.xml(os)).0, can);
    }
}

/// Holds QEMU's options against what a guest system is promised; `can` tells which flags of its
/// processor this libvirt lets through.
#[track_caller]
pub(crate) fn promised(os: &str, is_intel: bool, argv: &[String], can: impl Fn(&str) -> bool) {
    let (_, told, never) = SYSTEMS.into_iter().find(|(known, ..)| *known == os).expect("a system of the table");
    let begins = |name: &str| argv.iter().find(|option| option.starts_with(name)).map(String::as_str).unwrap_or_default();
    let any = |text: &str| argv.iter().any(|option| option.contains(text));
    let cpu = begins("-cpu ");
    let has = |flag: &str| cpu.split([',', ' ']).any(|told| told == flag);
    let basic = if never == "hv-" { "" } else { BASIC };
    for flag in told.split(' ').chain(basic.split_whitespace()) {
        assert_eq!(has(flag), can(flag), "{os}: {flag} in {cpu}");
    }
    assert!(never.is_empty() || !cpu.contains(never), "{os} is told {never}: {cpu}");
    // Of an Intel processor only: the enlightened VMCS.
    assert_eq!(has("hv-evmcs=on"), is_intel && never != "hv-" && os != "win8.1" && can("hv-evmcs=on"), "{os}: {cpu}");
    let clock = begins("-rtc ");
    assert_eq!(clock.starts_with("-rtc base=localtime"), os != "linux", "{os}: {clock:?}");
    let machine = begins("-machine ");
    assert!(machine.contains("mem-merge=off") && machine.contains("kernel_irqchip=on"), "{os}: {machine}");
    // Windows 7 has no driver for USB 3.
    assert_eq!((any("ich9-usb-ehci1"), any("qemu-xhci")), (os == "win7", os != "win7"), "{os}: {argv:#?}");
    // A TPM, and Secure Boot with the pair that belongs together.
    let is_secure = os == "win11";
    assert_eq!(any("tpm-crb"), is_secure, "{os}: {argv:#?}");
    assert_eq!(any("driver=cfi.pflash01,property=secure,value=on"), is_secure, "{os}: {argv:#?}");
    assert_eq!(machine.contains("smm=on"), is_secure, "{os}: {machine}");
    let code = if is_secure { "OVMF_CODE_4M.ms.fd" } else { "OVMF_CODE_4M.fd" };
    assert!(any(&format!("\"filename\":\"/usr/share/OVMF/{code}\"")), "{os}: {argv:#?}");
}
