//! Devices, and other names of QEMU.

use super::convert::{has, write};
use crate::xml::Fragment;

/// Devices, and other names of QEMU: the element of libvirt, or the group that a function looks for, and what is written into it.
/// A place without a value gets the name itself; `@model=virtio` stands for the virtio model of the device.
pub(in crate::import) const NAMES: &[(&str, &str, &str)] = &[
    ("virtio-blk-pci virtio-blk virtio-blk-pci-non-transitional", "disk", "@bus=virtio @device=disk"),
    // On a machine with PCI Express `ide` is SATA.
    ("ide-hd ide-drive", "disk", "@bus=ide @device=disk"),
    ("ide-cd", "disk", "@bus=ide @device=cdrom"),
    ("scsi-hd scsi-disk", "disk", "@bus=scsi @device=disk"),
    ("scsi-cd", "disk", "@bus=scsi @device=cdrom"),
    ("scsi-block", "disk", "@bus=scsi @device=lun"),
    ("usb-storage", "disk", "@bus=usb @device=disk"),
    ("vhost-user-blk-pci vhost-user-blk vhost-user-blk-pci-non-transitional", "disk vhostuser", "@type=vhostuser source@type=unix"),
    ("floppy", "disk", "@bus=fdc @device=floppy"),
    ("virtio-scsi-pci virtio-scsi virtio-scsi-pci-non-transitional", "controller scsi", "@model=virtio-scsi"),
    ("lsi lsi53c895a", "controller scsi", "@model=lsilogic"),
    ("megasas", "controller scsi", "@model=lsisas1078"),
    ("mptsas1068", "controller scsi", "@model=lsisas1068"),
    ("pvscsi", "controller scsi", "@model=vmpvscsi"),
    ("am53c974 dc390", "controller scsi", "@model"),
    ("ahci ich9-ahci", "controller sata", ""),
    ("isa-fdc", "controller fdc", ""),
    ("qemu-xhci", "controller usb", "@model"),
    ("nec-usb-xhci", "controller usb", "@model=nec-xhci"),
    ("usb-ehci", "controller usb", "@model=ehci"),
    ("ich9-usb-ehci1", "controller usb", "@model=ich9-ehci1"),
    ("ich9-usb-uhci1", "controller usb", "@model=ich9-uhci1"),
    ("ich9-usb-uhci2", "controller usb", "@model=ich9-uhci2"),
    ("ich9-usb-uhci3", "controller usb", "@model=ich9-uhci3"),
    ("piix3-usb-uhci", "controller usb", "@model=piix3-uhci"),
    ("piix4-usb-uhci", "controller usb", "@model=piix4-uhci"),
    ("pci-ohci", "controller usb", "@model"),
    ("virtio-serial-pci virtio-serial virtio-serial-pci-non-transitional", "controller virtio-serial", "@model=virtio"),
    ("ioh3420 pcie-root-port pci-bridge x3130-upstream xio3130-downstream pcie-pci-bridge i82801b11-bridge", "controller pci", ""),
    ("virtio-net-pci virtio-net virtio", "interface", "@model=virtio"),
    ("virtio-net-pci-non-transitional virtio-net-non-transitional", "interface", "@model=virtio-non-transitional"),
    ("virtio-net-pci-transitional", "interface", "@model=virtio-transitional"),
    ("e1000 e1000-82540em", "interface", "@model=e1000"),
    // libvirt passes other model names to QEMU unchanged.
    ("e1000-82544gc e1000-82545em pcnet tulip i82550 i82551 i82557b e1000e rtl8139 vmxnet3 ne2k_pci igb", "interface", "@model"),
    ("none cirrus qxl virtio", "vga", "@model"),
    ("std", "vga", "@model=vga"),
    ("vmware", "vga", "@model=vmvga"),
    // With a VGA device QEMU adds no default one; with the models of the others libvirt makes the first <video> a VGA device.
    ("VGA", "video", "@model=vga @is=vga"),
    ("cirrus-vga", "video", "@model=cirrus @is=vga"),
    ("vmware-svga", "video", "@model=vmvga @is=vga"),
    ("qxl-vga", "video", "@model=qxl @is=vga"),
    ("virtio-vga virtio-vga-gl", "video", "@model=virtio @is=vga"),
    ("qxl", "video", "@model @is=second"),
    ("secondary-vga", "video", "@model=vga @is=second"),
    ("virtio-gpu-pci virtio-gpu virtio-gpu-gl-pci virtio-gpu-gl", "video", "@model=virtio @is=second"),
    ("bochs-display", "video", "@model=bochs"),
    ("intel-hda hda", "sound", "@model=ich6"),
    ("ich9-intel-hda", "sound", "@model=ich9"),
    ("AC97 ac97", "sound", "@model=ac97"),
    ("ES1370 es1370", "sound", "@model=es1370"),
    ("sb16", "sound", "@model"),
    ("usb-audio", "sound", "@model=usb"),
    ("hda-duplex", "codec", "@type=duplex"),
    ("hda-micro", "codec", "@type=micro"),
    ("hda-output", "codec", "@type=output"),
    ("pa", "audio", "@type=pulseaudio"),
    ("wav", "audio", "@type=file"),
    ("alsa spice none jack oss sdl dbus pipewire", "audio", "@type"),
    ("usb-tablet", "input", "@type=tablet @bus=usb"),
    ("usb-mouse", "input", "@type=mouse @bus=usb"),
    ("usb-kbd", "input", "@type=keyboard @bus=usb"),
    ("virtio-keyboard-pci virtio-keyboard", "input", "@type=keyboard @bus=virtio"),
    ("virtio-mouse-pci virtio-mouse", "input", "@type=mouse @bus=virtio"),
    ("virtio-tablet-pci virtio-tablet", "input", "@type=tablet @bus=virtio"),
    ("i6300esb ib700", "watchdog", "@model"),
    ("itco-wdt", "watchdog", "@model=itco"),
    ("vhost-vsock-pci vhost-vsock-pci-non-transitional vhost-vsock-pci-transitional", "vsock", "@model=virtio cid@auto=no"),
    ("pvpanic", "panic", "@model=isa"),
    ("pc-dimm", "memory", "@model=dimm"),
    ("nvdimm", "memory", "@model"),
    ("vmcoreinfo", "domain", "features/vmcoreinfo@state=on"),
    ("vmgenid", "domain", "genid"),
    ("intel-iommu", "iommu", "@model=intel"),
    ("virtio-rng-pci virtio-rng virtio-rng-pci-non-transitional virtio-rng-pci-transitional", "rng", "@model=virtio"),
    ("virtio-balloon-pci virtio-balloon", "memballoon", "@model=virtio"),
    ("tpm-tis tpm-crb", "tpm", "@model"),
    ("vhost-user-fs-pci vhost-user-fs", "filesystem virtiofs", "@type=mount driver@type=virtiofs"),
    ("virtio-9p-pci virtio-9p", "filesystem 9p", "@type=mount @accessmode=passthrough"),
    ("ivshmem-plain", "shmem", "model@type=ivshmem-plain"),
    ("isa-serial", "serial", "target@type=isa-serial"),
    ("pci-serial", "serial", "target@type=pci-serial"),
    ("usb-serial", "serial", "target@type=usb-serial"),
    ("isa-debugcon", "serial", "target@type=isa-debug"),
    ("isa-parallel", "parallel", ""),
    ("virtconsole", "console", "target@type=virtio"),
    ("usb-hub", "hub", "@type=usb"),
    ("usb-ccid", "controller ccid", ""),
    ("ccid-card-emulated", "smartcard", "@mode=host"),
    ("ccid-card-passthru", "smartcard passthrough", "@mode=passthrough"),
    ("virtserialport", "channel", ""),
    ("usb-redir", "redirdev", "@bus=usb"),
    ("vfio-pci vfio-pci-nohotplug pci-assign kvm-pci-assign", "hostdev", ""),
    ("usb-host", "hostdev usb", ""),
];

/// The devices of `-vga`.
pub(in crate::import) const VGA: [(&str, &str); 5] =
    [("std", "VGA"), ("cirrus", "cirrus-vga"), ("vmware", "vmware-svga"), ("qxl", "qxl-vga"), ("virtio", "virtio-vga")];

/// The group of a device or another name, if it is in one of these.
pub(in crate::import) fn group(name: &str, of: &[&str]) -> Option<&'static str> {
    NAMES.iter().find(|(names, group, _)| of.contains(group) && has(names, name)).map(|(_, group, _)| *group)
}

/// The places of a name of a group.
pub(in crate::import) fn places(group: &str, name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(names, of, _)| *of == group && has(names, name)).map(|(.., places)| *places)
}

/// The element for a name of a group: its name is the group's first word.
pub(in crate::import) fn element(group: &str, name: &str) -> Option<Fragment> {
    let places = places(group, name)?;
    let mut element = Fragment::new(group.split(' ').next().unwrap_or_default());
    write(&mut element, places, name);
    Some(element)
}
