//! Looking Glass's kernel module, where the host has it or is prepared for it.

use super::check::{Check, Topic};
use super::facts::Facts;
use crate::host;
use crate::model::Reading;

const CONFIGURED: &str = "/etc/modules-load.d/vgapt-kvmfr.conf";
const WHY: &str = "without it, Looking Glass uses shared memory, which is slower, and a domain that has the module's memory does not start";

pub(super) fn kvmfr(facts: &Facts) -> Option<Check> {
    let kvmfr = &facts.host.kvmfr;
    let is_prepared = facts.setup.files.exists(CONFIGURED);
    let is_there = kvmfr.module == Reading::Known(true) || matches!(kvmfr.node, Reading::Known(_));
    let check = |seen: String| Check::ok("kvmfr", Topic::Software, "Looking Glass's module", seen);
    if !is_prepared && !is_there {
        return None;
    }
    let release = facts.host.platform.kernel.as_deref().unwrap_or("that runs");
    if kvmfr.module == Reading::Known(false) {
        let remedy = format!("build it: dkms autoinstall -k {release}; where that fails, boot the kernel before, or undo the preparation");
        return Some(check(format!("is not built for the kernel {release}")).care(WHY, remedy));
    }
    if let Some(finding) = host::kvmfr_kept_out(facts.setup).filter(|_| is_prepared) {
        return Some(check(finding.message).care(WHY, finding.remedy));
    }
    let missing = kvmfr.missing(facts.observed.looking_glass.unwrap_or(1));
    Some(match &missing[..] {
        [] => check("is loaded, and QEMU may use its memory".to_owned()).minor(),
        _ if is_prepared && kvmfr.node == Reading::Absent => {
            check(missing.join("; ")).care(WHY, "reboot, if the host was prepared since its last boot; else: modprobe kvmfr")
        }
        _ if is_prepared || facts.observed.looking_glass.is_some() => {
            check(missing.join("; ")).care(WHY, "vgapt prepare --looking-glass RESOLUTION, then reboot")
        }
        _ => check(format!("is there, and not set up for a guest: {}", missing.join("; "))).minor(),
    })
}
