//! Each element that vgapt put into a domain, and why, with its source.

use serde::Serialize;

use super::record::Record;
use super::{alias, setting};
use crate::domain_xml::{devices_with_alias, pci_hostdevs};
use crate::xml::{Document, Element};

/// One element, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Where it is in the domain.
    pub element: String,
    /// What it says.
    pub says: String,
    /// Why it is there.
    pub why: &'static str,
    /// Who says so.
    pub source: &'static str,
    /// Whether somebody has changed it since.
    pub changed: bool,
}

/// Why: the beginning of a path, the reason, the source. The first that fits counts.
const REASONS: &[(&str, &str, &str)] = &[
    ("devices/audio", "the host's program that plays the guest's sound", "--sound"),
    (
        "cputune/vcpupin",
        "a virtual processor stays on one thread of the host's, siblings beside siblings, so that the guest's caches stay warm",
        "libvirt formatdomain, CPU tuning; vgapt topology",
    ),
    (
        "cputune/emulatorpin",
        "QEMU's own threads run on the cores that the host keeps, not on the guest's",
        "libvirt formatdomain, CPU tuning",
    ),
    ("cputune/iothreadpin", "the thread that serves the disks runs on the cores that the host keeps", "libvirt formatdomain, CPU tuning"),
    (
        "numatune/memory",
        "memory of the node on which the processors and the card are; any other is slower",
        "libvirt formatdomain, NUMA tuning",
    ),
    (
        "features/ioapic",
        "KVM's own interrupt controller, the guide's kernel_irqchip=on: cards whose interrupts are levels hang without (QEMU's q35 4.0)",
        "kubevirt#5619; libvirt formatdomain, hypervisor features",
    ),
    (
        "cpu/cache",
        "the guest sees the host's caches as they are, which its scheduler goes by",
        "libvirt formatdomain, CPU model and topology",
    ),
    (
        "cpu/feature[name=topoext]",
        "AMD's guests see threads as threads only with it, and QEMU leaves it out by itself",
        "QEMU target/i386/kvm: no_autoenable_flags",
    ),
    (
        "cpu/maxphysaddr",
        "as many address bits as the host's processor and IOMMU have: room for large regions of cards, and none where the IOMMU cannot reach",
        "libvirt formatdomain, CPU model and topology; LookingGlass#1184",
    ),
    (
        "devices/controller[model=pcie-root]",
        "a window above 4 GiB that is large enough for the card's memory regions",
        "libvirt formatdomain, controllers: pcihole64",
    ),
    (
        "memoryBacking/hugepages",
        "large pages spare the processor most of its walks through two levels of page tables",
        "libvirt formatdomain, memory backing",
    ),
    ("memoryBacking/source", "memory that another process can share, which virtiofs needs", "libvirt kbase, virtiofs"),
    ("memoryBacking/access", "memory that another process can share, which virtiofs needs", "libvirt kbase, virtiofs"),
    (
        "memoryBacking/nosharepages",
        "the guide's mem-merge=off: pages that are pinned for a device cannot be merged, and the search for equal ones costs time",
        "libvirt formatdomain, memory backing",
    ),
    (
        "features/hyperv/vendor_id",
        "old NVIDIA drivers stop with error 43 where they read a hypervisor's name; so do some of AMD's",
        "the guide; vm-curator#71",
    ),
    (
        "features/hyperv/spinlocks",
        "the guest tells the hypervisor after so many tries for a lock, instead of spinning on",
        "QEMU docs/system/i386/hyperv.rst; the guide's 0x1fff",
    ),
    (
        "features/hyperv/stimer",
        "timers by message; without them Windows keeps a processor busy while idle",
        "QEMU docs/system/i386/hyperv.rst",
    ),
    ("features/hyperv", "an enlightenment: Windows asks the hypervisor instead of probing hardware", "QEMU docs/system/i386/hyperv.rst"),
    (
        "clock/timer[name=hypervclock]",
        "Windows reads the time from a page, without leaving the guest",
        "QEMU docs/system/i386/hyperv.rst, hv-time",
    ),
    ("metadata/libosinfo", "virt-manager knows the system by it", "libosinfo"),
    ("devices/tpm", "Windows 11 does not install without a TPM 2.0", "Microsoft, Windows 11 requirements"),
    (
        "devices/channel[type=unix]",
        "the guest's agent answers through it: whether the guest is up, and an orderly end",
        "libvirt formatdomain, channel; virt-install adds it too",
    ),
    ("devices/memballoon", "a balloon cannot take memory that is pinned for a device", "kernel Documentation/driver-api/vfio"),
    ("features/kvm/hidden", "old NVIDIA drivers stop with error 43 where they see KVM", "the guide"),
    ("devices/video", "the card is the display, and an emulated one would be the guest's first", "the guide's -vga none"),
    ("vcpu", "as many processors as were asked for, and seen as they lie on the host", "--cpus"),
    ("memory", "as much as was asked for; it is all taken at the start, being pinned for the device", "--memory"),
    ("os/loader", "UEFI, which starts the card by the card's own firmware", "--loader, or the host's first without Secure Boot keys"),
    ("devices/emulator", "the QEMU that was asked for", "--emulator"),
    ("iothreads", "a thread of its own serves the disks, not QEMU's main one", "libvirt formatdomain, IOThreads allocation"),
    ("cpu/topology", "threads as threads and cores as cores, as they lie on the host", "libvirt formatdomain, CPU model and topology"),
    (
        "cpu",
        "the host's own processor with all that it can, the guide's -cpu host",
        "the guide; libvirt formatdomain, CPU model and topology",
    ),
    (
        "clock/timer[name=rtc]",
        "ticks that a busy host missed are made up for, so that the guest's clock does not fall behind",
        "libvirt formatdomain, time keeping; virt-install's default",
    ),
    (
        "clock/timer[name=pit]",
        "ticks that came late are not made up for all at once",
        "libvirt formatdomain, time keeping; virt-install's default",
    ),
    (
        "clock/timer[name=hpet]",
        "the guest would take this timer, and each look at it leaves the guest",
        "libvirt formatdomain, time keeping; virt-install's default",
    ),
    ("clock", "the hardware's clock as the system reads it: local time for Windows, UTC for Linux", "the guide's -rtc base=localtime"),
    (
        "devices/controller[type=scsi]",
        "the guide's virtio-scsi-pci: passes on which blocks are free, and has room for many disks",
        "the guide; libvirt formatdomain, controllers",
    ),
    (
        "devices/controller[type=usb]",
        "the USB controller of the guest, one that its system has a driver for",
        "libvirt formatdomain, controllers",
    ),
    ("os/type", "QEMU's q35: PCI Express, as graphics cards expect", "the guide's -machine q35"),
];

/// The same for devices, by their aliases.
const DEVICES: &[(&str, &str, &str)] = &[
    (alias::MDEV, "a share of a card of the host", "--mdev; libvirt formatdomain, mediated devices"),
    (
        alias::EVDEV,
        "keyboard or mouse, read from the host's kernel: keys bring them back even when the guest hangs",
        "--evdev; libvirt formatdomain, input devices",
    ),
    (alias::SHARE, "a folder of the host, by virtiofs", "--share; libvirt kbase, virtiofs"),
    (alias::SHMEM, "memory through which Looking Glass reads the guest's screen", "--looking-glass; looking-glass.io"),
    (alias::SOUND, "a sound card", "--sound"),
    (alias::NETWORK, "the network card", "--network"),
    (
        alias::GPU,
        "a function of the graphics card; all of them on one slot, as on the host",
        "--gpu; libvirt formatdomain, host device assignment",
    ),
    (alias::PCI, "a PCI function of the host", "--pci"),
    (alias::PORT, "a root port of its own, as PCI Express cards expect", "QEMU docs/pcie.txt"),
    (alias::USB, "a USB device by its ids: its number changes with each plugging", "--usb, --keyboard, --mouse"),
    (alias::DISK, "a disk", "--disk"),
    (alias::CDROM, "a CD: the installer, or the drivers that it needs to see the disk", "--cdrom, --virtio-iso"),
    (alias::SCSI, "the controller of the disks", "the guide's virtio-scsi-pci"),
];

/// What vgapt's templates bring, beside what every domain has.
const OF_TEMPLATE: [&str; 16] = [
    "os/type",
    "iothreads",
    "memoryBacking/nosharepages",
    "features/kvm/hidden",
    "cpu",
    "cpu/topology",
    "clock",
    "clock/timer[name=rtc]",
    "clock/timer[name=pit]",
    "clock/timer[name=hpet]",
    "devices/controller[type=usb]",
    "devices/controller[type=scsi]",
    "devices/channel[type=unix]",
    "devices/video",
    "devices/memballoon",
    "devices/rng",
];

/// Elements that carry no alias and stand for a name in the record.
const NAMED: [(&str, &str); 5] = [
    ("memory", "memory"),
    ("cpus", "vcpu"),
    ("hugepages", "memoryBacking/hugepages"),
    ("loader", "os/loader"),
    ("emulator", "devices/emulator"),
];

/// All that vgapt put in and that is there.
pub fn explain(domain: &Document, record: &Record) -> Vec<Reason> {
    let root = domain.root();
    let mut reasons: Vec<Reason> = Vec::new();
    for (name, path) in NAMED {
        if let Some(element) = record.wrote.get(name).filter(|wrote| *wrote != "false").and_then(|_| setting::find(root, path)) {
            reasons.extend(because(path, words(element), false));
        }
    }
    for (path, said) in record.settings.values().flatten() {
        if let Some(element) = setting::find(root, path) {
            reasons.extend(because(path, words(element), !setting::says(root, path, said)));
        }
    }
    if !record.attached && record.wrote.contains_key("template") {
        let there = OF_TEMPLATE.iter().filter_map(|path| Some((path, setting::find(root, path)?)));
        reasons.extend(there.filter_map(|(path, element)| because(path, words(element), false)));
    }
    if record.request.extras.rom.is_some() {
        let roms = pci_hostdevs(root).filter_map(|(hostdev, _)| hostdev.child("rom"));
        reasons.extend(roms.map(|rom| Reason {
            element: "devices/hostdev/rom".to_owned(),
            says: words(rom),
            why: "a copy of the card's firmware, where the guest cannot read the card's own",
            source: "--rom; libvirt formatdomain, host device assignment",
            changed: false,
        }));
    }
    for path in record.replaced.keys() {
        reasons.extend(setting::find(root, path).and_then(|element| because(path, words(element), false)));
    }
    for (prefix, why, source) in DEVICES {
        let devices = devices_with_alias(root, prefix);
        reasons.extend(devices.map(|(device, rest)| Reason {
            element: format!("devices/{}", device.name()),
            says: format!("{prefix}{rest}"),
            why,
            source,
            changed: false,
        }));
    }
    reasons
}

fn because(path: &str, says: String, changed: bool) -> Option<Reason> {
    let (_, why, source) = REASONS.iter().find(|(beginning, ..)| path.starts_with(beginning))?;
    Some(Reason { element: path.to_owned(), says, why, source, changed })
}

/// An element's attributes and text, in one line.
fn words(element: Element<'_>) -> String {
    let attribute = |name: &str| Some(format!("{name}='{}'", element.attribute(name)?));
    let attributes = element.attribute_names().filter(|name| !name.starts_with("xmlns")).filter_map(attribute);
    attributes.chain((!element.text().is_empty()).then(|| element.text().to_owned())).collect::<Vec<_>>().join(" ")
}
