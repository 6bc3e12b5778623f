//! Warnings about passing a card through.

use super::dangers::{displays_that_stay, displays_without_driver, has_outlets, host_blind};
use super::families::{self, Fault};
use super::group::{WITHOUT_XEN, missing_iommu};
use super::verdict::Verdict;
use crate::model::vendor::{INTEL, NVIDIA};
use crate::model::{Card, CardKind, Finding, Host, Iommu, PciAddress, PciDevice, Size};

/// Memory regions from this size on do not fit the window that OVMF opens by default (32 GiB, shared by all devices).
const LARGE_BAR: Size = Size::from_mib(16 << 10);

pub(super) fn of_card(host: &Host, card: &Card, verdict: Verdict) -> Vec<Finding> {
    let Some(display) = host.device(card.address) else { return Vec::new() };
    let functions: Vec<&PciDevice> = host.devices(&card.functions).collect();
    [
        no_group(host, verdict),
        partly_without_group(&functions, verdict),
        twins(host, &functions),
        boot_display(display, card),
        display_without_driver(host, card, verdict),
        host_is_blind(host, card),
        family(display, card),
        no_reset(host, display),
        dead(&functions),
        large_bar(display),
        muxless(host, display),
        no_outputs(host, display),
        removable(host, display),
        no_monitor(host, card),
        console(card),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Warnings about the whole host.
pub fn of_host(host: &Host) -> Vec<Finding> {
    [virtualization_off(host), no_groups_at_all(host), hidden_disks(host)].into_iter().flatten().collect()
}

fn no_group(host: &Host, verdict: Verdict) -> Option<Finding> {
    let (seen, remedy) = (verdict == Verdict::Unknown).then(|| missing_iommu(host))?;
    Some(Finding::warning("no-group", seen, remedy))
}

fn partly_without_group(functions: &[&PciDevice], verdict: Verdict) -> Option<Finding> {
    let without = functions.iter().find(|device| device.group.is_none()).filter(|_| verdict != Verdict::Unknown)?;
    let message = format!("{} is not in an IOMMU group, so it cannot be passed through with the card", without.address.short());
    Some(Finding::warning("function-without-group", message, "look for an IOMMU or ACS setting in the firmware settings"))
}

fn twins(host: &Host, functions: &[&PciDevice]) -> Option<Finding> {
    let shared: Vec<String> = functions
        .iter()
        .filter_map(|own| {
            let others: Vec<String> = host
                .pci
                .iter()
                .filter(|other| other.id == own.id && !functions.iter().any(|f| f.address == other.address))
                .map(|other| other.address.short())
                .collect();
            (!others.is_empty()).then(|| format!("{} of {} is also the id of {}", own.id, own.address.short(), others.join(", ")))
        })
        .collect();
    (!shared.is_empty()).then(|| {
        Finding::warning(
            "twins",
            format!("the id {}", shared.join("; the id ")),
            "bind it to vfio-pci by address, never by id: an id binds all of them",
        )
    })
}

fn boot_display(display: &PciDevice, card: &Card) -> Option<Finding> {
    let warn = display.boot_vga == Some(true) && card.kind == CardKind::Discrete && !display.on_vfio();
    let rom = if display.id.vendor == NVIDIA { "; otherwise give the guest a clean copy of its ROM" } else { "" };
    warn.then(|| {
        Finding::warning(
            "boot-display",
            "this is the boot display: the firmware and the boot screen may occupy its memory",
            format!("make another display primary in the firmware settings{rom}"),
        )
    })
}

fn display_without_driver(host: &Host, card: &Card, verdict: Verdict) -> Option<Finding> {
    let others = match verdict {
        Verdict::OnlyDisplay => displays_without_driver(host, &card.functions),
        Verdict::Available => {
            let staying: Vec<&PciDevice> = displays_that_stay(host, &card.functions).collect();
            let is_driven = staying.iter().any(|device| device.driver.is_some());
            let are_unknown = host.pci.iter().all(|device| device.driver.is_none());
            if is_driven || are_unknown { Vec::new() } else { staying.iter().map(|device| device.address).collect() }
        }
        _ => Vec::new(),
    };
    if others.is_empty() {
        return None;
    }
    let others = PciAddress::list(&others);
    Some(Finding::warning(
        "display-without-driver",
        format!("the host's remaining display, {others}, has no driver: the desktop runs on this card"),
        format!("load the driver of {others}, and connect a monitor to it before this card is passed through"),
    ))
}

/// The only display is already bound to vfio-pci: the host has no picture, even before any guest starts.
fn host_is_blind(host: &Host, card: &Card) -> Option<Finding> {
    host_blind(host, &card.functions).map(|danger| Finding::warning(danger.kind.code(), danger.message, danger.remedy))
}

/// The known problem of its family.
fn family(display: &PciDevice, card: &Card) -> Option<Finding> {
    // A virtual function is reset by its physical function, and has no display outputs.
    let family = families::of(display.id, card.kind).filter(|_| display.physical_function.is_none())?;
    let name = family.name;
    let resets_itself = display.reset_methods.iter().flatten().any(|method| method == "device_specific");
    if matches!(family.fault, Fault::ResetNeedsModule | Fault::ResetVaries) && resets_itself {
        return None;
    }
    let once = "after one start, the guest may fail to start again until the host is rebooted";
    Some(match family.fault {
        Fault::ResetNeedsModule => Finding::warning(
            "reset",
            format!("cards of the {name} family do not recover from a reset: {once}"),
            "load the vendor-reset module early and write device_specific to the card's reset_method",
        ),
        Fault::ResetNeedsSuspend => Finding::warning(
            "reset",
            format!("cards of the {name} family often do not recover from a reset: {once}"),
            format!(
                "between two starts, suspend the host and wake it: vgapt reset {} --suspend; the vendor-reset module does not know this family",
                card.address.short()
            ),
        ),
        Fault::ResetVaries => Finding::warning(
            "reset",
            format!("some cards of the {name} family do not recover from a reset: {once}"),
            format!("if the second start of a guest fails: vgapt reset {}", card.address.short()),
        ),
        Fault::ResetNeedsPowerOff => Finding::warning(
            "reset",
            format!("cards of the {name} family often do not recover from the reset when the guest ends, and some hang the host: {once}"),
            "use a recent kernel and the vendor's newest firmware for the card, and shut the guest down from within, so that its driver stops before the guest; to recover a hung card, power the host off and on",
        ),
        Fault::RomInFirmware => Finding::warning(
            "apu",
            format!("{name} have no ROM of their own, and their reset is unreliable: {once}"),
            format!(
                "give the guest the ROM from the firmware's table /sys/firmware/acpi/tables/VFCT (its image starts with the bytes 55 aa) as a file: vgapt define NAME --gpu {} --rom FILE",
                card.address.short()
            ),
        ),
        Fault::NeedsOpRegion => Finding::warning(
            "igd",
            format!(
                "{name} drive the board's display outputs only with the firmware's OpRegion, and show the guest's firmware only with a ROM made for that"
            ),
            format!(
                "QEMU gives the guest the OpRegion from 10.1 on; before, add x-igd-opregion=on (virsh edit, <qemu:override>); for the ROM (VfioIgdPkg): vgapt define NAME --gpu {} --rom FILE; otherwise use a remote desktop",
                card.address.short()
            ),
        ),
    })
}

/// Where the card's own firmware expects it in the guest: bus and slot. The ROM of Intel's integrated graphics, and the LPC bridge
/// beside it, are at fixed places (QEMU, docs/igd-assign.txt).
pub fn guest_place(host: &Host, address: PciAddress) -> Option<(u32, u32)> {
    let card = Card::with(host, address)?;
    let device = host.device(address).filter(|device| device.physical_function.is_none())?;
    let family = families::of(device.id, card.kind)?;
    (family.fault == Fault::NeedsOpRegion).then_some((0, 2))
}

fn no_reset(host: &Host, display: &PciDevice) -> Option<Finding> {
    // The attribute exists since Linux 5.15; if it is missing there, the kernel cannot reset the function.
    let known = display.driver.is_some() && display.header_type.is_some() && host.platform.kernel_at_least(5, 15) == Some(true);
    let none = match &display.reset_methods {
        Some(methods) => methods.is_empty(),
        None => known,
    };
    none.then(|| {
        Finding::warning(
            "no-reset",
            "the kernel has no method to reset this card",
            format!(
                "between two starts of the guest, suspend the host and wake it: vgapt reset {} --suspend; otherwise the guest starts only once per boot of the host",
                display.address.short()
            ),
        )
    })
}

fn dead(functions: &[&PciDevice]) -> Option<Finding> {
    // All bits set: the function does not answer on the bus.
    let dead = functions.iter().find(|device| device.header_type == Some(0x7f))?;
    Some(Finding::warning(
        "not-answering",
        format!("{} does not respond (stuck in D3cold, or not recovered from a reset)", dead.address.short()),
        format!(
            "vgapt reset {}; if that does not help, shut the host down, cut its power for a moment, and start it",
            dead.address.short()
        ),
    ))
}

fn large_bar(display: &PciDevice) -> Option<Finding> {
    let size = display.largest_bar().filter(|size| *size >= LARGE_BAR)?;
    Some(Finding::warning(
        "large-bar",
        format!("a memory region of {size} needs a large MMIO window"),
        "enable Above 4G Decoding in the firmware settings; in the domain keep <maxphysaddr mode='passthrough'/>, or the BAR may not fit",
    ))
}

/// A data centre's card and a virtual function have no outputs.
fn no_outputs(host: &Host, display: &PciDevice) -> Option<Finding> {
    let warn = display.class.is_display() && !has_outlets(display) && !display.is_bridge() && muxless(host, display).is_none();
    warn.then(|| {
        Finding::warning(
            "no-outputs",
            "it has no display outputs: no monitor can show the guest's picture",
            "show the guest in a window on the host, by define's option --display vnc; or use a remote desktop in the guest",
        )
    })
}

/// A 3D controller beside integrated graphics has no outputs of its own: a laptop without a multiplexer.
fn muxless(host: &Host, display: &PciDevice) -> Option<Finding> {
    let integrated = || Card::all(host).iter().any(|card| card.kind == CardKind::Integrated);
    (display.class.code() == 0x0302 && integrated()).then(|| {
        Finding::warning(
            "muxless",
            "it has no display outputs of its own (a laptop's 3D controller): no monitor can show the guest's picture",
            "show the guest in a window on the host, by define's option --display vnc; or use Looking Glass or a remote desktop; some drivers also need the card's ROM and a battery in the guest",
        )
    })
}

/// The picture moves to another display, and the monitor stays where it is. Where one driver does not say what is connected,
/// nothing is known.
fn no_monitor(host: &Host, card: &Card) -> Option<Finding> {
    let display = host.device(card.address).filter(|device| device.monitor == Some(true))?;
    let staying: Vec<&PciDevice> = displays_that_stay(host, &card.functions).collect();
    let is_dark = !staying.is_empty() && staying.iter().all(|device| device.monitor == Some(false));
    is_dark.then(|| {
        let others = PciAddress::list(&staying.iter().map(|device| device.address).collect::<Vec<_>>());
        Finding::warning(
            "no-monitor",
            format!(
                "no monitor is connected to {others}, only to {}: the host's picture is on the outputs of {others} once the card is passed through",
                display.address.short()
            ),
            format!("connect a monitor to {others} (integrated graphics: the mainboard's outputs), or use the host over ssh"),
        )
    })
}

/// Bridges of Thunderbolt and USB4 controllers, on the board and in enclosures (pci.ids; drivers/thunderbolt/nhi.h). A display is
/// behind one only in an enclosure.
const THUNDERBOLT_BRIDGES: [u16; 21] = [
    0x0b26, 0x1136, 0x1513, 0x151a, 0x151b, 0x1547, 0x1548, 0x1549, 0x1567, 0x1569, 0x156b, 0x156d, 0x1576, 0x1578, 0x157e, 0x15c0, 0x15d3,
    0x15da, 0x15e7, 0x15ea, 0x15ef,
];

/// Behind Thunderbolt or USB4 (Linux `Documentation/ABI/testing/sysfs-devices-removable`; boltctl(1)).
fn removable(host: &Host, display: &PciDevice) -> Option<Finding> {
    // Where the firmware does not say which port leads outside, the kernel does not either.
    let is_bridge = |device: &PciDevice| device.id.vendor == INTEL && THUNDERBOLT_BRIDGES.contains(&device.id.device);
    let is_behind = || host.devices(&display.ancestors).any(is_bridge);
    (display.removable || is_behind()).then(|| {
        Finding::warning(
            "removable",
            "it can be unplugged (Thunderbolt, USB4): it is here only while its enclosure is on and authorised, at boot often after other drivers were loaded, and its address may change with the port",
            "authorise the enclosure at each boot (boltctl enroll --policy auto UUID; boltctl list shows it), use the same port, and do not unplug it while a guest has it",
        )
    })
}

fn console(card: &Card) -> Option<Finding> {
    (card.kind == CardKind::Bmc).then(|| {
        Finding::warning(
            "bmc",
            "this is the server's management console, not a card for a guest",
            "leave it to the host, which needs it as a display",
        )
    })
}

fn virtualization_off(host: &Host) -> Option<Finding> {
    if host.cpu.virtualization() != Some(false) {
        return None;
    }
    let name = if host.cpu.is_intel() { "VT-x (vmx)" } else { "SVM (AMD-V)" };
    let remedy = if host.platform.iommu == Iommu::Xen {
        WITHOUT_XEN.to_owned()
    } else if host.cpu.is_guest() {
        "enable nested virtualization for this virtual machine".to_owned()
    } else {
        format!("enable {name} in the firmware settings")
    };
    Some(Finding::warning(
        "virtualization-off",
        format!("the processor reports no {name}: KVM cannot work, with or without an IOMMU"),
        remedy,
    ))
}

fn no_groups_at_all(host: &Host) -> Option<Finding> {
    let relevant = host.platform.iommu != Iommu::On && !host.pci.is_empty();
    let (seen, remedy) = relevant.then(|| missing_iommu(host))?;
    let code = match host.platform.iommu {
        Iommu::Off => "iommu-off",
        Iommu::FirmwareOff => "iommu-firmware-off",
        Iommu::Guest => "iommu-guest",
        Iommu::Xen => "iommu-xen",
        Iommu::On | Iommu::Unknown => "iommu-unknown",
    };
    Some(Finding::warning(code, seen, remedy))
}

/// Intel's Volume Management Device keeps `NVMe` disks in a PCI domain of its own.
fn hidden_disks(host: &Host) -> Option<Finding> {
    let vmd: Vec<PciAddress> = host
        .pci
        .iter()
        .filter(|device| {
            device.id.vendor == INTEL && device.class.code() == 0x0104 && device.address.bus == 0 && device.address.device == 0x0e
        })
        .map(|device| device.address)
        .collect();
    let vmd = vmd.first()?;
    Some(Finding::warning(
        "vmd",
        format!(
            "{} (Intel VMD) hides NVMe disks behind it in a separate PCI domain: they cannot be passed through individually",
            vmd.short()
        ),
        "to pass an NVMe disk through, disable VMD in the firmware settings (an installed Windows may then need a driver)",
    ))
}
