//! What others change in a domain, and what defining it again leaves and takes out.

use std::fs;
use std::path::Path;
use std::thread;

use super::command::{command, run};
use super::libvirt::{Libvirt, have};
use super::lines::{changes, elements, flat};
use super::{DAEMON, EVERYTHING, QEMU, words};

const VIRTINST: [&str; 3] = ["virt-xml", "virt-clone", "qemu-img"];
const VCPU: [&str; 2] = ["<vcpu placement='static'>4</vcpu>", "<vcpu placement='static'>6</vcpu>"];

/// That one thing changed and nothing else: the number, and who has which.
#[track_caller]
fn only_cpus(before: &str, after: &str) {
    let (gone, come) = changes(before, after);
    let topology = |lines: &[String], cores: &str| {
        lines.iter().any(|line| line.starts_with("<topology sockets='1'") && line.contains(&format!("cores='{cores}'")))
    };
    let placed = |line: &String| line.starts_with("<vcpupin ") || line.starts_with("<emulatorpin ") || line.starts_with("<iothreadpin ");
    let besides = |lines: Vec<String>| lines.into_iter().filter(|line| !placed(line)).collect::<Vec<_>>();
    let (gone, come) = (besides(gone), besides(come));
    assert!(gone.len() == 2 && gone[0] == VCPU[0] && topology(&gone, "2"), "{gone:#?}");
    assert!(come.len() == 2 && come[0] == VCPU[1] && topology(&come, "3"), "{come:#?}");
}

#[test]
fn what_others_change_stays() {
    if !have("changes by virsh and virt-xml", &[&DAEMON[..], &VIRTINST].concat()) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let disk = libvirt.path("win10.qcow2");
    run(command("qemu-img").args(["create", "-q", "-f", "qcow2", &disk, "1G"])).with(0);
    libvirt.define_new(&words(EVERYTHING, &["win10", "--disk", &disk])).with(0);
    let fresh = libvirt.xml("win10");

    libvirt.virsh(&["setmaxmem", "win10", "6G", "--config"]);
    libvirt.virsh(&["setmem", "win10", "6G", "--config"]);
    let virt_xml = |arguments: &[&str]| drop(run(command("virt-xml").args(["--connect", &libvirt.uri, "win10"]).args(arguments)).with(0));
    virt_xml(&["--edit", "target=sda", "--disk", "cache=none"]);
    virt_xml(&["--edit", "1", "--hostdev", "xpath1.set=./rom/@file,xpath1.value=/vm/gm206.rom"]);
    virt_xml(&["--add-device", "--graphics", "vnc,password=geheim,listen=127.0.0.1"]);
    virt_xml(&["--add-device", "--disk", &format!("{},size=1,bus=virtio", libvirt.path("games.qcow2"))]);
    virt_xml(&["--edit", "--metadata", "title=Mine"]);
    // virsh edit: the editor puts in an element that vgapt writes too, and changes one of its own.
    let editor = libvirt.path("editor");
    fs::write(&editor, "sed -i -e 's,<acpi/>,<acpi/><pae/>,' -e \"s,managed='yes',managed='no',\" \"$1\"").unwrap();
    run(command("virsh").args(["-q", "-c", &libvirt.uri, "edit", "win10"]).env("EDITOR", format!("sh {editor}"))).with(0);

    let changed = libvirt.xml("win10");
    let (_, come) = changes(&fresh, &changed);
    for line in [
        "<memory unit='KiB'>6291456</memory>",
        "<driver name='qemu' type='qcow2' cache='none' discard='unmap'/>",
        "<rom file='/vm/gm206.rom'/>",
        "<pae/>",
        "<title>Mine</title>",
    ] {
        assert!(come.iter().any(|come| come == line), "no {line} in {come:#?}");
    }
    assert!(changed.contains("passwd='geheim'") && changed.contains("games.qcow2") && changed.contains("managed='no'"), "{changed}");

    // Again, without options and with the very same: nothing.
    let same = libvirt
        .vgapt(&["define", "win10"])
        .with(0)
        .saying(&["already up to date", "memory was changed by hand to 6 GiB and stays as it is"]);
    assert!(!same.stderr.contains("geheim") && !same.stderr.contains("+++"), "{}", same.stderr);
    libvirt.vgapt(&words("define win10", &words(EVERYTHING, &["--disk", &disk]))).with(0).saying(&["already up to date"]);
    assert_eq!(libvirt.xml("win10"), changed);

    // One option has another value: that alone.
    libvirt.vgapt(&["-v", "define", "win10", "--cpus", "6"]).with(0).saying(&[
        "processors 4 → 6",
        "-  <vcpu placement='static'>4</vcpu>",
        "+  <vcpu placement='static'>6</vcpu>",
    ]);
    let six = libvirt.xml("win10");
    only_cpus(&changed, &six);

    // The memory is spoken of: its value wins, and nothing else.
    libvirt.vgapt(&["define", "win10", "--memory", "5G"]).with(0);
    let (gone, come) = changes(&six, &libvirt.xml("win10"));
    assert_eq!(gone, ["<memory unit='KiB'>6291456</memory>", "<currentMemory unit='KiB'>6291456</currentMemory>"]);
    assert_eq!(come, ["<memory unit='KiB'>5242880</memory>", "<currentMemory unit='KiB'>5242880</currentMemory>"]);
    libvirt.vgapt(&["define", "win10"]).with(0).saying(&["already up to date"]);

    // Another image in an owned disk: its cache mode is not spoken of.
    libvirt.vgapt(&["define", "win10", "--disk", "/vm/other.qcow2"]).with(0);
    let other = libvirt.xml("win10");
    assert!(
        flat(&other).contains("<driver name='qemu' type='qcow2' cache='none' discard='unmap'/><source file='/vm/other.qcow2'/>"),
        "{other}"
    );
    assert!(other.contains("passwd='geheim'") && other.contains("<rom file='/vm/gm206.rom'/>") && other.contains("games.qcow2"), "{other}");
}

#[test]
fn a_clone_keeps_its_own_disk() {
    if !have("virt-clone", &[&DAEMON[..], &VIRTINST].concat()) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let disk = libvirt.path("win10.qcow2");
    run(command("qemu-img").args(["create", "-q", "-f", "qcow2", &disk, "1G"])).with(0);
    let arguments = ["win10", "--gpu", "01:00.0", "--keyboard", "046d:c31c", "--memory", "4G", "--cpus", "4", "--disk", &disk];
    libvirt.define_new(&arguments).with(0);
    run(command("virt-clone").args(["--connect", &libvirt.uri, "--original", "win10", "--auto-clone"])).with(0);
    let (original, clone) = (libvirt.xml("win10"), libvirt.xml("win10-clone"));
    let own = format!("<source file='{}'/>", libvirt.path("win10-clone.qcow2"));
    assert!(clone.contains(&own) && clone.contains("win10-clone_VARS.fd") && clone.contains("<vgapt:domain"), "{clone}");

    libvirt.vgapt(&["define", "win10-clone"]).with(0).saying(&[
        "already up to date",
        "the domain has",
        "win10-clone.qcow2; this stays unchanged",
    ]);
    let shown = libvirt.vgapt(&["show", "win10-clone"]).with(0).stdout;
    let own_disk = format!("disk = [\"{}\"]", libvirt.path("win10-clone.qcow2"));
    assert!(shown.contains(&own_disk) && shown.contains(&format!("# the disk {disk} was requested, but the domain has")), "{shown}");
    libvirt.vgapt(&["define", "win10-clone", "--cpus", "6"]).with(0);
    let six = libvirt.xml("win10-clone");
    only_cpus(&clone, &six);
    assert!(six.contains(&own), "{six}");
    libvirt.vgapt(&["define", "win10-clone", "--no-gpu"]).with(0);
    assert!(!libvirt.xml("win10-clone").contains("type='pci' managed"));

    assert_eq!(libvirt.xml("win10"), original);
    libvirt.vgapt(&["define", "win10"]).with(0).saying(&["already up to date"]);
    // Both at once: several clients on one daemon.
    thread::scope(|scope| {
        let defines = ["win10", "win10-clone"].map(|name| scope.spawn(|| libvirt.vgapt(&["define", name, "--cpus", "8"]).with(0)));
        for define in defines {
            define.join().unwrap();
        }
    });
    assert!(["win10", "win10-clone"].iter().all(|name| libvirt.xml(name).contains("<vcpu placement='static'>8</vcpu>")));
    libvirt.vgapt(&["undefine", "win10-clone"]).with(0);
    assert!(Path::new(&libvirt.path("win10-clone.qcow2")).exists());
}

#[test]
fn taking_out() {
    if !have("taking out", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    libvirt.define_new(&words("win10 --hugepages --usb 046d:c52b --disk /vm/win10.qcow2", &words(EVERYTHING, &[]))).with(0);
    // Somebody's own USB device, PCI function and disk are nobody else's to take out.
    let foreign = [
        (
            "usb",
            "<hostdev mode='subsystem' type='usb' managed='yes'><source><vendor id='0x1234'/><product id='0x5678'/></source></hostdev>",
        ),
        (
            "pci",
            "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0' bus='3' slot='0' function='0'/></source></hostdev>",
        ),
        ("disk", "<disk type='file' device='disk'><source file='/vm/games.img'/><target dev='vda' bus='virtio'/></disk>"),
    ];
    for (name, xml) in foreign {
        let file = libvirt.path(name);
        fs::write(&file, xml).unwrap();
        libvirt.virsh(&["attach-device", "win10", &file, "--config"]);
    }
    let mut before = libvirt.xml("win10");
    assert_eq!(before.matches("ua-vgapt-").count(), 10, "{before}");
    for (option, aliases, taken) in [
        ("--no-usb", "ua-vgapt-usb-", 3),
        ("--no-hugepages", "none has", 0),
        ("--no-virtio-iso", "ua-vgapt-cdrom-virtio", 1),
        ("--no-gpu", "ua-vgapt-gpu-", 2),
        ("--no-cdrom", "ua-vgapt-cdrom-install", 1),
        ("--no-disk", "ua-vgapt-disk-", 1),
    ] {
        libvirt.vgapt(&["define", "win10", option]).with(0);
        let after = libvirt.xml("win10");
        let ((disks, hostdevs, rest), (disks_now, hostdevs_now, rest_now)) = (parts(&before), parts(&after));
        let there: Vec<&String> = disks.iter().chain(&hostdevs).collect();
        let there_now: Vec<&String> = disks_now.iter().chain(&hostdevs_now).collect();
        assert_eq!(there_now, there.iter().copied().filter(|device| !device.contains(aliases)).collect::<Vec<_>>(), "{option}");
        assert_eq!(there_now.len() + taken, there.len(), "{option}");
        let also: &[&str] = match option {
            "--no-hugepages" => &["<hugepages/>"],
            // What is there for a passed device only.
            "--no-gpu" => &[
                "<ioapic driver='kvm'/>",
                "<maxphysaddr mode='passthrough'/>",
                "<feature policy='require' name='invtsc'/>",
                "<allocation mode='immediate'/>",
            ],
            _ => &[],
        };
        assert!(also.iter().all(|element| rest.contains(element)), "{option}: {rest}");
        let rest = if option == "--no-hugepages" {
            // Ordinary memory is allocated at once instead.
            rest.replace("<hugepages/><nosharepages/>", "<hugepages/><nosharepages/><allocation mode='immediate'/>")
        } else {
            rest
        };
        let mut rest_without = also.iter().fold(rest.clone(), |rest, element| rest.replace(element, ""));
        if option == "--no-gpu" {
            // Without a passed device it can be saved again.
            rest_without = rest_without.replace("migratable='off'", "migratable='on'");
        }
        assert!(rest_now == rest_without, "{option}:\n{rest}\n{rest_now}");
        libvirt.vgapt(&["define", "win10"]).with(0).saying(&["already up to date"]);
        before = after;
    }
    // The network card stays: every machine has one.
    assert_eq!(before.matches("ua-vgapt-").count(), 1, "{before}");
}

/// A domain's disks, its hostdevs, and the rest but for vgapt's record and the name of its root port: in the place of that
/// port libvirt puts one of its own, since others sit on the same slot.
fn parts(xml: &str) -> (Vec<String>, Vec<String>, String) {
    let (disks, hostdevs) = (elements(xml, "disk"), elements(xml, "hostdev"));
    let lines: Vec<&str> = xml.lines().filter(|line| !line.contains("<vgapt:domain") && !line.contains("ua-vgapt-port-")).collect();
    let rest = disks.iter().chain(&hostdevs).fold(flat(&lines.join("\n")), |rest, device| rest.replace(device, ""));
    (disks, hostdevs, rest)
}
