//! The kernel parameters and module options that this host needs, and no others.

use super::binding::Binding;
use crate::host::plan::Edits;
use crate::host::request::Wanted;
use crate::host::text::tokens::ParameterChange;
use crate::model::{Finding, Host, Iommu, Setup};

/// A change of the kernel parameters, and why it is needed.
pub(super) struct Needed {
    pub(super) want: ParameterChange,
    pub(super) why: String,
}

impl Needed {
    pub(super) fn new(want: ParameterChange, why: impl Into<String>) -> Self {
        Self { want, why: why.into() }
    }
}

/// Parameters that the IOMMU needs, and those that disable it.
pub(super) fn of_iommu(host: &Host, wanted: &Wanted) -> Vec<Needed> {
    if wanted.passes_none {
        return Vec::new();
    }
    let without = |name: &str| Needed::new(ParameterChange::Without(name.into(), "off".into()), "it disables the IOMMU");
    let intel = host.cpu.is_intel() || host.platform.iommu_tables.iter().any(|table| table == "DMAR");
    if !intel {
        return vec![without("iommu"), without("amd_iommu")];
    }
    let cmdline = host.platform.cmdline.as_ref();
    let said = cmdline.is_some_and(|cmdline| cmdline.get("intel_iommu").is_some_and(|value| value.split(',').any(|part| part == "on")));
    let left_out = host.devices(&wanted.functions).any(|device| device.group.is_none());
    let why = match host.platform.iommu {
        Iommu::On if said => "it enables the IOMMU, which has to stay on",
        // It has no effect if the IOMMU is on without it.
        Iommu::On if cmdline.is_none() => "the kernel command line could not be read, and may be what enables the IOMMU",
        Iommu::On if left_out => "without it this kernel excludes integrated graphics from the IOMMU",
        Iommu::On | Iommu::Guest | Iommu::Xen => return vec![without("iommu"), without("intel_iommu")],
        Iommu::Off => "the firmware enables the IOMMU, but this kernel does not use it without this parameter",
        Iommu::FirmwareOff => "without it the kernel does not use the IOMMU, once the firmware enables it",
        Iommu::Unknown => "it is unknown whether the IOMMU is on, and some kernels do not use it without this parameter",
    };
    vec![without("iommu"), Needed::new(ParameterChange::Set("intel_iommu=on".into()), why)]
}

/// What the binding needs if vfio-pci is built in.
pub(super) fn of_binding(binding: &Binding) -> Option<Needed> {
    let why = "vfio-pci is built into the kernel, so modprobe's options have no effect";
    Some(Needed::new(binding.parameters()?, why))
}

/// Disables nested paging for one family of processors on old kernels: there it costs most of the speed (found by the
/// guide; fixed in Linux 4.15).
pub(super) fn nested_paging(host: &Host, setup: &Setup) -> Result<Edits, Finding> {
    /// Bulldozer and its successors (CPUID family; AMD BKDG for family 15h).
    const FAMILY_15H: u32 = 0x15;
    let mut edits = Edits::default();
    if host.cpu.is_amd() && host.cpu.family == Some(FAMILY_15H) && host.platform.kernel_at_least(4, 15) == Some(false) {
        let text = "# Written by `vgapt prepare`, taken away by `vgapt undo`.\noptions kvm-amd npt=0\n".to_owned();
        let why = "nested paging costs most of a guest's speed on AMD family 15h before Linux 4.15";
        edits.write(setup, "/etc/modprobe.d/vgapt-kvm.conf", text, 0o644, why)?;
    }
    Ok(edits)
}

/// Problems that no kernel parameter can fix.
pub(super) fn firmware(host: &Host) -> Option<Finding> {
    let platform = &host.platform;
    let is_off = || {
        let says_nothing = platform.cmdline.as_ref().is_some_and(|line| line.get("amd_iommu").is_none() && line.get("iommu").is_none());
        platform.iommu == Iommu::Off && host.cpu.is_amd() && says_nothing
    };
    (matches!(platform.iommu, Iommu::FirmwareOff | Iommu::Guest | Iommu::Xen) || is_off()).then(|| {
        let (seen, remedy) = crate::passthrough::missing_iommu(host);
        // What vgapt would set up is for a kernel that has the hardware itself, and its parameters are not those of Xen's entry.
        let of_xen = platform.iommu == Iommu::Xen;
        if of_xen { Finding::error("iommu", seen, remedy) } else { Finding::warning("iommu", seen, remedy) }
    })
}
