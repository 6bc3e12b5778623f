//! Guest address space for the memory regions (BARs) of cards.

use super::question::TuningInput;
use crate::domain::setting::Setting;
use crate::model::Size;

/// The default size of q35's window above 4 GiB (`pci-hole64-size` of `hw/i386/pc_q35.c`).
const DEFAULT_WINDOW: Size = Size::from_mib(32 << 10);

/// Decided if devices are added or removed; half of QEMU's window is left for other devices.
pub(super) fn settings(question: &TuningInput<'_>) -> Option<Vec<Setting>> {
    let differ = question.base.differs(|request| (request.gpu.clone(), request.pci.clone()));
    if !differ && !question.is_ours() {
        return None;
    }
    let regions = question.host.devices(&question.passed).flat_map(|device| &device.bars);
    let all: u64 = regions.map(|region| region.size.bytes()).fold(0, u64::saturating_add);
    if all.saturating_mul(2) <= DEFAULT_WINDOW.bytes() {
        return Some(Vec::new());
    }
    // Regions are aligned to their sizes, so that the next power of two may not be enough.
    let window = all.checked_next_power_of_two()?.checked_mul(2)?;
    let root = "devices/controller[model=pcie-root]";
    let hole = Setting::new(format!("{root}/pcihole64")).with("unit", "KiB").text(Size::from_bytes(window).kib());
    Some(vec![Setting::new(root).with("type", "pci").with("index", 0), hole])
}
