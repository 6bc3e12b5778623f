//! Addresses that the processor supports and the IOMMU cannot map.

use super::check::{Check, Group};
use super::prepared::Prepared;

pub(super) fn check(prepared: &Prepared) -> Option<Check> {
    let narrowest = prepared.facts.observed.iommus.iter().filter_map(|unit| unit.width).min()?;
    let processor = prepared.facts.host.cpu.physical_bits?;
    let check = Check::ok(
        "address-width",
        Group::Iommu,
        "address width",
        format!("the IOMMU maps {narrowest} bits, the processor has {processor}"),
    );
    Some(if narrowest < processor {
        check.care(
            "a guest that sees the processor's full width may place memory regions where the IOMMU cannot map them (VFIO_MAP_DMA failed: Invalid argument)",
            format!("in the domain: <cpu …><maxphysaddr mode='passthrough' limit='{narrowest}'/></cpu>"),
        )
    } else {
        check.minor()
    })
}
