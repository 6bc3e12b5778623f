//! What each guest system is promised, seen in what QEMU would be told.

use std::path::Path;

use super::command::{Z170, run, vgapt};
use super::guide_flags::native;
use super::libvirt::{Libvirt, have};
use super::{DAEMON, with_firmware};

/// What QEMU is told of Hyper-V's enlightenments, beside the clock.
const BASIC: &str =
    "hv-relaxed=on hv-vapic=on hv-vpindex=on hv-runtime=on hv-synic=on hv-stimer=on hv-frequencies=on hv-vendor-id=vgaptrocks";

/// What the guide has.
const GUIDES: [&str; 5] = ["hv-time=on", "hv-relaxed=on", "hv-vapic=on", "hv-spinlocks=0x1fff", "hv-vendor-id=vgaptrocks"];

/// A guest system, and what its processor is told beside what all are told that know Hyper-V.
const SYSTEMS: [(&str, &str); 6] = [
    ("windows", "hv-time=on hv-tlbflush=on hv-ipi=on"),
    ("win11", "hv-time=on hv-tlbflush=on hv-ipi=on"),
    ("win10", "hv-time=on hv-tlbflush=on hv-ipi=on"),
    ("win8.1", "hv-time=on"),
    // The guide: under OVMF it does not boot with enlightenments. It sees no hypervisor at all.
    ("win7", "hypervisor=off"),
    ("linux", ""),
];

/// What is known of a domain and its host that decides what QEMU is told.
pub(crate) struct Told {
    pub(crate) is_intel: bool,
    pub(crate) is_pinned: bool,
}

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
        let told = Told { is_intel: true, is_pinned: true };
        promised(os, &told, &native(&libvirt, &libvirt.xml(os)).0, can);
    }
}

/// Holds QEMU's options against what a guest system is promised; `can` tells which flags of its
/// processor this libvirt lets through.
#[track_caller]
pub(crate) fn promised(os: &str, &Told { is_intel, is_pinned }: &Told, argv: &[String], can: impl Fn(&str) -> bool) {
    let (_, told) = SYSTEMS.into_iter().find(|(known, _)| *known == os).expect("a system of the table");
    let begins = |name: &str| argv.iter().find(|option| option.starts_with(name)).map(String::as_str).unwrap_or_default();
    let any = |text: &str| argv.iter().any(|option| option.contains(text));
    let cpu = begins("-cpu ");
    let has = |flag: &str| cpu.split([',', ' ']).any(|told| told == flag);
    let knows_hyperv = !matches!(os, "win7" | "linux");
    let basic = if knows_hyperv { BASIC } else { "" };
    for flag in told.split_whitespace().chain(basic.split_whitespace()) {
        assert_eq!(has(flag), flag == "hypervisor=off" || can(flag), "{os}: {flag} in {cpu}");
    }
    assert!(knows_hyperv || !cpu.contains("hv-"), "{os} is told of Hyper-V: {cpu}");
    // The guide: Windows 8.1 restarts with spinlocks while it boots. On cores of its own no guest needs them.
    let shares_cores = matches!(os, "windows" | "win10" | "win11") && !is_pinned;
    assert_eq!(has("hv-spinlocks=0x1fff"), shares_cores, "{os}: {cpu}");
    // Linux sees KVM, and that its processors are its own.
    assert_eq!(has("kvm=off"), os != "linux", "{os}: {cpu}");
    for flag in ["kvm-hint-dedicated=on", "kvm-poll-control=on"] {
        assert_eq!(has(flag), os == "linux" && is_pinned, "{os}: {flag} in {cpu}");
    }
    // A clock that the guest may trust is nothing that QEMU would migrate.
    assert_eq!(has("invtsc=on"), has("migratable=off"), "{os}: {cpu}");
    let policy = if os == "win7" { "delay" } else { "discard" };
    assert!(
        any(&format!("\"driver\":\"kvm-pit\",\"property\":\"lost_tick_policy\",\"value\":\"{policy}\""))
            || any(&format!("kvm-pit.lost_tick_policy={policy}")),
        "{os}: {argv:#?}"
    );
    // Of an Intel processor only: the enlightened VMCS.
    assert_eq!(has("hv-evmcs=on"), is_intel && knows_hyperv && os != "win8.1" && can("hv-evmcs=on"), "{os}: {cpu}");
    let clock = begins("-rtc ");
    assert_eq!(clock.starts_with("-rtc base=localtime"), os != "linux", "{os}: {clock:?}");
    let machine = begins("-machine ");
    assert!(machine.contains("mem-merge=off") && machine.contains("kernel_irqchip=on"), "{os}: {machine}");
    // What is pinned for a device is allocated before, by several threads.
    let backend = argv.iter().find(|option| option.contains("memory-backend-")).map(String::as_str).unwrap_or_default();
    assert_eq!(backend.contains("\"prealloc\":true"), any("\"driver\":\"vfio-pci\""), "{os}: {backend}");
    // Nothing is polled for a display that is not there.
    assert!(!any("usb-tablet") && !any("virtio-tablet"), "{os}: {argv:#?}");
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
