//! Devices for a domain of somebody else's, and out again.

use std::fs;

use super::DAEMON;
use super::libvirt::{Libvirt, have};
use super::lines::changes;

/// As virt-manager makes one: bus 1 is taken, and there is a balloon.
const OWN: &str = "<domain type='KIND'><name>own</name><memory unit='GiB'>4</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/><apic/></features>
  <devices><interface type='user'><model type='virtio'/></interface><video><model type='vga'/></video>
  <graphics type='vnc' passwd='geheim'/><memballoon model='virtio'/></devices></domain>";

#[test]
fn attach_and_detach() {
    if !have("attach on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let file = libvirt.path("own.xml");
    fs::write(&file, OWN.replace("KIND", if libvirt.kvm { "kvm" } else { "qemu" })).unwrap();
    libvirt.virsh(&["define", &file]);
    let before = libvirt.xml("own");
    libvirt.vgapt(&["detach", "own"]).with(1).saying(&["vgapt has attached nothing to 'own'"]);

    libvirt.vgapt(&["attach", "own", "--gpu", "01:00.0"]).with(0).saying(&["'own' now has the devices"]);
    let with = libvirt.xml("own");
    let (gone, _) = changes(&before, &with);
    assert!(gone.iter().all(|line| line.contains("memballoon") || line.starts_with("<address type='pci'")), "{gone:#?}");
    assert!(with.contains("<memballoon model='none'/>") && with.contains("ua-vgapt-gpu-0000-01-00-1"), "{with}");
    let port = with.split("ua-vgapt-port-0000-01-00-0").next().unwrap().rsplit("<controller ").next().unwrap();
    assert!(!port.contains("index='1'"), "bus 1 is taken: {port}");
    libvirt.vgapt(&["attach", "own", "--gpu", "01:00.0"]).with(0).saying(&["already up to date"]);
    let explained = libvirt.vgapt(&["explain", "own"]).with(0).stdout;
    for words in
        ["features/ioapic driver='kvm': KVM's interrupt controller", "devices/memballoon", "devices/hostdev ua-vgapt-gpu-0000-01-00-0"]
    {
        assert!(explained.contains(words), "no {words} in {explained}");
    }
    let shown = libvirt.vgapt(&["show", "own"]).with(0).stdout;
    assert!(shown.contains("passed through: 0000:01:00.0 is 10de:1401") && shown.contains("gpu = [\"0000:01:00.0\"]"), "{shown}");

    // What is attached later comes beside it, and is known again where its aliases are gone.
    libvirt.vgapt(&["attach", "own", "--gpu", "00:02.0", "--force"]).with(0);
    let both = libvirt.xml("own");
    assert!(both.contains("ua-vgapt-gpu-0000-01-00-1") && both.contains("ua-vgapt-gpu-0000-00-02-0"), "{both}");
    let nameless: String = both.lines().filter(|line| !line.contains("ua-vgapt-gpu-")).map(|line| format!("{line}\n")).collect();
    fs::write(&file, nameless).unwrap();
    libvirt.virsh(&["define", &file]);

    // Somebody changes something else meanwhile.
    libvirt.virsh(&["setvcpus", "own", "1", "--config"]);
    libvirt.vgapt(&["detach", "own"]).with(0).saying(&["'own' is as before"]);
    let (gone, come) = changes(&before, &libvirt.xml("own"));
    assert_eq!(
        (gone, come),
        (vec!["<vcpu placement='static'>2</vcpu>".into()], vec!["<vcpu placement='static' current='1'>2</vcpu>".into()])
    );

    // What define changes in between is the user's wish, and all else is what it was.
    libvirt.virsh(&["setvcpus", "own", "2", "--config"]);
    assert_eq!(libvirt.xml("own"), before);
    libvirt.vgapt(&["attach", "own", "--gpu", "01:00.0"]).with(0);
    libvirt.vgapt(&["define", "own", "--memory", "2G"]).with(0);
    libvirt.vgapt(&["detach", "own"]).with(0).saying(&["'own' is as before"]);
    let memory = |kib: u32| vec![format!("<memory unit='KiB'>{kib}</memory>"), format!("<currentMemory unit='KiB'>{kib}</currentMemory>")];
    assert_eq!(changes(&before, &libvirt.xml("own")), (memory(4 << 20), memory(2 << 20)));
    // define gives devices too, and what was in the way of them comes back.
    libvirt.vgapt(&["define", "own", "--gpu", "01:00.0", "--memory", "4G", "--no-pin"]).with(0).saying(&["'own' was not defined by vgapt"]);
    let with = libvirt.xml("own");
    assert!(with.contains("<memballoon model='none'/>") && with.contains("ua-vgapt-gpu-0000-01-00-0"), "{with}");
    libvirt.vgapt(&["define", "own", "--no-gpu"]).with(0);
    assert!(libvirt.xml("own").contains("<memballoon model='virtio'"), "no device is left to be in the way of");
    libvirt.vgapt(&["define", "own", "--gpu", "01:00.0"]).with(0);
    libvirt.vgapt(&["detach", "own"]).with(0);
    assert_eq!(changes(&before, &libvirt.xml("own")), (vec![], vec![]));

    libvirt.define_new(&["ours", "--gpu", "01:00.0"]).with(0);
    libvirt.vgapt(&["detach", "ours"]).with(1).saying(&["was defined by vgapt"]);
}

/// What a domain gives to QEMU by options of QEMU's own is as much its device as a hostdev.
#[test]
fn a_card_in_the_command_line_is_shown() {
    if !have("attach on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let file = libvirt.path("own.xml");
    let option = "<q:commandline><q:arg value='-device'/><q:arg value='vfio-pci,host=01:00.0'/></q:commandline></domain>";
    let own = OWN.replace("KIND", if libvirt.kvm { "kvm" } else { "qemu" }).replace("</domain>", option);
    fs::write(&file, own.replacen("<domain ", "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0' ", 1)).unwrap();
    libvirt.virsh(&["define", &file]);
    assert!(!libvirt.xml("own").contains("<hostdev"));
    let shown = libvirt.vgapt(&["status", "own"]).with(0).stdout;
    assert!(shown.contains("01:00.0") && shown.contains("GTX 960"), "{shown}");
}
