//! Kernel parameters that have no effect, or the wrong one.

use std::collections::BTreeSet;

use super::check::{Check, Group};
use super::prepared::Prepared;
use crate::host;
use crate::host::modprobe::Line;
use crate::model::{Cmdline, Platform};

/// AMD family 15h (Bulldozer and its successors), for which nested paging was slow before Linux 4.15.
const FAMILY_15H: u32 = 0x15;
/// Kernels that carry the ACS override patch, by a word in their release.
const PATCHED: [&str; 7] = ["pve", "zen", "cachyos", "xanmod", "liquorix", "lqx", "acs"];

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let now = prepared.facts.host.platform.cmdline.as_ref().map(|line| ("this boot".to_owned(), line.clone()));
    let next = prepared.needs.entries.iter().map(|entry| (entry.source.clone(), Cmdline(entry.cmdline.clone())));
    let mut told = BTreeSet::new();
    let mut checks = Vec::new();
    for (place, line) in now.into_iter().chain(next) {
        for token in line.0.split_ascii_whitespace() {
            if let Some((code, why)) = wrong(prepared, &line, token).filter(|_| told.insert(token.to_owned())) {
                checks.push(
                    Check::ok(code, Group::Boot, token, format!("is on the kernel command line ({place})"))
                        .care(why, format!("remove {token} from the kernel command line")),
                );
            }
        }
    }
    checks.extend(npt(prepared));
    checks
}

/// What is wrong with a parameter, and the code of the finding.
fn wrong(prepared: &Prepared, line: &Cmdline, token: &str) -> Option<(&'static str, String)> {
    let host = prepared.facts.host;
    let (name, value) = token.split_once('=').unwrap_or((token, ""));
    let name = name.replace('-', "_");
    let of_intel = name == "intel_iommu" || name.starts_with("kvm_intel.");
    let of_amd = name == "amd_iommu" || name.starts_with("kvm_amd.");
    if (of_intel && host.cpu.is_amd()) || (of_amd && host.cpu.is_intel()) {
        return Some(("other-vendor", "it is for processors of another vendor, and has no effect here".into()));
    }
    match (name.as_str(), value) {
        ("amd_iommu", "on") => Some(("no-value", "the kernel has no such value; AMD's IOMMU is on if the firmware enables it".into())),
        ("intel_iommu" | "amd_iommu" | "iommu", value) if value.split(',').any(|part| part == "off") => {
            Some(("iommu-off", "it disables the IOMMU".into()))
        }
        ("video", "efifb:off" | "vesafb:off" | "simplefb:off") if host.platform.kernel_at_least(5, 15) != Some(false) => {
            Some(("efifb-off", "it has no effect since Linux 5.15: another driver has the boot framebuffer".into()))
        }
        ("pcie_acs_override", _) => Some(acs(&host.platform, prepared)),
        ("vfio_pci.ids", value) if line.get("vfio-pci.ids") != Some(value) => {
            Some(("ids-twice", "only the last vfio-pci.ids takes effect, and this one is not the last".into()))
        }
        ("kvm_amd.npt", "0") if !npt_helps(prepared) => Some(("npt", NPT.into())),
        _ => None,
    }
}

fn acs(platform: &Platform, prepared: &Prepared) -> (&'static str, String) {
    let release = platform.kernel.as_deref().unwrap_or_default();
    let log = prepared.facts.observed.log.as_deref().unwrap_or_default();
    let patched = PATCHED.iter().any(|word| release.contains(word)) || log.iter().any(|line| line.contains("ACS overrides"));
    if patched {
        ("acs-override", "it only pretends isolation: devices that really share a group can still access each other's memory".into())
    } else {
        ("acs-override", format!("it takes effect only in kernels with the ACS override patch, and {release} seems not to have it"))
    }
}

const NPT: &str = "it costs much of a guest's speed; the problem that it works around is fixed since Linux 4.15";

/// Disabling nested paging helps only on that family with an old kernel.
fn npt_helps(prepared: &Prepared) -> bool {
    let host = prepared.facts.host;
    host.cpu.family == Some(FAMILY_15H) && host.platform.kernel_at_least(4, 15) == Some(false)
}

fn npt(prepared: &Prepared) -> Option<Check> {
    if npt_helps(prepared) {
        return None;
    }
    let configuration = host::modprobe::read(prepared.facts.setup, &[]);
    let is_one = |line: &&Line| line.name == "kvm_amd" && line.rest.split_whitespace().any(|word| word == "npt=0");
    let path = &configuration.of("options").find(is_one)?.path;
    Some(Check::ok("npt", Group::Boot, "npt=0", format!("is in {path}")).care(NPT, format!("remove npt=0 from {path}")))
}
