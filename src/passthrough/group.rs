//! Remedies for IOMMU groups: if there are none, and if one contains devices of the host.

use crate::model::{Card, CardKind, Cmdline, Host, Iommu, PciAddress, PciDevice};

/// What to do if these share the group of the functions, the safe ways first. A soldered card cannot be moved.
pub(super) fn isolation_remedy(host: &Host, functions: &[PciAddress], blockers: &[PciAddress]) -> String {
    let own = if is_soldered(host, functions) { None } else { Some("the card".to_owned()) };
    let others = host.devices(blockers).filter(|device| is_in_slot(device, host));
    let movable: Vec<String> =
        own.into_iter().chain(others.map(|device| format!("{} ({})", device.address.short(), device.class.noun()))).collect();
    let slot = if movable.is_empty() { String::new() } else { format!("otherwise move {} to another slot; ", movable.join(", or ")) };
    format!(
        "update the firmware and enable its ACS and IOMMU settings; {slot}as a last resort, use a kernel with the ACS override patch, which only pretends isolation"
    )
}

/// Whether it is certain that it is in a slot of its own: `NVMe` disks are, other devices may be parts of the board.
fn is_in_slot(device: &PciDevice, host: &Host) -> bool {
    device.class.is_nvme() && device.address.bus != 0 && !host.is_portable()
}

/// Whether none of these functions can be moved to another slot: a part of the processor or the
/// chipset (bus 0), or a machine whose card is soldered on.
pub fn is_soldered(host: &Host, functions: &[PciAddress]) -> bool {
    let cards = Card::all(host);
    let of_processor = |function: &PciAddress| {
        function.bus == 0 || cards.iter().any(|card| card.kind != CardKind::Discrete && card.functions.contains(function))
    };
    let for_laptops = |name: &str| ["Mobile", "Max-Q", "Laptop"].iter().any(|word| name.contains(word));
    let is_mobile_card = host.devices(functions).any(|device| device.name.as_deref().is_some_and(for_laptops));
    functions.iter().all(of_processor) || is_mobile_card || host.is_portable()
}

/// KVM and Xen exclude each other.
pub(super) const WITHOUT_XEN: &str = "choose the entry of Linux without Xen in the boot menu, and make it the default (GRUB_DEFAULT in /etc/default/grub); or stay with Xen, which passes cards through by its own tools (xl pci-assignable-add), without libvirt's QEMU driver";

/// Why there are no groups, and what to do about it.
pub fn missing_iommu(host: &Host) -> (String, String) {
    let platform = &host.platform;
    let turned_off = platform.cmdline.as_ref().and_then(Cmdline::iommu_off);
    let intel = host.cpu.is_intel() || platform.iommu_tables.iter().any(|table| table == "DMAR");
    let is_asked_for = platform.cmdline.as_ref().and_then(|line| line.get("intel_iommu")).is_some_and(|value| value.starts_with("on"));
    let (seen, remedy) = match (platform.iommu, turned_off) {
        (Iommu::On, _) => (
            "the IOMMU is on, but not for this device",
            if intel {
                "boot with the kernel parameter intel_iommu=on (without it, some kernels exclude integrated graphics from the IOMMU)"
                    .to_owned()
            } else {
                "this device is not behind the IOMMU; it cannot be passed through".to_owned()
            },
        ),
        (Iommu::Off, Some(parameter)) => (
            "the firmware enables the IOMMU, but a kernel parameter disables it",
            format!("remove {parameter}=off from the kernel command line, and reboot: vgapt prepare"),
        ),
        (Iommu::Off, None) if intel && is_asked_for => (
            "the firmware enables the IOMMU, and the kernel does not use it, although this boot has intel_iommu=on",
            "see why in the kernel log: dmesg | grep -i -e DMAR -e IOMMU; what it names is to be changed in the firmware settings, or by a newer firmware or kernel".to_owned(),
        ),
        (Iommu::Off, None) if intel => (
            "the firmware enables the IOMMU, but the kernel does not use it",
            "add the kernel parameter intel_iommu=on, and reboot: vgapt prepare; if that changes nothing, check that VT-d is enabled in the firmware settings"
                .to_owned(),
        ),
        (Iommu::Off, None) => (
            "the firmware reports an IOMMU, but the kernel does not use it",
            "enable the IOMMU (AMD-Vi) in the firmware settings, and search the kernel log for AMD-Vi".to_owned(),
        ),
        (Iommu::FirmwareOff, _) => (
            "the firmware reports no IOMMU",
            format!("enable {} in the firmware settings", if intel { "VT-d" } else { "the IOMMU (AMD-Vi, on Intel VT-d)" }),
        ),
        (Iommu::Guest, _) => (
            "this host is itself a virtual machine, without an IOMMU",
            "run vgapt on the physical host, or give this guest an IOMMU device (libvirt: <iommu model='intel'/>)".to_owned(),
        ),
        (Iommu::Xen, _) => ("Xen runs below this kernel, and has the IOMMU and the processor's virtualization; KVM cannot use them", WITHOUT_XEN.to_owned()),
        (Iommu::Unknown, _) => (
            "no IOMMU group was found, and whether the firmware has an IOMMU could not be read",
            "enable VT-d (Intel) or AMD-Vi in the firmware settings; on Intel boot with intel_iommu=on".to_owned(),
        ),
    };
    (seen.to_owned(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    #[test]
    fn a_disk_in_the_group_can_be_moved_too() {
        let device = |address: &str, class| PciDevice { address: address.parse().unwrap(), class: Class(class), ..PciDevice::default() };
        let host = Host {
            pci: vec![device("00:17.0", 0x01_06_01), device("01:00.0", 0x03_00_00), device("02:00.0", 0x01_08_02)],
            ..Host::default()
        };
        let of = |card: &str, blocker: &str| isolation_remedy(&host, &[card.parse().unwrap()], &[blocker.parse().unwrap()]);
        assert!(
            of("01:00.0", "02:00.0").contains("otherwise move the card, or 02:00.0 (NVMe) to another slot;"),
            "{}",
            of("01:00.0", "02:00.0")
        );
        // A part of the board stays where it is, and so does one of the processor.
        assert!(of("01:00.0", "00:17.0").contains("otherwise move the card to another slot;"), "{}", of("01:00.0", "00:17.0"));
        assert!(of("00:17.0", "02:00.0").contains("otherwise move 02:00.0 (NVMe) to another slot;"), "{}", of("00:17.0", "02:00.0"));
    }
}
