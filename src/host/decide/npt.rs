//! Nested paging off, for one family of processors on old kernels.

use crate::host::plan::Edits;
use crate::model::{Finding, Host, Setup};

const MODPROBE: &str = "/etc/modprobe.d/vgapt-kvm.conf";
/// Bulldozer and its successors (CPUID family; AMD BKDG for family 15h).
const FAMILY_15H: u32 = 0x15;

/// Found by the guide: there nested paging costs most of the speed; fixed in Linux 4.15.
pub(super) fn edits(host: &Host, setup: &Setup) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    if host.cpu.is_amd() && host.cpu.family == Some(FAMILY_15H) && host.platform.kernel_at_least(4, 15) == Some(false) {
        let text = "# Written by `vgapt prepare`, taken away by `vgapt undo`.\noptions kvm-amd npt=0\n".to_owned();
        edits.write(setup, MODPROBE, text, 0o644, "nested paging costs most of a guest's speed on AMD family 15h before Linux 4.15")?;
    }
    Ok(edits)
}
