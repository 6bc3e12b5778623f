//! Each element that vgapt added to a domain, with the reason and its source.

use schemars::JsonSchema;
use serde::Serialize;

use super::decide::needs::{HostResources, needs};
use super::edit::Part;
use super::record::Record;
use super::{alias, edit};
use crate::domain_xml::{devices_with_alias, on_guests_cpus, pci_hostdevs};
use crate::model::Reading;
use crate::xml::{Document, Element};

/// One element, and why it was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// Its path in the domain.
    pub element: String,
    /// Its attributes and text.
    pub says: String,
    /// Why it was added.
    pub why: &'static str,
    /// The source of the reason.
    pub source: &'static str,
    /// Whether it was changed since vgapt wrote it.
    pub changed: bool,
}

/// Reasons: prefix of the path, reason, source. The first match counts.
const REASONS: &[(&str, &str, &str)] = &[
    ("devices/audio", "the sound server of the host that plays the guest's sound", "--sound"),
    (
        "cputune/vcpupin",
        "pins each vCPU to one host thread, sibling threads to sibling threads, so that the caches stay warm",
        "libvirt formatdomain, CPU tuning; vgapt topology",
    ),
    (
        "cputune/emulatorpin",
        "keeps QEMU's own threads on the host's cores, away from the guest's cores",
        "libvirt formatdomain, CPU tuning",
    ),
    (
        "cputune/iothreadpin",
        "keeps the disk I/O thread on the host's cores, away from the guest's cores",
        "libvirt formatdomain, CPU tuning",
    ),
    (
        "numatune/memnode",
        "the memory of this NUMA node of the guest is on the same node of the host as its processors, or on the nearest with room",
        "libvirt formatdomain, NUMA tuning",
    ),
    (
        "cpu/numa",
        "the guest's processors or memory are on several NUMA nodes of the host: it sees them, and gives a task memory of its own node",
        "libvirt formatdomain, guest NUMA topology; --guest-numa",
    ),
    (
        "numatune/memory",
        "allocates memory on the NUMA node of the CPUs; memory of other nodes is slower",
        "libvirt formatdomain, NUMA tuning",
    ),
    (
        "features/ioapic",
        "KVM's interrupt controller (the guide's kernel_irqchip=on): cards with level-triggered interrupts hang without it (QEMU's q35 4.0)",
        "kubevirt#5619; libvirt formatdomain, hypervisor features",
    ),
    (
        "cpu/cache",
        "exposes the host's CPU caches; only where all cores of the host have the same, and the guest's are whole ones: QEMU shows those of the CPU on which it happens to run",
        "libvirt formatdomain, CPU model and topology; QEMU target/i386/cpu.c: x86_cpu_get_cache_cpuid",
    ),
    (
        "cpu/feature[name=topoext]",
        "needed on AMD so that the guest sees threads as threads, and which processors share a cache; QEMU does not enable it by default",
        "QEMU target/i386/cpu.c: no_autoenable_flags; Linux arch/x86/kernel/cpu/cacheinfo.c",
    ),
    (
        "cpu/feature[name=hypervisor]",
        "Windows 7 reads the time from slow emulated hardware if it recognises a hypervisor, and not from the processor",
        "vfio-users, 2016: a query of the timer takes 3,605 ns with it and 12.5 ns without",
    ),
    (
        "cpu/feature[name=invtsc]",
        "the guest may trust the processor's clock (TSC), which it reads without a VM exit; such a domain cannot be saved or migrated, as one with a passed device cannot anyway",
        "libvirt formatdomain, CPU model and topology: migratable; QEMU docs/system/i386/hyperv.rst, hv-frequencies",
    ),
    (
        "cpu/maxphysaddr",
        "exposes the physical address bits of the host's CPU and IOMMU: room for large BARs, but none beyond the IOMMU's limit",
        "libvirt formatdomain, CPU model and topology; LookingGlass#1184",
    ),
    (
        "devices/controller[model=pcie-root]",
        "a PCI window above 4 GiB that is large enough for the card's memory regions (BARs)",
        "libvirt formatdomain, controllers: pcihole64",
    ),
    ("memoryBacking/hugepages", "huge pages avoid most of the nested page table walks", "libvirt formatdomain, memory backing"),
    (
        "memoryBacking/allocation",
        "the memory is pinned for the passed device at the start anyway; several threads clear it before, where pinning would do it in one",
        "libvirt formatdomain, memory backing; QEMU commit 4d83de6da265",
    ),
    ("memoryBacking/source", "shared memory, which virtiofs needs", "libvirt kbase, virtiofs"),
    ("memoryBacking/access", "shared memory, which virtiofs needs", "libvirt kbase, virtiofs"),
    (
        "memoryBacking/nosharepages",
        "the guide's mem-merge=off: pages that are pinned for a device cannot be merged (KSM), and scanning for equal pages costs CPU time",
        "libvirt formatdomain, memory backing",
    ),
    (
        "features/hyperv/vendor_id",
        "old NVIDIA drivers and some AMD drivers fail with error 43 if they detect a known hypervisor name",
        "the guide; vm-curator#71",
    ),
    (
        "features/hyperv/spinlocks",
        "the guest notifies the hypervisor after this many attempts to take a spinlock, instead of spinning on",
        "QEMU docs/system/i386/hyperv.rst; the guide's 0x1fff",
    ),
    ("features/hyperv/stimer", "synthetic timers; without them, Windows keeps a CPU busy while idle", "QEMU docs/system/i386/hyperv.rst"),
    (
        "features/hyperv",
        "a Hyper-V enlightenment: Windows uses an interface of the hypervisor instead of emulated hardware",
        "QEMU docs/system/i386/hyperv.rst",
    ),
    (
        "clock/timer[name=hypervclock]",
        "Windows reads the time from a shared page, without a VM exit",
        "QEMU docs/system/i386/hyperv.rst, hv-time",
    ),
    ("metadata/libosinfo", "tells virt-manager which guest system this is", "libosinfo"),
    ("devices/tpm", "Windows 11 does not install without a TPM 2.0", "Microsoft, Windows 11 requirements"),
    (
        "devices/channel[type=unix]",
        "channel of the guest agent: reports whether the guest is up, and shuts it down cleanly",
        "libvirt formatdomain, channel; virt-install adds it too",
    ),
    (
        "devices/memballoon",
        "disables the balloon, which cannot reclaim memory that is pinned for a device",
        "kernel Documentation/driver-api/vfio",
    ),
    (
        "features/kvm/hidden",
        "whether the guest sees KVM: old NVIDIA drivers for Windows fail with error 43 if they detect it; a Linux guest uses its clock and its interrupts",
        "the guide; --hide-kvm",
    ),
    (
        "features/kvm/hint-dedicated",
        "the guest's processors are its own: it does not leave one while it waits for a lock or for its next work",
        "Linux Documentation/virt/kvm/x86/cpuid.rst, KVM_HINTS_REALTIME",
    ),
    (
        "features/kvm/poll-control",
        "the guest itself waits a moment for its next work before it halts, so that the host need not",
        "Linux Documentation/virt/guest-halt-polling.rst",
    ),
    (
        "devices/graphics",
        "a window on the host with the guest's picture, keyboard and mouse; only this host can connect to it",
        "--display, --looking-glass; libvirt formatdomain, graphical framebuffers",
    ),
    (
        "devices/video[",
        "the emulated graphics adapter of the window: every system shows a picture on it without a driver, also while it is installed",
        "--display, --looking-glass; looking-glass.io",
    ),
    (
        "devices/video",
        "'none' where a passed card is the display: an emulated one would become the guest's primary display",
        "the guide's -vga none",
    ),
    ("vcpu", "the requested number of vCPUs, with the topology of the host", "--cpus"),
    ("memory", "the requested memory; a passed device pins all of it at the start", "--memory"),
    (
        "os/loader",
        "UEFI firmware, which initializes a passed card with the card's own firmware",
        "--loader, or the host's first: without Secure Boot, but for a system whose setup requires it",
    ),
    (
        "os/nvram",
        "the template of the firmware's variables, of which the domain gets a copy of its own",
        "--nvram-template, or the one that belongs to the firmware",
    ),
    (
        "features/smm",
        "in this mode of the processor the firmware keeps the keys of Secure Boot, which the guest's system cannot change",
        "libvirt formatdomain, hypervisor features; OvmfPkg README, SMM support",
    ),
    ("devices/emulator", "the requested QEMU binary", "--emulator"),
    ("description", "the requested description", "--description; libvirt formatdomain, general metadata"),
    ("title", "the requested title, which virt-manager shows in place of the name", "--title; libvirt formatdomain, general metadata"),
    (
        "iommufd",
        "libvirt gives the devices to QEMU through iommufd, the kernel's newer interface to the IOMMU",
        "--iommufd; libvirt formatdomain, host device IOMMUFD",
    ),
    (
        "qemu:commandline",
        "the memory of Looking Glass in its kernel module (kvmfr), from which the host's card reads the guest's screen without a copy; libvirt has no element for it",
        "--looking-glass; looking-glass.io, IVSHMEM with the KVMFR module",
    ),
    (
        "iothreads",
        "a separate thread for disk I/O, instead of QEMU's main thread; several share the queues of the disks' controller",
        "libvirt formatdomain, IOThreads allocation; --io-threads",
    ),
    (
        "cpu/topology",
        "pinned to whole cores of one kind, the guest sees threads as threads and an L3 cache as a die, as on the host; else all as cores of one socket",
        "libvirt formatdomain, CPU model and topology",
    ),
    ("cpu", "the host's CPU with all its features, the guide's -cpu host", "the guide; libvirt formatdomain, CPU model and topology"),
    (
        "clock/timer[name=rtc]",
        "missed ticks are delivered later, so that the guest's clock does not fall behind on a busy host",
        "libvirt formatdomain, time keeping; virt-install's default",
    ),
    (
        "clock/timer[name=pit]",
        "late ticks are not delivered all at once; 'discard' for systems that do not count them, because delivering them later switches off AMD's AVIC",
        "libvirt formatdomain, time keeping; Linux arch/x86/kvm, APICV_INHIBIT_REASON_PIT_REINJ",
    ),
    (
        "clock/timer[name=hpet]",
        "whether the guest finds this timer, of which each reading is a VM exit",
        "libvirt formatdomain, time keeping; virt-install's default",
    ),
    (
        "pm",
        "the guest does not sleep by itself: a passed card often does not wake up with it",
        "libvirt formatdomain, power management; virt-install's default",
    ),
    ("clock", "the hardware clock as the guest expects it: local time for Windows, UTC for Linux", "the guide's -rtc base=localtime"),
    (
        "devices/controller[type=scsi]",
        "the guide's virtio-scsi-pci: supports discard and many disks; QEMU gives it a queue for each processor by itself",
        "the guide; libvirt formatdomain, controllers; QEMU virtio_pci_optimal_num_queues",
    ),
    ("devices/controller[type=usb]", "a USB controller that the guest system has a driver for", "libvirt formatdomain, controllers"),
    ("os/type", "QEMU's q35: PCI Express, as graphics cards expect", "the guide's -machine q35"),
];

/// The same for devices, by their aliases.
const DEVICES: &[(&str, &str, &str)] = &[
    (alias::MDEV, "a share of a card of the host", "--mdev; libvirt formatdomain, mediated devices"),
    (
        alias::EVDEV,
        "keyboard or mouse through the host's evdev; a key combination returns them to the host even if the guest hangs",
        "--evdev; libvirt formatdomain, input devices",
    ),
    (alias::SHARE, "a folder of the host, by virtiofs", "--share; libvirt kbase, virtiofs"),
    (alias::SHMEM, "memory through which Looking Glass reads the guest's screen", "--looking-glass; looking-glass.io"),
    (alias::WINDOW, "keyboard, mouse or clipboard of the window", "--display, --looking-glass; looking-glass.io"),
    (alias::SOUND, "a sound card", "--sound"),
    (alias::NETWORK, "the network card", "--network"),
    (
        alias::GPU,
        "a function of the graphics card; all functions are on one slot, as on the host",
        "--gpu; libvirt formatdomain, host device assignment",
    ),
    (alias::PCI, "a PCI function of the host", "--pci"),
    (alias::PORT, "a separate root port, as PCI Express cards expect", "QEMU docs/pcie.txt"),
    (alias::USB, "a USB device by its ids, because its device number changes each time it is plugged in", "--usb, --keyboard, --mouse"),
    (alias::DISK, "a disk", "--disk"),
    (alias::CDROM, "a CD: the installer, or the drivers that the installer needs to access the disk", "--cdrom, --virtio-iso"),
    (alias::SCSI, "the controller of the disks", "the guide's virtio-scsi-pci"),
];

/// The same for what a part of a device says.
struct OfDevice {
    /// The beginning of the device's alias.
    alias: &'static str,
    element: &'static str,
    attribute: &'static str,
    /// `None`: any value.
    value: Option<&'static str>,
    why: &'static str,
    source: &'static str,
}

const OF_DEVICES: [OfDevice; 8] = [
    OfDevice {
        alias: alias::DISK,
        element: "blockio",
        attribute: "logical_block_size",
        value: Some("4096"),
        why: "the host's disk has sectors of 4096 bytes, and so the guest sees them; by itself QEMU shows 512, by which the partitions on that disk are not found",
        source: "libvirt formatdomain, hard drives; QEMU hw/block/block.c, blkconf_blocksizes",
    },
    OfDevice {
        alias: alias::DISK,
        element: "driver",
        attribute: "io",
        value: Some("native"),
        why: "QEMU gives the disk's work to the kernel (AIO) in place of threads of its own; only where the host's cache is left out",
        source: "libvirt formatdomain, hard drives; --disk-cache none",
    },
    OfDevice {
        alias: alias::DISK,
        element: "driver",
        attribute: "discard",
        value: Some("unmap"),
        why: "what the guest deletes becomes free space of the host",
        source: "libvirt formatdomain, hard drives; --disk-discard",
    },
    OfDevice {
        alias: alias::DISK,
        element: "driver",
        attribute: "discard",
        value: Some("ignore"),
        why: "what the guest deletes stays taken on the host",
        source: "libvirt formatdomain, hard drives; --disk-discard ignore",
    },
    OfDevice {
        alias: alias::DISK,
        element: "driver",
        attribute: "detect_zeroes",
        value: Some("unmap"),
        why: "zeroes that the guest writes take no space",
        source: "libvirt formatdomain, hard drives; --detect-zeroes",
    },
    OfDevice {
        alias: alias::DISK,
        element: "driver",
        attribute: "detect_zeroes",
        value: Some("on"),
        why: "zeroes that the guest writes are one command for the host, without their bytes; they take space, because discards are ignored",
        source: "libvirt formatdomain, hard drives; QEMU qapi/block-core.json, detect-zeroes; --detect-zeroes",
    },
    OfDevice {
        alias: alias::DISK,
        element: "driver",
        attribute: "discard_no_unref",
        value: Some("on"),
        why: "what the guest deletes stays reserved in the image, which is not fragmented by it",
        source: "QEMU qapi/block-core.json, discard-no-unref; --disk-discard keep-reserved",
    },
    OfDevice {
        alias: alias::NETWORK,
        element: "driver",
        attribute: "queues",
        value: None,
        why: "so many processors of the guest send and receive at the same time, each queue with its own thread of the kernel",
        source: "libvirt formatdomain, multiqueue virtio-net; --network-queues",
    },
];

/// The elements that come from vgapt's templates and that not every domain has.
const OF_TEMPLATE: [&str; 18] = [
    "os/type",
    "iothreads",
    "memoryBacking/nosharepages",
    "features/kvm/hidden",
    "cpu",
    "cpu/topology",
    "cpu/feature[name=hypervisor]",
    "clock",
    "clock/timer[name=rtc]",
    "clock/timer[name=pit]",
    "clock/timer[name=hpet]",
    "pm",
    "devices/controller[type=usb]",
    "devices/controller[type=scsi]",
    "devices/channel[type=unix]",
    "devices/video",
    "devices/memballoon",
    "devices/rng",
];

/// What a pin of QEMU's own threads does that is no longer away from the guest's cores, because the vCPUs were pinned to others.
fn against_pins(domain: Element<'_>, path: &str) -> Option<&'static str> {
    let shared = on_guests_cpus(domain);
    let is_shared = match path.strip_prefix("cputune/iothreadpin[iothread=").and_then(|rest| rest.strip_suffix(']')) {
        Some(id) => shared.iothreads.contains_key(&id.parse().ok()?),
        None => path == "cputune/emulatorpin" && shared.emulator.is_some(),
    };
    is_shared.then_some("was to keep QEMU's own threads away from the guest's cores, but vCPUs were pinned by hand to some of these CPUs")
}

/// All elements that vgapt added and that still exist.
pub fn explain(domain: &Document, record: &Record) -> Vec<Reason> {
    let root = domain.root();
    let mut reasons: Vec<Reason> = Vec::new();
    for (path, entry) in record.written.parts().flat_map(|(_, entries)| entries) {
        if let Some(element) = edit::find(root, path) {
            let reason = because(path, words(element), !edit::says(element, &entry.says));
            reasons.extend(reason.map(|reason| Reason { why: against_pins(root, path).unwrap_or(reason.why), ..reason }));
        }
    }
    if !record.attached && record.template.is_some() {
        let is_replaced = |path: &str| match path {
            "devices/video" => record.written.has(Part::Display),
            path => record.written.parts().flat_map(|(_, entries)| entries).any(|(written, _)| written == path),
        };
        let there = OF_TEMPLATE.iter().filter(|path| !is_replaced(path)).filter_map(|path| Some((path, edit::find(root, path)?)));
        reasons.extend(there.filter_map(|(path, element)| because(path, words(element), false)));
    }
    if record.request.extras.rom.is_some() {
        let roms = pci_hostdevs(root).filter_map(|(hostdev, _)| hostdev.child("rom"));
        reasons.extend(roms.map(|rom| Reason {
            element: "devices/hostdev/rom".to_owned(),
            says: words(rom),
            why: "a copy of the card's firmware (ROM), for a guest that cannot read the card's own",
            source: "--rom; libvirt formatdomain, host device assignment",
            changed: false,
        }));
    }
    // What the hook does is no element of the domain.
    if let Reading::Known(needs) = needs(domain) {
        reasons.extend(of_hook(&needs));
    }
    for OfDevice { alias, element: part, attribute, value, why, source } in OF_DEVICES {
        let parts = devices_with_alias(root, alias).filter_map(|(device, _)| Some((device, device.child(part)?)));
        reasons.extend(parts.filter_map(|(device, element)| {
            let now = element.attribute(attribute).filter(|now| value.is_none_or(|value| now == value))?;
            let says = format!("{attribute}='{now}'");
            Some(Reason { element: format!("devices/{}/{part}", device.name()), says, why, source, changed: false })
        }));
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

/// What the hook does while a domain runs, and undoes at its end.
fn of_hook(needs: &HostResources) -> Vec<Reason> {
    let reason =
        |element: &str, says: String, why, source| Reason { element: format!("hook/{element}"), says, why, source, changed: false };
    let mut reasons = Vec::new();
    if let Some(pages) = &needs.pages {
        reasons.push(reason(
            "pages",
            format!("{} before each start", pages.memory),
            "what is missing of its huge pages is reserved before it starts, and given back at its end: at other times the host has this memory",
            "Linux Documentation/admin-guide/mm/hugetlbpage.rst; --hugepages",
        ));
    }
    if needs.cpus.0.is_empty() {
        return reasons;
    }
    reasons.push(reason(
        "processes",
        format!("moved off {}", needs.cpus),
        "while it runs, the host's services and users' programs stay on other CPUs: the guest does not wait for them",
        "systemd.resource-control(5), AllowedCPUs; --pin",
    ));
    reasons.push(reason(
        "interrupts",
        if needs.moves_interrupts { format!("moved off {}", needs.cpus) } else { "stay".to_owned() },
        "while it runs, the host's interrupts go to other CPUs: each one on a guest's CPU stops the guest",
        "Linux Documentation/core-api/irq/irq-affinity.rst; --move-interrupts",
    ));
    reasons.push(reason(
        "governor",
        format!("performance on {}", needs.cpus),
        "while it runs, its CPUs run at full speed: the guest itself cannot ask for that",
        "Linux Documentation/admin-guide/pm/cpufreq.rst; --pin",
    ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_explained_by_what_it_says() {
        let of = |says: &str| {
            let text = format!("<domain><devices><disk><driver {says}/><alias name='ua-vgapt-disk-0'/></disk></devices></domain>");
            let reasons = explain(&Document::parse(&text).unwrap(), &Record::default());
            let of_driver = reasons.into_iter().filter(|reason| reason.element == "devices/disk/driver");
            of_driver.map(|reason| (reason.says, reason.why)).collect::<Vec<_>>()
        };
        for (says, why) in [
            ("discard='unmap'", "what the guest deletes becomes free space of the host"),
            ("discard='ignore'", "what the guest deletes stays taken on the host"),
            ("detect_zeroes='unmap'", "zeroes that the guest writes take no space"),
        ] {
            assert_eq!(of(says), [(says.to_owned(), why)]);
        }
        assert_eq!(of("detect_zeroes='off' io='threads'"), []);
        let text = "<domain><devices><disk><blockio logical_block_size='4096'/><alias name='ua-vgapt-disk-0'/></disk></devices></domain>";
        let reasons = explain(&Document::parse(text).unwrap(), &Record::default());
        assert!(reasons.iter().any(|reason| reason.element == "devices/disk/blockio" && reason.says == "logical_block_size='4096'"));
    }
}
