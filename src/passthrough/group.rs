//! What to do about IOMMU groups: where there are none, and where strangers sit in one.

use crate::model::{Card, CardKind, Host, Iommu, PciAddress};

/// What to do where a stranger shares a group; the safe ways first. What is soldered on cannot move.
pub(super) fn isolation_remedy(soldered: bool) -> String {
    let slot = if soldered { "" } else { "else move the card to another slot; " };
    format!(
        "update the firmware and switch its ACS and IOMMU settings on; {slot}last, and with the isolation only pretended, a kernel with the ACS override patch"
    )
}

/// Whether none of these functions can be moved to another slot: a part of the processor or the
/// chipset (bus 0), or a machine whose card is soldered on.
pub(super) fn is_soldered(host: &Host, functions: &[PciAddress]) -> bool {
    let cards = Card::all(host);
    let of_processor = |function: &PciAddress| {
        function.bus == 0 || cards.iter().any(|card| card.kind != CardKind::Discrete && card.functions.contains(function))
    };
    let for_laptops = |name: &str| ["Mobile", "Max-Q", "Laptop"].iter().any(|word| name.contains(word));
    let is_mobile_card = host.devices(functions).any(|device| device.name.as_deref().is_some_and(for_laptops));
    functions.iter().all(of_processor) || is_mobile_card || host.is_portable()
}

/// Why there are no groups, and what to do about it.
pub fn missing_iommu(host: &Host) -> (String, String) {
    let platform = &host.platform;
    let turned_off = platform.cmdline.as_ref().and_then(|cmdline| {
        ["intel_iommu", "amd_iommu", "iommu"]
            .into_iter()
            .find(|name| cmdline.get(name).is_some_and(|value| value.split(',').any(|part| part == "off")))
    });
    let intel = host.cpu.is_intel() || platform.iommu_tables.iter().any(|table| table == "DMAR");
    let (seen, remedy) = match (platform.iommu, turned_off) {
        (Iommu::On, _) => (
            "the IOMMU is on, but not for this device",
            if intel {
                "boot with the kernel parameter intel_iommu=on (some kernels leave integrated graphics out without it)".to_owned()
            } else {
                "this device is not behind the IOMMU; it cannot be passed through".to_owned()
            },
        ),
        (Iommu::Off, Some(parameter)) => (
            "the firmware has the IOMMU on, the kernel was told to leave it off",
            format!("take {parameter}=off off the kernel command line, and reboot"),
        ),
        (Iommu::Off, None) if intel => (
            "the firmware has the IOMMU on, the kernel does not use it",
            "boot with the kernel parameter intel_iommu=on; if that changes nothing, check that VT-d is on in the firmware".to_owned(),
        ),
        (Iommu::Off, None) => (
            "the firmware shows an IOMMU, the kernel does not use it",
            "switch the IOMMU (AMD-Vi) on in the firmware settings, and look into the kernel log for AMD-Vi".to_owned(),
        ),
        (Iommu::FirmwareOff, _) => (
            "the firmware shows no IOMMU",
            format!("switch {} on in the firmware settings", if intel { "VT-d" } else { "the IOMMU (AMD-Vi, on Intel VT-d)" }),
        ),
        (Iommu::Guest, _) => (
            "this machine is itself a virtual machine, and was given no IOMMU",
            "run vgapt on the physical host, or give this guest an IOMMU device (libvirt: <iommu model='intel'/>)".to_owned(),
        ),
        (Iommu::Unknown, _) => (
            "no IOMMU group is known, and whether the firmware has an IOMMU could not be read",
            "switch VT-d (Intel) or AMD-Vi on in the firmware settings; on Intel boot with intel_iommu=on".to_owned(),
        ),
    };
    (seen.to_owned(), remedy)
}
