//! A virtual function (SR-IOV) of a network card is an `<interface>`, with a MAC address that stays; others are hostdevs.

use std::fs;

use super::QEMU;
use super::command::{Ran, Z170, run, vgapt};
use super::libvirt::{Libvirt, have};
use super::lines::elements;

/// Added to a recorded machine: a network card with virtual functions on no driver, and one of another kind that a variant
/// driver of VFIO has.
const MORE: &str = "
[/sys/bus/pci/devices]
0000:06:00.0 -> ../../../devices/pci0000:00/0000:06:00.0
0000:06:10.0 -> ../../../devices/pci0000:00/0000:06:10.0
0000:06:10.2 -> ../../../devices/pci0000:00/0000:06:10.2
0000:06:11.0 -> ../../../devices/pci0000:00/0000:06:11.0
[/sys/devices/pci0000:00/0000:06:00.0]
iommu_group -> ../../../kernel/iommu_groups/60
sriov_totalvfs = 7
uevent |
| DRIVER=igb
| PCI_CLASS=20000
| PCI_ID=8086:10C9
[/sys/devices/pci0000:00/0000:06:10.0]
iommu_group -> ../../../kernel/iommu_groups/61
physfn -> ../0000:06:00.0
uevent |
| PCI_CLASS=20000
| PCI_ID=8086:10CA
[/sys/devices/pci0000:00/0000:06:10.2]
iommu_group -> ../../../kernel/iommu_groups/62
physfn -> ../0000:06:00.0
uevent |
| PCI_CLASS=20000
| PCI_ID=8086:10CA
[/sys/devices/pci0000:00/0000:06:11.0]
iommu_group -> ../../../kernel/iommu_groups/63
physfn -> ../0000:06:00.0
uevent |
| DRIVER=nvidia-vgpu-vfio
| PCI_CLASS=30200
| PCI_ID=10DE:2236
";

fn attribute<'x>(xml: &'x str, before: &str) -> &'x str {
    xml.split(before).nth(1).and_then(|rest| rest.split('\'').next()).unwrap_or_default()
}

#[test]
fn a_network_card_is_an_interface_and_keeps_its_address() {
    if !have("virtual functions on the embedded QEMU driver", &QEMU) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let machine = libvirt.path("machine.host");
    fs::write(&machine, fs::read_to_string(Z170).unwrap() + MORE).unwrap();
    let on = |arguments: &[&str]| -> Ran { run(&mut vgapt(["--root", &machine, "-c", &libvirt.uri].iter().chain(arguments))) };
    let template = libvirt.template("linux");
    let define = |pci: &[&str]| -> Ran {
        let options: Vec<&str> = template.iter().map(String::as_str).collect();
        on(&[&["define", "it", "--network", "none", "--pci"], pci, &options[..]].concat())
    };
    let interface = || {
        let xml = libvirt.xml("it");
        let found = elements(&xml, "interface");
        let own = found.iter().find(|one| one.contains("ua-vgapt-pci-0000-06-10-0")).unwrap_or_else(|| panic!("{xml}"));
        own.clone()
    };

    // libvirt chooses the address once.
    define(&["06:10.0"]).with(0);
    let first = interface();
    assert!(first.starts_with("<interface type='hostdev' managed='yes'>"), "{first}");
    assert!(first.contains("bus='0x06' slot='0x10' function='0x0'"), "{first}");
    let mac = attribute(&first, "<mac address='").to_owned();
    let byte = u8::from_str_radix(&mac[..2], 16).unwrap();
    assert!(byte & 2 == 2 && byte & 1 == 0, "locally administered: {mac}");
    define(&["06:10.0"]).with(0).saying(&["already up to date"]);
    let words = format!("MAC address {mac}, no VLAN → MAC address {mac}, VLAN 42");
    define(&["06:10.0,vlan=42", "06:11.0"]).with(0).saying(&[&words]);
    let with = interface();
    assert_eq!(attribute(&with, "<mac address='"), mac);
    assert!(with.contains("<tag id='42'/>"), "{with}");

    // A variant driver stays.
    let hostdevs = elements(&libvirt.xml("it"), "hostdev");
    assert!(hostdevs.iter().any(|one| one.contains("06-11-0") && one.contains("managed='no'")), "{hostdevs:?}");

    let words = format!("MAC address {mac}, VLAN 42 → MAC address 52:54:00:12:34:56, no VLAN");
    define(&["06:10.0,mac=52:54:00:12:34:56"]).with(0).saying(&[&words]);
    let changed = interface();
    assert!(changed.contains("52:54:00:12:34:56") && !changed.contains("<vlan>"), "{changed}");
    on(&["define", "it"]).with(0).saying(&["already up to date"]);
    assert!(on(&["explain", "it"]).with(0).stdout.contains("ua-vgapt-pci-0000-06-10-0"));
    assert!(on(&["status", "it"]).with(0).stdout.contains("06:10.0"));
    define(&["06:11.0,vlan=3"]).with(1).saying(&["is no virtual function of a network card"]);

    on(&["define", "it", "--no-pci"]).with(0);
    assert!(!libvirt.xml("it").contains("06-10-0"));
}
