//! The kernel parameters that this host needs, and no others.

use super::binding::Binding;
use super::plan::Parameter;
use super::tokens::Want;
use super::wanted::Wanted;
use crate::model::{Finding, Host, Iommu, PciDevice};

/// A parameter and why it is needed.
pub(super) struct Needed {
    pub(super) want: Want,
    pub(super) parameter: Parameter,
}

fn needed(want: Want, token: &str, why: &str) -> Needed {
    Needed { want, parameter: Parameter { token: token.to_owned(), why: why.to_owned() } }
}

/// Parameters without which there is no IOMMU, and what says the opposite of it.
pub(super) fn of_iommu(host: &Host, wanted: &Wanted) -> Vec<Needed> {
    let opposite = "it keeps the IOMMU off";
    let without = |name: &str| needed(Want::Without(name.into(), "off".into()), &format!("-{name}=off"), opposite);
    let intel = host.cpu.is_intel() || host.platform.iommu_tables.iter().any(|table| table == "DMAR");
    let mut all = vec![without("iommu")];
    if !intel {
        all.push(without("amd_iommu"));
        return all;
    }
    let cmdline = host.platform.cmdline.as_ref();
    let said = cmdline.is_some_and(|cmdline| cmdline.get("intel_iommu").is_some_and(|value| value.split(',').any(|part| part == "on")));
    let left_out = host.devices(&wanted.functions).any(|device: &PciDevice| device.group.is_none());
    let why = match host.platform.iommu {
        Iommu::On if said => Some("the IOMMU is on because of it, and has to stay on"),
        // It changes nothing where the IOMMU is on without it.
        Iommu::On if cmdline.is_none() => Some("the kernel's command line could not be read, and the IOMMU may be on because of it"),
        Iommu::On if left_out => Some("without it this kernel leaves integrated graphics out of the IOMMU"),
        Iommu::On | Iommu::Guest => None,
        Iommu::Off => Some("the firmware has the IOMMU on, and this kernel does not use it without"),
        Iommu::FirmwareOff => Some("the kernel does not use the IOMMU without, once the firmware has it on"),
        Iommu::Unknown => Some("the IOMMU is not known to be on, and kernels differ in whether they use it without"),
    };
    match why {
        Some(why) => all.push(needed(Want::Set("intel_iommu=on".into()), "intel_iommu=on", why)),
        None => all.push(without("intel_iommu")),
    }
    all
}

/// What the binding needs where vfio-pci is no module.
pub(super) fn of_binding(binding: &Binding) -> Option<Needed> {
    let want = binding.parameters()?;
    let Want::Include(name, ids) = &want else { return None };
    let token = format!("{name}={}", ids.join(","));
    Some(Needed {
        parameter: Parameter { token, why: "vfio-pci is built into the kernel, where modprobe's options do not count".into() },
        want,
    })
}

/// What no parameter can mend.
pub(super) fn firmware(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    if matches!(host.platform.iommu, Iommu::FirmwareOff | Iommu::Guest) {
        let (seen, remedy) = crate::passthrough::missing_iommu(host);
        findings.push(Finding::warning("iommu", seen, remedy));
    }
    if host.platform.iommu == Iommu::Off
        && host.cpu.is_amd()
        && host.platform.cmdline.as_ref().is_some_and(|line| line.get("amd_iommu").is_none() && line.get("iommu").is_none())
    {
        let (seen, remedy) = crate::passthrough::missing_iommu(host);
        findings.push(Finding::warning("iommu", seen, remedy));
    }
    findings
}
