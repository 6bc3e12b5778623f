//! `vgapt check` on recorded machines with one thing changed, and before and after `vgapt prepare`.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod command;

use std::fs;
use std::path::Path;
use std::process::Command;

use command::{run, vgapt, without_options};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use vgapt::root::Capture;

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hosts");

/// A recorded machine with more in it.
fn machine(name: &str, more: &str) -> NamedTempFile {
    let place = NamedTempFile::new().unwrap();
    let text = fs::read_to_string(format!("{HOSTS}/{name}.host")).unwrap();
    fs::write(place.path(), format!("{text}{more}")).unwrap();
    place
}

/// The exit code, and what was printed as JSON.
fn check(root: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(root).args(["check", "--json"]).args(arguments).output().unwrap();
    let printed = without_options(&String::from_utf8_lossy(&output.stdout));
    let json = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

/// The first check of this name.
fn one<'a>(report: &'a Value, code: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["code"] == code).unwrap_or_else(|| panic!("there is no {code}"))
}

fn says(check: &Value, state: &str, words: &[&str]) {
    assert_eq!(check["state"], state, "{check}");
    for word in words {
        assert!(check.to_string().contains(word), "{check}\ndoes not say: {word}");
    }
}

fn prepare(tree: &Path, arguments: &[&str]) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(tree).args(["prepare", "--yes"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn before_and_after_prepare() {
    for (name, gpu) in
        [("laptop-8300h-gtx1050-iommu-off", "01:00.0"), ("z370-gt1030-iommu-by-default", "01:00.0"), ("3700x-acs-on", "06:00.0")]
    {
        let tree = TempDir::new().unwrap();
        Capture::load(Path::new(&format!("{HOSTS}/{name}.host"))).unwrap().unpack(tree.path()).unwrap();
        let (code, before) = check(tree.path(), &["--gpu", gpu]);
        assert_eq!(
            (code, before["step"].as_str(), before["next"]["command"].as_str()),
            (Some(1), Some("prepare"), Some(format!("vgapt prepare --gpu {gpu}").as_str())),
            "{name}"
        );
        prepare(tree.path(), &["--gpu", gpu]);
        let (code, after) = check(tree.path(), &[]);
        assert_eq!((code, after["step"].as_str()), (Some(1), Some("reboot")), "{name}: {after}");
        let next = after["next"]["reason"].as_str().unwrap();
        assert!(next.starts_with("run it in that system and reboot it; afterwards: vgapt check --gpu "), "{name}: {after}");
        assert!(!after["checks"].to_string().contains("\"vgapt prepare"), "{name}: {after}");
    }
}

#[test]
fn exit_codes() {
    let run = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_vgapt")).args(arguments).output().unwrap().status.code();
    let ready = format!("{HOSTS}/z690-rx6700xt-rx560-vmd.host");
    assert_eq!(run(&["--root", &ready, "check"]), Some(0));
    assert_eq!(run(&["--root", &ready, "check", "--gpu", "03:00.0"]), Some(1));
    assert_eq!(run(&["--root", &ready, "check", "--gpu", "nonsense"]), Some(2));
    assert_eq!(run(&["--root", &ready, "check", "--gpu", "00:1f.0"]), Some(1));
    assert_eq!(run(&["--connect", "qemu+ssh://elsewhere/system", "check"]), Some(1));
    // Left with the host until the domain starts, a card needs no preparation.
    assert_eq!(run(&["--root", &format!("{HOSTS}/z170-gtx960.host"), "check", "--bind", "start"]), Some(0));
}

#[test]
fn a_card_that_moved() {
    let bound = "[/etc/modprobe.d]\nvgapt.conf |\n| #bound 0000:03:00.0 10de:1401 0000:0000 GTX 960\n| options vfio-pci ids=10de:1401\n";
    let (code, report) = check(machine("z170-gtx960", bound).path(), &[]);
    assert_eq!((code, report["next"]["command"].as_str()), (Some(1), Some("vgapt prepare --gpu 01:00.0")));
    says(one(&report, "moved"), "missing", &["03:00.0", "is there now", "xhci_hcd", "the card is at 01:00.0", "PCI addresses change"]);
}

/// Somebody who names the card where it is now is not told to look for it.
#[test]
fn a_card_that_moved_and_is_named() {
    let bound = "#bound 0000:03:00.0 10de:1401 0000:0000 GTX 960\noptions vfio-pci ids=10de:1401\n";
    let tree = tree_of("z170-gtx960", &[("etc/modprobe.d/vgapt.conf", bound)]);
    let (_, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(said.contains("nothing: it is at 01:00.0 now") && !said.contains("name it with --gpu"), "{said}");
    let (_, said) = planned(tree.path(), &["--pci", "00:14.0", "--allow", "last-keyboard", "--allow", "blocked-group"]);
    assert!(said.contains("name it where it is now: vgapt prepare --gpu 01:00.0"), "{said}");
}

/// Of two equal cards, the one with the host's picture was not the guest's; without a word of who wants it, no binding is lost.
#[test]
fn a_card_that_moved_beside_its_equal() {
    let tree = tree_of("ryzen1-two-rx580", &[]);
    let root = tree.path();
    prepare(root, &["--gpu", "27:00.0"]);
    let file = root.join("etc/modprobe.d/vgapt.conf");
    let moved = fs::read_to_string(&file).unwrap().replace("0000:27:00", "0000:01:00");
    assert!(!moved.contains("ids="), "{moved}");
    fs::write(&file, &moved).unwrap();

    let (_, report) = check(root, &[]);
    assert_eq!(report["next"]["command"], "vgapt prepare --gpu 27:00.0", "{report}");
    says(one(&report, "moved"), "missing", &["01:00.0", "nvme", "the card is at 27:00.0"]);
    assert!(!report.to_string().contains("prepare --gpu 26:00.0"), "{report}");

    for more in [&[][..], &["--hugepages", "4G"]] {
        let (code, said) = planned(root, more);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("it would no longer be bound") && said.contains("vgapt prepare --gpu 27:00.0"), "{said}");
    }
    let (_, said) = planned(root, &["--gpu", "26:00.0"]);
    assert!(said.contains("26:00.0, which is requested, is another one with the same ids") && !said.contains("nothing: it is"), "{said}");
    let (code, said) = planned(root, &["--gpu", "27:00.0"]);
    assert!(code == Some(0) && said.contains("nothing: it is at 27:00.0 now"), "{said}");

    // The guest's card was taken out: what is left is the host's.
    for function in ["0000:27:00.0", "0000:27:00.1"] {
        fs::remove_file(root.join("sys/bus/pci/devices").join(function)).unwrap();
    }
    let (_, report) = check(root, &[]);
    says(one(&report, "moved"), "missing", &["may be at 26:00.0, whose ids are the same", "does not guess between equal cards"]);
    assert!(one(&report, "moved")["command"].is_null(), "{report}");
}

/// Ids take every card that has them, also one that was added since: nobody means that one.
#[test]
fn a_card_that_was_added_and_has_the_ids_of_the_bound_one() {
    let tree = tree_of("ryzen1-two-rx580", &[]);
    let root = tree.path();
    let functions = ["0000:26:00.0", "0000:26:00.1", "0000:27:00.0", "0000:27:00.1"];
    let by_address = "sys/bus/pci/devices";
    let places =
        functions.map(|function| (root.join(by_address).join(function), fs::read_link(root.join(by_address).join(function)).unwrap()));
    for (place, _) in &places[..2] {
        fs::remove_file(place).unwrap();
    }
    prepare(root, &["--gpu", "27:00.0", "--allow", "only-display"]);
    for (place, target) in &places[..2] {
        std::os::unix::fs::symlink(target, place).unwrap();
    }
    let says_so = "/etc/modprobe.d/vgapt.conf binds by ids, so 26:00.0, 26:00.1 are taken too";
    let (_, report) = check(root, &[]);
    says(one(&report, "binding"), "missing", &[says_so, "vgapt prepare --gpu 27:00.0"]);

    for (place, _) in &places {
        let uevent = place.join("uevent");
        let text = fs::read_to_string(&uevent).unwrap();
        let rest: String = text.lines().filter(|line| !line.starts_with("DRIVER=")).map(|line| format!("{line}\n")).collect();
        fs::write(uevent, format!("DRIVER=vfio-pci\n{rest}")).unwrap();
        let driver = place.join("driver");
        if driver.is_symlink() {
            fs::remove_file(&driver).unwrap();
            std::os::unix::fs::symlink("../../../bus/pci/drivers/vfio-pci", &driver).unwrap();
        }
    }
    let (code, report) = check(root, &[]);
    assert_eq!((code, report["cards"].to_string()), (Some(1), r#"["0000:27:00.0"]"#.to_owned()), "{report}");
    says(one(&report, "binding"), "missing", &[says_so]);
    assert_eq!(report["next"]["command"], "vgapt prepare --gpu 27:00.0");
    assert!(!report.to_string().contains("did not find what binds it"), "{report}");
}

#[test]
fn the_binding_switched_off_for_one_boot() {
    let place = machine("z170-gtx960", "[/etc/modprobe.d]\nvgapt.conf |\n| #bound 0000:01:00.0 10de:1401 0000:0000 x\n");
    let tree = TempDir::new().unwrap();
    Capture::load(place.path()).unwrap().unpack(tree.path()).unwrap();
    prepare(tree.path(), &["--gpu", "01:00.0"]);
    let line = tree.path().join("proc/cmdline");
    let text = fs::read_to_string(&line).unwrap();
    fs::write(&line, format!("{} module_blacklist=vfio_pci\n", text.trim())).unwrap();
    says(one(&check(tree.path(), &[]).1, "binding"), "missing", &["disabled for this boot by module_blacklist=vfio_pci", "reboot without"]);
}

#[test]
fn interrupt_remapping() {
    let of = |more: &str| check(machine("z170-gtx960", more).path(), &[]).1;
    says(one(&of("[/proc]\ninterrupts = 0: 1 IR-IO-APIC 2-edge timer\n"), "interrupt-remapping"), "ok", &["on"]);
    says(
        one(&of("[/proc]\ninterrupts = 0: 1 IO-APIC 2-edge timer\n"), "interrupt-remapping"),
        "missing",
        &["x2APIC", "allow_unsafe_interrupts"],
    );
    let accepted = "[/proc]\ninterrupts = 0: 1 PCI-MSI x\n[/sys/module/vfio_iommu_type1/parameters]\nallow_unsafe_interrupts = Y\n";
    says(one(&of(accepted), "interrupt-remapping"), "warning", &["trusted"]);
    says(one(&of(""), "interrupt-remapping"), "unknown", &["the capture does not contain it"]);
    let text = fs::read_to_string(format!("{HOSTS}/z170-gtx960.host")).unwrap();
    let virtio = NamedTempFile::new().unwrap();
    fs::write(virtio.path(), text.replace("dmar0 -> ../../devices/virtual/iommu/dmar0", "virtio0 -> ../../devices/virtio0")).unwrap();
    says(one(&check(virtio.path(), &[]).1, "interrupt-remapping"), "missing", &["a virtio-iommu has none", "intremap='on'"]);
}

#[test]
fn the_kernel_says_why() {
    let log = "[/dev]\nkmsg |\n| 6,1,0,-;Linux version 6.12.0\n| 4,2,1,-;vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem 0xe0000000-0xefffffff 64bit pref]\n| 4,3,1,-;vgapt: 0000:01:00.0 is not 10de:1401 (0000:0000) any more, and is not bound; run: vgapt check\n";
    let (_, report) = check(machine("z170-gtx960", log).path(), &[]);
    says(one(&report, "log-bar"), "warning", &["BAR 1: can't reserve", "boot framebuffer"]);
    says(one(&report, "log-not-bound"), "warning", &["is not bound"]);
    says(one(&check(machine("z170-gtx960", "").path(), &[]).1, "kernel-log"), "unknown", &["dmesg"]);
}

#[test]
fn parameters_that_do_nothing_and_entries_that_differ() {
    let more = "[/boot/grub]\ngrub.cfg |\n| menuentry 'one' {\n|  linux /boot/vmlinuz-6.12 root=1 intel_iommu=on amd_iommu=on video=efifb:off pcie_acs_override=downstream vfio-pci.ids=1:2 vfio-pci.ids=10de:1401\n| }\n| menuentry 'two' {\n|  linux /boot/vmlinuz-6.11 root=1 intel_iommu=on\n| }\n[/etc]\nmodules = vfio_virqfd\n[/etc/modprobe.d]\nkvm.conf = options kvm-amd npt=0\n";
    let (_, report) = check(machine("z170-gtx960", more).path(), &[]);
    says(one(&report, "other-vendor"), "warning", &["amd_iommu=on", "another vendor"]);
    says(one(&report, "efifb-off"), "warning", &["video=efifb:off"]);
    says(one(&report, "acs-override"), "warning", &["seems not to have it"]);
    says(one(&report, "ids-twice"), "warning", &["vfio-pci.ids=1:2"]);
    says(one(&report, "entries-differ"), "warning", &["line 2 (one)", "line 5 (two)"]);
    says(one(&report, "vfio-virqfd"), "warning", &["/etc/modules", "6.2"]);
    says(one(&report, "npt"), "warning", &["/etc/modprobe.d/kvm.conf"]);
    let elsewhere = "[/usr/lib/modprobe.d]\nkvm.conf = options kvm_amd nested=1 npt=0\n";
    says(one(&check(machine("z170-gtx960", elsewhere).path(), &[]).1, "npt"), "warning", &["/usr/lib/modprobe.d/kvm.conf"]);
    let off = "[/boot/grub]\ngrub.cfg |\n| menuentry 'one' {\n|  linux /boot/vmlinuz-6.12 root=1 intel_iommu=off\n| }\n";
    says(one(&check(machine("z170-gtx960", off).path(), &[]).1, "next-boot"), "missing", &["intel_iommu=off", "vgapt prepare"]);
}

#[test]
fn what_sits_on_the_card_s_memory() {
    let map =
        "[/proc]\niomem |\n| 00000000-00000000 : PCI Bus 0000:01\n|   00000000-00000000 : 0000:01:00.0\n|     00000000-00000000 : BOOTFB\n";
    says(one(&check(machine("z170-gtx960", map).path(), &[]).1, "boot-framebuffer"), "warning", &["BOOTFB", "unbind"]);
    let map = map.replace("01:00.0", "04:00.0");
    let (code, report) = check(machine("z690-rx6700xt-rx560-vmd", &map).path(), &[]);
    says(one(&report, "boot-framebuffer"), "missing", &["BOOTFB"]);
    assert_eq!((code, report["step"].as_str()), (Some(1), Some("firmware")));
}

#[test]
fn the_second_best_pages() {
    let of = |mode: &str| {
        let place = machine("z170-gtx960", &format!("[/sys/kernel/mm/transparent_hugepage]\nenabled = {mode}\n"));
        check(place.path(), &["--verbose"]).1
    };
    says(one(&of("always madvise [never]"), "hugepages"), "warning", &["the kernel forms none by itself", "echo madvise > "]);
    says(one(&of("always [madvise] never"), "hugepages"), "ok", &["forms by itself (madvise), which may be fewer and be split again"]);
}

#[test]
fn huge_pages_that_were_not_to_be_had() {
    let more = "[/etc/sysctl.d]\n60-vgapt-hugepages.conf = vm.nr_hugepages = 8192\n[/proc]\nbuddyinfo = Node 0, zone Normal 0 0 0 0 0 0 0 0 0 0 3\n[/sys/kernel/mm/hugepages/hugepages-2048kB]\nnr_hugepages = 100\nfree_hugepages = 100\n";
    let (_, report) = check(machine("z170-gtx960", more).path(), &[]);
    says(one(&report, "hugepages"), "missing", &["8192 pages of 2 MiB are configured, but only 100 exist", "12 MiB of the free memory"]);
    let later = format!("{more}[/usr/local/lib/sysctl.d]\n99-x.conf = -vm/nr_hugepages = 101\n");
    let (_, report) = check(machine("z170-gtx960", &later).path(), &[]);
    says(one(&report, "hugepages"), "missing", &["101 pages of 2 MiB are configured, but only 100 exist"]);
}

#[test]
fn software_where_it_was_recorded() {
    let more = "[/usr/bin]\nvirsh ? 1\nqemu-system-x86_64 ? 1\n[/run/libvirt]\nlibvirt-sock ? 0\n[/dev]\nkvm 660 ? 0\n";
    let (_, report) = check(machine("z170-gtx960", more).path(), &[]);
    let software: Vec<String> =
        report["checks"].as_array().unwrap().iter().filter(|check| check["code"] == "software").map(ToString::to_string).collect();
    assert!(software.iter().any(|check| check.contains("swtpm") && check.contains("apt install swtpm-tools")), "{software:?}");
    says(one(&report, "libvirt-daemon"), "ok", &["/run/libvirt/libvirt-sock"]);
    says(one(&report, "virtio-win"), "warning", &["virtio-win.iso"]);
    says(one(&report, "kvm"), "ok", &["\"seen\":\"exists\""]);
    let (_, without) = check(machine("z170-gtx960", "[/usr/bin]\nsystemctl ? 1\n").path(), &[]);
    assert_eq!(without["step"], "kernel", "no /dev/kvm comes before the software: {without}");
    assert!(without["checks"].to_string().contains("apt install libvirt-daemon-system"));
}

#[test]
fn a_rom_of_another_card_and_one_for_the_bios_only() {
    let rom = |vendor: u16, code: u8| {
        let mut bytes = vec![0_u8; 512];
        bytes[..2].copy_from_slice(&[0x55, 0xaa]);
        bytes[0x0a..0x0c].copy_from_slice(&0x8664_u16.to_le_bytes());
        bytes[0x18] = 0x40;
        bytes[0x40..0x44].copy_from_slice(b"PCIR");
        bytes[0x44..0x46].copy_from_slice(&vendor.to_le_bytes());
        bytes[0x50] = 1;
        bytes[0x54..0x56].copy_from_slice(&[code, 0x80]);
        let place = NamedTempFile::new().unwrap();
        fs::write(place.path(), bytes).unwrap();
        place
    };
    let of = |file: &NamedTempFile| check(machine("z170-gtx960", "").path(), &["--rom", file.path().to_str().unwrap()]).1;
    says(one(&of(&rom(0x10de, 3)), "rom"), "ok", &["UEFI"]);
    says(one(&of(&rom(0x10de, 0)), "rom"), "warning", &["nothing for UEFI", "stays black"]);
    says(one(&of(&rom(0x1002, 3)), "rom"), "warning", &["not for 10de:1401"]);
    says(one(&of(&NamedTempFile::new().unwrap()), "rom"), "warning", &["it is empty"]);
}

/// What check reads is in a capture, so that a bug report shows what the machine showed.
#[test]
fn a_capture_is_checked_like_the_machine() {
    let more = "[/dev]\nkvm 666 ? 0\nkmsg = 6,1,0,-;DMAR: IOMMU disabled\n[/proc]\ninterrupts = 0: 1 IR-PCI-MSI-0000:01:00.0 enx001122334455\nbuddyinfo = Node 0, zone Normal 0 0 0 0 0 0 0 0 0 0 3\n[/usr/bin]\nvirsh ? 1\n[/run/libvirt]\nlibvirt-sock ? 0\n[/usr/share/virtio-win]\nvirtio-win.iso ? 1\n[/sys/devices/pci0000:00/0000:01:00.0]\nrom ? 131072\nd3cold_allowed = 1\n[/lib/modules/6.12.0]\nmodules.builtin = kernel/drivers/vfio/pci/vfio-pci.ko\n";
    let place = machine("z170-gtx960", more);
    let again = NamedTempFile::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(place.path()).arg("capture").output().unwrap();
    fs::write(again.path(), &output.stdout).unwrap();
    let (_, report) = check(place.path(), &[]);
    assert_eq!(check(again.path(), &[]).1, report);
    says(one(&report, "rom"), "unknown", &["it is disabled", "echo 1 >"]);
    says(one(&report, "vfio-module"), "ok", &["built into"]);
    says(one(&report, "d3cold"), "ok", &["D3cold"]);
    // Words stand beside a command, not around it.
    let disabled = one(&report, "log-iommu-disabled");
    let (command, words) = (disabled["command"].as_str().unwrap(), disabled["remedy"].as_str().unwrap());
    assert_eq!(command, "vgapt prepare");
    assert!(!words.contains("vgapt"), "{words}");
    let text = without_options(&run(&mut vgapt(["--root", place.path().to_str().unwrap(), "check"])).stdout);
    assert!(text.contains(&format!("remedy: {command}; {words}")), "{text}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("enx"), "names of interfaces may be addresses");
}

/// Law: nobody is told less by the text than by the JSON, where he wants to know all.
#[test]
fn text_and_json_say_the_same() {
    for name in ["z490-rx6900xt-iommu-off", "b450m-gtx1660-svm-off", "z690-rx6700xt-rx560-vmd"] {
        let root = format!("{HOSTS}/{name}.host");
        let (_, report) = check(Path::new(&root), &[]);
        let text = Command::new(env!("CARGO_BIN_EXE_vgapt")).args(["--root", &root, "check", "--verbose"]).output().unwrap().stdout;
        let text = without_options(&String::from_utf8(text).unwrap());
        for check in report["checks"].as_array().unwrap() {
            for part in ["subject", "seen", "why", "remedy"] {
                assert!(text.contains(check[part].as_str().unwrap()), "{name}: {check}\n{text}");
            }
        }
        for part in [&report["summary"], &report["next"]["reason"]]
            .into_iter()
            .chain(report["next"].get("remedy").filter(|remedy| !remedy.is_null()))
        {
            assert!(text.contains(part.as_str().unwrap()), "{name}: {part}\n{text}");
        }
        assert!(text.contains(report["next"]["command"].as_str().unwrap_or_default()), "{name}:\n{text}");
    }
}

/// A machine with libvirt, whose daemon has run since so many seconds after 1970.
fn with_libvirt(booted: u64) -> TempDir {
    let tree = TempDir::new().unwrap();
    Capture::load(Path::new(&format!("{HOSTS}/z170-gtx960.host"))).unwrap().unpack(tree.path()).unwrap();
    for program in ["usr/bin/virsh", "usr/sbin/libvirtd"] {
        put(tree.path(), program, "");
    }
    put(tree.path(), "run/libvirtd.pid", "812");
    put(tree.path(), "proc/812/comm", "libvirtd\n");
    put(tree.path(), "proc/812/stat", "812 (libvirtd) S 1 812 812 0 -1 4194560 3 4 0 0 5 6 0 0 20 0 17 0 1234 1 2 3\n");
    put(tree.path(), "proc/stat", &format!("cpu 1 2 3\nbtime {booted}\nprocesses 9\n"));
    tree
}

fn put(tree: &Path, path: &str, text: &str) {
    let place = tree.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

fn allow(tree: &Path, path: &str, mode: u32) {
    fs::set_permissions(tree.join(path), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// Where prepare installs no hook, as no libvirt is there to call one, check advises none.
#[test]
fn a_hook_is_advised_where_prepare_installs_it() {
    for (file, is_due) in
        [("usr/bin/virsh", false), ("usr/sbin/libvirtd", true), ("usr/sbin/virtqemud", true), ("etc/libvirt/qemu.conf", true)]
    {
        let tree = tree_of("z170-gtx960", &[(file, "")]);
        let (_, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
        let (_, report) = check(tree.path(), &["--gpu", "01:00.0"]);
        let is_advised = report["checks"].as_array().unwrap().iter().any(|check| check["code"] == "hook");
        assert_eq!((said.contains(HOOK), is_advised), (is_due, is_due), "{file}: {said}");
    }
}

const HOOK: &str = "etc/libvirt/hooks/qemu.d/vgapt";

/// Without it the host's only display is not handed over, wherever the host is read from.
#[test]
fn a_handover_needs_the_hook() {
    let tree = with_libvirt(1000);
    fs::remove_file(tree.path().join("sys/bus/pci/devices/0000:00:02.0")).unwrap();
    let hook = || one(&check(tree.path(), &["--gpu", "01:00.0"]).1, "hook").clone();
    says(&hook(), "missing", &["is not installed", "vgapt prepare --gpu 01:00.0 --bind start", "hands the host's display over"]);
    prepare(tree.path(), &["--gpu", "01:00.0", "--bind", "start"]);
    says(&hook(), "ok", &["is installed"]);
}

#[test]
fn the_hook_is_there_and_can_be_run() {
    let tree = with_libvirt(1000);
    let of = |code: &str| one(&check(tree.path(), &["--gpu", "01:00.0"]).1, code).clone();
    says(&of("hook"), "warning", &["is not installed", "vgapt prepare --gpu 01:00.0", "whoever starts a domain"]);
    prepare(tree.path(), &["--gpu", "01:00.0"]);
    says(&of("hook"), "ok", &["/etc/libvirt/hooks/qemu.d/vgapt is installed"]);
    says(&of("hook-program"), "warning", &["was not found in /etc/libvirt/hooks/vgapt, /usr/bin/vgapt, /usr/sbin/vgapt"]);
    put(tree.path(), "usr/bin/vgapt", "");
    allow(tree.path(), "usr/bin/vgapt", 0o644);
    says(&of("hook-program"), "warning", &["was not found in"]);
    allow(tree.path(), "usr/bin/vgapt", 0o755);
    says(&of("hook-program"), "ok", &["/usr/bin/vgapt is where libvirt may run it"]);
    allow(tree.path(), HOOK, 0o644);
    says(&of("hook"), "warning", &["cannot be executed", "chmod 755 /etc/libvirt/hooks/qemu.d/vgapt"]);
    put(tree.path(), HOOK, "#!/bin/sh\n");
    says(&of("hook"), "warning", &["is not from this version of vgapt", "vgapt prepare"]);
}

#[test]
fn the_hook_is_called() {
    let called = |tree: &TempDir| one(&check(tree.path(), &["--gpu", "01:00.0"]).1, "hook-called").clone();
    let (long_ago, in_a_century) = (1000, 4_918_000_000);
    let tree = with_libvirt(in_a_century);
    prepare(tree.path(), &["--gpu", "01:00.0"]);
    says(&called(&tree), "ok", &["libvirtd has looked for hooks since this one was installed, and has not called it yet"]);
    put(tree.path(), "proc/stat", "cpu 1 2 3\n");
    says(&called(&tree), "unknown", &["because this tree does not contain it"]);

    let tree = with_libvirt(long_ago);
    prepare(tree.path(), &["--gpu", "01:00.0"]);
    let words = ["because libvirtd was started before the hook was installed", "systemctl try-reload-or-restart libvirtd"];
    says(&called(&tree), "unknown", &words);
    put(tree.path(), "run/vgapt/called", "virtqemud 812 1234\n");
    says(&called(&tree), "unknown", &words);
    put(tree.path(), "run/vgapt/called", "libvirtd 812 1234\n");
    says(&called(&tree), "ok", &["libvirtd (pid 812) has called it"]);
    put(tree.path(), "run/vgapt/called", "libvirtd 700 1000\n");
    says(&called(&tree), "ok", &["was started after the last call of the hook"]);
    // Another process has the number by now.
    put(tree.path(), "proc/812/comm", "sleep\n");
    says(&called(&tree), "unknown", &["this tree does not contain it"]);
}

/// A recorded machine as a tree, with more files.
fn tree_of(name: &str, files: &[(&str, &str)]) -> TempDir {
    let tree = TempDir::new().unwrap();
    Capture::load(Path::new(&format!("{HOSTS}/{name}.host"))).unwrap().unpack(tree.path()).unwrap();
    for (path, text) in files {
        put(tree.path(), path, text);
    }
    tree
}

/// The exit code and all that is said.
/// The exit code, and what is planned; without the last line, which names the tree.
fn planned(tree: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(tree).args(["prepare", "--dry-run"]).args(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (
        output.status.code(),
        without_options(&said).lines().filter(|line| !line.starts_with("next: ")).map(|line| format!("{line}\n")).collect(),
    )
}

/// Somebody else's file that takes the card at boot is named, by whatever means it does it.
#[test]
fn what_others_bind() {
    for (path, text, line) in [
        ("usr/local/lib/modprobe.d/cards.conf", "# mine\noptions vfio_pci ids=10de:1401,10de:0fba\n", 2),
        ("etc/driverctl.d/0000:01:00.0", "vfio-pci\n", 1),
        ("etc/udev/rules.d/99-gpu.rules", "ACTION==\"add\", KERNEL==\"0000:01:00.0\", ATTR{driver_override}=\"vfio-pci\"\n", 1),
        (
            "etc/initramfs-tools/scripts/init-top/vfio",
            "#!/bin/sh\nfor dev in 0000:01:00.0; do\n  echo vfio-pci > /sys/bus/pci/devices/$dev/driver_override\ndone\nmodprobe -i vfio-pci\n",
            3,
        ),
        ("etc/initramfs-tools/modules", "vfio\nvfio_pci ids=10de:1401\n", 2),
    ] {
        let tree = tree_of("z170-gtx960", &[(path, text)]);
        let place = format!("/{path}, line {line}");
        let (code, said) = planned(tree.path(), &["--gpu", "01:00.0", "--bind", "start"]);
        assert!(code == Some(1) && said.contains("blocked: ") && said.contains(&place), "{path}: {said}");
        let (_, report) = check(tree.path(), &["--gpu", "01:00.0", "--bind", "start"]);
        says(one(&report, "bound-by-other"), "missing", &[&place, "01:00.0"]);
        assert_eq!(report["ready"], false, "{path}");
    }
    // A domain has it: then it is nobody's mistake.
    let other = ("etc/modprobe.d/usb.conf", "options vfio-pci ids=8086:a12f\n");
    let tree = tree_of("z170-gtx960", &[other]);
    says(one(&check(tree.path(), &["--gpu", "01:00.0"]).1, "also-bound"), "warning", &["/etc/modprobe.d/usb.conf, line 1", "00:14.0 USB"]);
    let domain = "<domain><devices><hostdev type='pci'><source><address domain='0x0000' bus='0x00' slot='0x14' function='0x0'/></source></hostdev></devices></domain>";
    let tree = tree_of("z170-gtx960", &[other, ("etc/libvirt/qemu/a.xml", domain)]);
    assert!(!check(tree.path(), &["--gpu", "01:00.0"]).1.to_string().contains("also-bound"));
    // A domain that cannot be read may have it, or not.
    let tree = tree_of("z170-gtx960", &[other, ("etc/libvirt/qemu/a.xml", "<domain>")]);
    says(
        one(&check(tree.path(), &["--gpu", "01:00.0"]).1, "also-bound"),
        "warning",
        &["it is unknown whether a domain uses it", "/etc/libvirt/qemu/a.xml"],
    );
}

/// What binds the card besides vgapt stays when vgapt's own part is undone, which prepare says.
#[test]
fn what_others_bind_stays_after_undo() {
    for (path, text, remedy) in [
        ("etc/driverctl.d/0000:01:00.0", "vfio-pci\n", "driverctl unset-override 0000:01:00.0"),
        ("etc/initramfs-tools/modules", "vfio_pci ids=10de:1401\n", "from /etc/initramfs-tools/modules, line 1"),
    ] {
        let tree = tree_of("z170-gtx960", &[(path, text)]);
        let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
        assert!(code == Some(0) && said.contains("it still does after vgapt undo") && said.contains(remedy), "{path}: {said}");
        says(one(&check(tree.path(), &["--gpu", "01:00.0"]).1, "bound-by-other"), "warning", &[path]);
        // What is to be left out is said.
        let (_, said) = planned(tree.path(), &["--gpu", "01:00.0", "--bind", "start"]);
        assert!(!said.contains("omit it"), "{path}: {said}");
    }
}

/// A list of a module that is gone breaks the build of the initramfs: every file is named, by prepare too.
#[test]
fn a_module_that_is_gone_in_two_files() {
    let files = [("etc/modules", "vfio_virqfd\n"), ("etc/modules-load.d/vfio.conf", "vfio\nvfio_virqfd\n")];
    let tree = tree_of("z170-gtx960", &files);
    let remedy = "sed -i 's/vfio_virqfd//' /etc/modules /etc/modules-load.d/vfio.conf";
    says(one(&check(tree.path(), &[]).1, "vfio-virqfd"), "warning", &["/etc/modules, /etc/modules-load.d/vfio.conf", remedy]);
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(0) && said.contains("warning: vfio_virqfd is listed in") && said.contains(remedy), "{said}");
}

/// The reason of a warning is in its line, once.
#[test]
fn a_warning_says_why() {
    let place = machine("z170-gtx960", "[/etc/modprobe.d]\nkvm.conf = options kvm-amd npt=0\n");
    let printed = |more: &[&str]| {
        let mut vgapt = Command::new(env!("CARGO_BIN_EXE_vgapt"));
        String::from_utf8(vgapt.arg("--root").arg(place.path()).arg("check").args(more).output().unwrap().stdout).unwrap()
    };
    let line = |text: &str| text.lines().find(|line| line.contains("npt=0: is in ")).unwrap().to_owned();
    assert!(line(&printed(&[])).contains("kvm.conf; "), "{}", line(&printed(&[])));
    assert!(line(&printed(&["-v"])).ends_with("kvm.conf"), "{}", line(&printed(&["-v"])));
}

/// What the next boot is told counts as much as what this one was: update-grub makes it true.
#[test]
fn the_command_line_of_the_next_boot() {
    let text = "# mine\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet vfio-pci.ids=8086:1912 module_blacklist=vfio_pci,vfio\"\n";
    let tree = tree_of("z170-gtx960", &[("etc/default/grub.d/99-gpu.cfg", text)]);
    let place = "/etc/default/grub.d/99-gpu.cfg, line 2";
    for bind in ["boot", "start"] {
        let (code, said) = planned(tree.path(), &["--gpu", "01:00.0", "--bind", bind]);
        let blacklist = format!("blocked: {place} says `module_blacklist=vfio_pci,vfio`");
        assert!(code == Some(1) && said.contains(&blacklist) && said.contains(&format!("{place} also binds 00:02.0")), "{bind}: {said}");
    }
    let (_, report) = check(tree.path(), &["--gpu", "01:00.0"]);
    says(one(&report, "vfio-blacklisted"), "missing", &[place, "remove vfio_pci,vfio from /etc/default/grub.d/99-gpu.cfg, line 2"]);
    says(one(&report, "also-bound"), "warning", &[place]);
    // What vgapt itself keeps for a boot without the binding is no mistake.
    let tree = tree_of("z170-gtx960", &[]);
    put(
        tree.path(),
        "boot/grub/custom.cfg",
        "# Written by `vgapt prepare`, taken away by `vgapt undo`.\nmenuentry 'x' {\n linux /vmlinuz root=1 module_blacklist=vfio_pci\n}\n",
    );
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(0) && !said.contains("blocked"), "{said}");
}

/// vfio-pci is loaded before other drivers, and takes with it what others' ids name: the last display, the last keyboard.
#[test]
fn what_others_ids_take_once_vfio_is_loaded_early() {
    let keyboard = "I: Bus=0003 Vendor=046d Product=c31c Version=0110\nN: Name=\"A keyboard\"\nP: Phys=usb-0000:00:14.0-1/input0\nS: Sysfs=/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/0003:046D:C31C.0001/input/input5\nU: Uniq=\nH: Handlers=sysrq kbd event3 leds\nB: EV=120013\nB: KEY=1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe\n\n";
    let ids = ("run/modprobe.d/x.conf", "options vfio-pci ids=8086:1912,8086:a12f\n");
    let tree = tree_of("z170-gtx960", &[ids, ("proc/bus/input/devices", keyboard)]);
    let gpu = ["--gpu", "01:00.0"].as_slice();
    let (code, said) = planned(tree.path(), gpu);
    for words in [
        "the host has no display: /run/modprobe.d/x.conf, line 1 binds 00:02.0",
        "--allow only-display",
        "last keyboard",
        "--allow last-keyboard",
    ] {
        assert!(code == Some(1) && said.contains(words), "no {words}: {said}");
    }
    assert_eq!(check(tree.path(), gpu).1["ready"], false);
    let (code, said) = planned(tree.path(), &[gpu, &["--allow", "only-display", "--allow", "last-keyboard"]].concat());
    assert!(code == Some(0), "{said}");
    // Left with the host until the start, nothing is loaded early.
    let (code, said) = planned(tree.path(), &[gpu, &["--bind", "start"]].concat());
    assert!(code == Some(0), "{said}");
    // Two cards of one kind: the ids of the one are the ids of the other.
    let tree = tree_of("ryzen1-two-rx580", &[("etc/modprobe.d/vfio.conf", "options vfio-pci ids=1002:67df,1002:aaf0\n")]);
    let (_, report) = check(tree.path(), &[]);
    let card = report["cards"][0].as_str().unwrap().to_owned();
    let (code, said) = planned(tree.path(), &["--gpu", &card]);
    assert!(code == Some(1) && said.contains("--allow only-display"), "{card}: {said}");
}

/// The running kernel has what drives a device, and the list of its modules tells the rest.
#[test]
fn where_vfio_pci_lies() {
    let builtin = ("lib/modules/6.12.0/modules.builtin", "kernel/drivers/iommu/iommufd/iommufd.ko\n");
    let of = |files: &[(&str, &str)]| check(tree_of("z170-gtx960", &[&[builtin], files].concat()).path(), &[]).1;
    says(
        one(&of(&[("lib/modules/6.12.0/modules.dep", "updates/vfio-pci.ko.xz: kernel/vfio.ko.xz\n")]), "vfio-module"),
        "ok",
        &["is a module"],
    );
    says(one(&of(&[("lib/modules/6.12.0/modules.dep", "kernel/drivers/net/x.ko:\n")]), "vfio-module"), "missing", &["is not part of"]);
    says(one(&of(&[]), "vfio-module"), "unknown", &["/lib/modules"]);
    let tree = tree_of("z170-gtx960", &[builtin, ("lib/modules/6.12.0/modules.dep", "")]);
    let event = tree.path().join("sys/bus/pci/devices/0000:01:00.0/uevent");
    let text = fs::read_to_string(&event).unwrap();
    let others: String = text.lines().filter(|line| !line.starts_with("DRIVER=")).map(|line| format!("{line}\n")).collect();
    fs::write(&event, format!("DRIVER=vfio-pci\n{others}")).unwrap();
    says(one(&check(tree.path(), &[]).1, "vfio-module"), "ok", &["a device is bound to it"]);
}

/// kmod runs the first install line for a module, in whichever folder and writing it stands.
#[test]
fn an_install_line_of_others() {
    for (path, text) in [
        ("usr/lib/modprobe.d/disable.conf", "install vfio_pci /bin/false\n"),
        ("run/modprobe.d/a.conf", "# no cards \\\n install x y\ninstall vfio-pci \\\n  /bin/true\n"),
        ("etc/modprobe.d/block.conf", "install vfio* /bin/false\n"),
        ("etc/modprobe.d/blacklist-vfio.conf", "blacklist vfio-pci\n"),
        // Without these vfio-pci cannot be loaded, or maps no memory.
        ("etc/modprobe.d/core.conf", "install vfio_pci_core /bin/false\n"),
        ("usr/lib/modprobe.d/vfio.conf", "install vfio /bin/false\n"),
        ("etc/modprobe.d/type1.conf", "install vfio-iommu-type1 /usr/bin/true\n"),
    ] {
        let tree = tree_of("z170-gtx960", &[(path, text)]);
        let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
        assert!(code == Some(1) && said.contains(&format!("blocked: /{path}, line")), "{path}: {said}");
        says(one(&check(tree.path(), &["--gpu", "01:00.0"]).1, "install-line"), "missing", &[path]);
        assert!(!said.contains("in a way that vgapt does not understand"), "it binds nothing: {said}");
        if text.starts_with("install") {
            let (code, said) = planned(tree.path(), &["--gpu", "01:00.0", "--bind", "start"]);
            assert!(code == Some(1) && said.contains("from being loaded"), "nor can libvirt load it: {said}");
        }
    }
    // Masked by a file of the same name, it says nothing.
    let tree = tree_of("z170-gtx960", &[("usr/lib/modprobe.d/disable.conf", "install vfio_pci /bin/false\n")]);
    fs::create_dir_all(tree.path().join("etc/modprobe.d")).unwrap();
    std::os::unix::fs::symlink("/dev/null", tree.path().join("etc/modprobe.d/disable.conf")).unwrap();
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(0) && !said.contains("blocked"), "{said}");
}

/// Of several softdep lines kmod follows the first: a package's own is kept, with vfio-pci put before it.
#[test]
fn a_dependency_of_others() {
    let package = ("usr/lib/modprobe.d/nvidia-utils.conf", "blacklist nouveau\nsoftdep nvidia post: nvidia-uvm\n");
    let tree = tree_of("z170-gtx960", &[package]);
    prepare(tree.path(), &["--gpu", "01:00.0"]);
    let early = fs::read_to_string(tree.path().join("etc/modprobe.d/00-vgapt.conf")).unwrap();
    assert!(early.contains("\nsoftdep nvidia pre: vfio-pci post: nvidia-uvm\n"), "{early}");
    let (code, again) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(0) && again.contains("already up to date"), "{again}");
    let undone = Command::new(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(tree.path()).args(["undo", "--yes"]).output().unwrap();
    assert!(undone.status.success() && !tree.path().join("etc/modprobe.d/00-vgapt.conf").exists());
}

/// Where the configuration is made from something else, nothing is written, and what belongs there is told.
#[test]
fn generated_configurations() {
    for (release, words) in [
        ("ID=nixos\n", ["boot.initrd.kernelModules", "boot.extraModprobeConfig = \"options vfio-pci ids=10de:1401"].as_slice()),
        ("ID=guix\n", &["kernel-arguments", "\"vfio-pci.ids=10de:1401"]),
        ("ID=\"opensuse-microos\"\nID_LIKE=\"suse opensuse\"\n", &["transactional-update --continue initrd"]),
        ("ID=steamos\nID_LIKE=arch\n", &["steamos-readonly disable"]),
        ("ID=vanilla\nID_LIKE=debian\n", &["abroot kargs edit"]),
        ("ID=talos\n", &["machine.install.extraKernelArgs"]),
    ] {
        let tree = tree_of("z170-gtx960", &[("etc/os-release", release)]);
        let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
        assert!(code == Some(1) && !said.contains("/etc/modprobe.d/vgapt.conf") && !said.contains("\n$ "), "{release}: {said}");
        for word in words {
            assert!(said.contains(word), "{release}: no {word} in {said}");
        }
        let (_, report) = check(tree.path(), &["--gpu", "01:00.0"]);
        says(one(&report, "generated"), "missing", &["vgapt"]);
        // What prepare refuses is no remedy, and not the next step.
        assert!(report["next"]["remedy"].as_str().unwrap().contains(words[0]), "{release}: {}", report["next"]);
        let remedies = report["checks"].as_array().unwrap().iter().map(|check| check["remedy"].as_str().unwrap());
        assert_eq!(remedies.filter(|remedy| remedy.starts_with("vgapt prepare")).collect::<Vec<_>>(), [""; 0], "{release}");
    }
    // Two equal cards have the same ids, which are told once.
    let tree = tree_of("ryzen1-two-rx580", &[("etc/os-release", "ID=nixos\n")]);
    let (_, said) = planned(tree.path(), &["--gpu", "26:00.0", "--gpu", "27:00.0", "--allow", "only-display"]);
    assert!(said.contains("options vfio-pci ids=1002:67df,1002:aaf0\""), "{said}");
    // Systems that have another one's name.
    for (files, words) in [
        ([("usr/bin/midclt", ""), ("etc/version", "25.04.2\n")], "Isolated GPU Devices: 0000:01:00.0"),
        (
            [("usr/sbin/transactional-update", ""), ("proc/mounts", "/dev/sda2 / btrfs ro,relatime 0 0\n")],
            "transactional-update --continue initrd",
        ),
    ] {
        let tree = tree_of("z170-gtx960", &files);
        let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
        assert!(code == Some(1) && said.contains(words) && !said.contains("\n$ "), "{said}");
    }
    let writable = [("usr/sbin/transactional-update", ""), ("proc/mounts", "/dev/sda2 / btrfs rw,relatime 0 0\n")];
    assert_eq!(planned(tree_of("z170-gtx960", &writable).path(), &["--gpu", "01:00.0"]).0, Some(0));
}

/// What a hook asks of libvirt, libvirt waits for.
#[test]
fn hooks_of_others() {
    let hook = "#!/bin/bash\n# virsh is not called here\nsource /etc/libvirt/hooks/kvm.conf\nsystemctl stop display-manager\nvirsh nodedev-detach $GPU\n";
    for folder in ["etc", "var/lib"] {
        let tree = tree_of("z170-gtx960", &[]);
        put(tree.path(), &format!("{folder}/libvirt/hooks/qemu.d/games/prepare/begin/bind.sh"), hook);
        put(tree.path(), &format!("{folder}/libvirt/hooks/network"), "#!/bin/sh\nexit 0\n");
        let (_, report) = check(tree.path(), &["--gpu", "01:00.0"]);
        says(
            one(&report, "other-hook"),
            "warning",
            &["games/prepare/begin/bind.sh", "the domain games", "line 5 calls libvirt: virsh nodedev-detach"],
        );
        assert!(!report.to_string().contains("hooks/network"), "{report}");
    }
    // The usual one for a single card only calls what does it.
    let tree = tree_of("z170-gtx960", &[("usr/local/bin/vfio-startup", "#!/bin/bash\n. /usr/local/bin/vfio-lib\n")]);
    put(tree.path(), "usr/local/bin/vfio-lib", "#!/bin/bash\n\nsystemctl stop display-manager\n/usr/local/bin/vfio-startup\n");
    put(
        tree.path(),
        "etc/libvirt/hooks/qemu",
        "#!/bin/bash\nif [[ $1 == win11 ]]; then\n  vfio-startup 2>&1 | tee -a /var/log/x.log\nfi\n",
    );
    let hook = "/etc/libvirt/hooks/qemu";
    assert!(!check(tree.path(), &[]).1.to_string().contains(hook), "libvirt runs only what can be executed");
    allow(tree.path(), &hook[1..], 0o755);
    says(
        one(&check(tree.path(), &[]).1, "other-hook"),
        "warning",
        &[
            hook,
            "line 3 takes devices",
            "/usr/local/bin/vfio-lib, line 3: systemctl stop display-manager",
            "mv /etc/libvirt/hooks/qemu /root/",
        ],
    );
    // A dispatcher fails over what it may not execute, so that does not take it away; what is moved is gone.
    let tree = tree_of("z170-gtx960", &[]);
    let script = "etc/libvirt/hooks/qemu.d/games/prepare/begin/bind.sh";
    put(tree.path(), script, "#!/bin/sh\nmodprobe -r nvidia\n");
    allow(tree.path(), script, 0o644);
    let report = check(tree.path(), &[]).1;
    let remedy = "mv /etc/libvirt/hooks/qemu.d/games/prepare/begin/bind.sh /root/ && rmdir --ignore-fail-on-non-empty /etc/libvirt/hooks/qemu.d/games/prepare/begin";
    says(one(&report, "other-hook"), "warning", &[remedy]);
    fs::remove_file(tree.path().join(script)).unwrap();
    assert!(!check(tree.path(), &[]).1.to_string().contains("other-hook"));
}

/// A virtual function is made while the system runs.
#[test]
fn a_virtual_function_is_not_bound_at_boot() {
    let tree = tree_of("z170-gtx960", &[]);
    let home = tree.path().join("sys/bus/pci/devices/0000:01:00.0").canonicalize().unwrap();
    std::os::unix::fs::symlink("../../0000:00:02.0", home.join("physfn")).unwrap();
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(1) && said.contains("01:00.0 is a virtual function of 00:02.0") && said.contains("--bind start"), "{said}");
    assert!(!said.contains("0000:01:00.0 10de"), "{said}");
    let (_, report) = check(tree.path(), &["--gpu", "01:00.0"]);
    assert!(!report.to_string().contains("set up to be bound at the next boot"), "{report}");
}

/// What an ordinary user cannot read is unknown, and neither right nor missing.
#[test]
fn an_ordinary_user_is_told_what_is_unknown() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tree = tree_of("z170-gtx960", &[("etc/libvirt/qemu/a.xml", "<domain/>"), ("usr/bin/virsh", ""), ("usr/sbin/libvirtd", "")]);
    put(tree.path(), HOOK, "#!/bin/sh\n");
    allow(tree.path(), "", 0o755);
    let program = tree.path().join("vgapt");
    fs::copy(env!("CARGO_BIN_EXE_vgapt"), &program).unwrap();
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("--root").arg(tree.path());
        let output = command.args(["check", "--json", "--gpu", "01:00.0"]).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    };
    says(one(&as_nobody(), "hook"), "warning", &["is not from this version of vgapt"]);
    allow(tree.path(), "etc/libvirt", 0o700);
    says(one(&as_nobody(), "hook"), "unknown", &["/etc/libvirt/hooks"]);
    says(one(&as_nobody(), "configuration-unread"), "unknown", &["/etc/libvirt/qemu"]);
    says(one(&as_nobody(), "samba-share"), "unknown", &["cannot read /etc/libvirt/qemu: Permission denied"]);
    says(one(&check(tree.path(), &["--gpu", "01:00.0"]).1, "hook"), "warning", &["is not from this version of vgapt"]);
    // A command line that cannot be read may have what keeps the IOMMU on.
    allow(tree.path(), "etc/libvirt", 0o755);
    allow(tree.path(), "proc/cmdline", 0o600);
    says(one(&as_nobody(), "kernel-parameters"), "unknown", &["cannot read /proc/cmdline", "Permission denied"]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("--root").arg(tree.path());
    let output = command.args(["prepare", "--gpu", "01:00.0", "--dry-run"]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("cannot read /proc/cmdline") && said.contains("intel_iommu=on"), "{said}");
}

/// GRUB reads a whole configuration beside itself on the EFI system partition, whatever lies in /boot.
#[test]
fn the_grub_cfg_that_is_read() {
    let entry = "menuentry 'openEuler' {\n\tlinux /vmlinuz-6.12.0 root=1 ro\n\tinitrd /initramfs-6.12.0.img\n}\n";
    let files = [
        ("etc/os-release", "ID=openEuler\nID_LIKE=fedora\n"),
        ("boot/efi/EFI/openEuler/grub.cfg", entry),
        ("boot/grub2/grub.cfg", "menuentry 'old' {\n\tlinux /vmlinuz-old root=1\n}\n"),
        ("usr/sbin/grub2-mkconfig", ""),
        ("usr/bin/dracut", ""),
        ("usr/bin/lsinitrd", ""),
        ("sys/firmware/efi/fw_platform_size", "64\n"),
    ];
    let tree = tree_of("z170-gtx960", &files);
    fs::remove_dir_all(tree.path().join("boot/grub")).unwrap();
    let (_, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(said.contains("$ grub2-mkconfig -o /boot/efi/EFI/openEuler/grub.cfg"), "{said}");
    assert!(said.contains("/boot/efi/EFI/openEuler/custom.cfg new") && !said.contains("/boot/grub2/"), "{said}");
    // Two systems on one partition, and the firmware does not tell which one runs.
    put(tree.path(), "boot/efi/EFI/other/grub.cfg", entry);
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(1) && said.contains("it is uncertain which grub.cfg GRUB reads"), "{said}");
}

/// What cannot be read or understood refuses, and is not taken for nothing.
#[test]
fn unknown_is_not_absent() {
    let kept = "#bound 0000:01:00.0 10de:1401 0000:0000 GTX 960\n#bound 0000:02:00.0 by-serial x\noptions vfio-pci ids=10de:1401\n";
    let tree = tree_of("z170-gtx960", &[("etc/modprobe.d/vgapt.conf", kept)]);
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(1) && said.contains("/etc/modprobe.d/vgapt.conf, line 2 cannot be parsed"), "{said}");

    let tree = tree_of("z170-gtx960", &[]);
    fs::write(tree.path().join("etc/crypttab"), b"# \xff\nroot UUID=1 none tpm2-device=auto\n").unwrap();
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(1) && said.contains("so it is unknown whether the TPM unlocks a disk"), "{said}");

    let tree = tree_of("z170-gtx960", &[]);
    fs::write(tree.path().join("etc/modprobe.d/other.conf"), b"install vfio-pci /bin/\xff\n").unwrap();
    let (code, said) = planned(tree.path(), &["--gpu", "01:00.0"]);
    assert!(code == Some(1) && said.contains("/etc/modprobe.d/other.conf is not valid UTF-8 at byte"), "{said}");
}

/// A comment in Latin-1 hides no words, and a file that is too long to be read is named.
#[test]
fn files_that_are_no_utf_8_or_long_hide_nothing() {
    const TAKES: &str = "echo vfio-pci > /sys/bus/pci/devices/0000:00:02.0/driver_override\n";
    const RULE: &str = "SUBSYSTEM==\"pci\", KERNEL==\"0000:00:02.0\", ATTR{driver_override}=\"vfio-pci\"\n";
    const LINE: &str = "w /sys/bus/pci/devices/0000:00:02.0/driver_override - - - - vfio-pci\n";
    let wanted = ["--gpu", "01:00.0", "--hugepages", "2G"];
    for (path, text) in [
        ("etc/initramfs-tools/hooks/zz", TAKES),
        ("etc/initramfs-tools/scripts/init-top/zz", TAKES),
        ("etc/rc.local", TAKES),
        ("etc/udev/rules.d/zz.rules", RULE),
        ("etc/sysctl.d/zz.conf", "vm.nr_hugepages=9999\n"),
        ("etc/tmpfiles.d/zz.conf", LINE),
        ("etc/initramfs-tools/modules", "vfio-pci ids=8086:1912\n"),
        ("etc/modules-load.d/zz.conf", "vfio-pci ids=8086:1912\n"),
    ] {
        let with = |comment: &[u8]| {
            let tree = tree_of("z170-gtx960", &[(path, "")]);
            fs::write(tree.path().join(path), [b"#!/bin/sh\n# ", comment, b"\n", text.as_bytes()].concat()).unwrap();
            tree
        };
        let answer = |root: &Path| planned(root, &wanted);
        let plain = answer(with("f\u{fc}r".as_bytes()).path());
        assert!(plain.1.contains(&format!("/{path}")), "{path}: {}", plain.1);
        let latin = with(b"f\xfcr");
        assert_eq!(answer(latin.path()), plain, "{path}");
        // So does its capture.
        let capture = latin.path().join("it.host");
        let mut vgapt = Command::new(env!("CARGO_BIN_EXE_vgapt"));
        let output = vgapt.arg("--root").arg(latin.path()).args(["capture", "--yes"]).arg(&capture).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let of_capture = answer(&capture);
        let binds = |said: &str| said.matches("00:02.0").count();
        assert_eq!((of_capture.0, binds(&of_capture.1)), (plain.0, binds(&plain.1)), "{path}: {}", of_capture.1);

        let long = answer(with(&vec![b'#'; 1 << 20]).path());
        assert_eq!(long.0, Some(1), "{path}: {}", long.1);
        for words in [&format!("/{path} is longer than 1024 KiB"), "remedy: correct or remove it"] {
            assert!(long.1.contains(words), "{path}: {}", long.1);
        }
    }
    // A script that a rule runs.
    let rule = "ACTION==\"add\", RUN+=\"/usr/local/bin/take\"\n";
    let tree = tree_of(
        "z170-gtx960",
        &[("etc/udev/rules.d/zz.rules", rule), ("usr/local/bin/take", &format!("#!/bin/sh\n{}{TAKES}", "#\n".repeat(40 << 10)))],
    );
    let (code, said) = planned(tree.path(), &wanted);
    assert!(code == Some(1) && said.contains("/usr/local/bin/take, line"), "{said}");
}

/// The listing of the groups tells them where the functions' own links are missing.
#[test]
fn groups_that_cannot_be_listed_are_unknown() {
    let tree = tree_of("z170-gtx960", &[]);
    let devices = tree.path().join("sys/bus/pci/devices");
    for device in fs::read_dir(&devices).unwrap() {
        let link = device.unwrap().path().join("iommu_group");
        if link.symlink_metadata().is_ok() {
            fs::remove_file(link).unwrap();
        }
    }
    let groups = tree.path().join("sys/kernel/iommu_groups");
    if groups.exists() {
        fs::remove_dir_all(&groups).unwrap();
    }
    let listed = || {
        let output = Command::new(env!("CARGO_BIN_EXE_vgapt")).arg("--root").arg(tree.path()).arg("list").output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    assert!(!listed().contains("/sys/kernel/iommu_groups"), "{}", listed());
    // A folder that cannot be read, by root neither.
    fs::create_dir_all(groups.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("iommu_groups", &groups).unwrap();
    assert!(listed().contains("cannot read /sys/kernel/iommu_groups"), "{}", listed());
}

/// What a rule removed at boot is in no list; a rule that matches what is here is told by the plan.
#[test]
fn a_function_that_a_udev_rule_removed() {
    let rule = |vendor: &str| {
        format!(
            "[/etc/udev/rules.d]\nzz-gpu.rules = ACTION==\"add\", SUBSYSTEM==\"pci\", ATTR{{vendor}}==\"{vendor}\", ATTR{{remove}}=\"1\"\n"
        )
    };
    let (_, report) = check(machine("z170-gtx960", &rule("0x1002")).path(), &[]);
    says(one(&report, "removed-functions"), "warning", &["/etc/udev/rules.d/zz-gpu.rules, line 1", "0x1002", "remove that rule"]);
    let (_, report) = check(machine("z170-gtx960", &rule("0x10de")).path(), &[]);
    assert!(!report.to_string().contains("removed-functions"), "{report}");
}

/// Nothing is known of the hardware where there is no sysfs: that is no host without a card, and not a ready one.
#[test]
fn without_sysfs_the_cards_are_unknown() {
    let root = tempfile::tempdir().unwrap();
    let on = |arguments: &[&str]| command::run(command::vgapt(["--root", root.path().to_str().unwrap()]).args(arguments));
    let listed = on(&["list"]).with(1).stdout;
    for said in
        ["unknown: /sys/bus/pci/devices: there is no sysfs here", "Which graphics cards there are is unknown.", "next: make sysfs visible"]
    {
        assert!(listed.contains(said), "{said}\n{listed}");
    }
    let checked = on(&["check"]).with(1).stdout;
    assert!(checked.contains("missing graphics card: which there are is unknown: /sys/bus/pci/devices"), "{checked}");
    // With sysfs and without a PCI bus, there is none.
    fs::create_dir_all(root.path().join("sys/bus/usb/devices")).unwrap();
    let checked = on(&["check"]).with(1).stdout;
    assert!(checked.contains("missing graphics card: no graphics card was found"), "{checked}");
}
