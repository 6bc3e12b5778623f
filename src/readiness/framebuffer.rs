//! The boot framebuffer: while it occupies part of a card's memory region, that region cannot be mapped for a guest.

use super::check::{Check, Group, Step};
use super::prepared::Prepared;
use crate::model::PciAddress;
use crate::passthrough::Assessment;

/// What the kernel calls it (drivers/firmware/sysfb.c, drivers/video/fbdev, drivers/gpu/drm/sysfb).
const NAMES: [&str; 7] = ["bootfb", "efifb", "vesafb", "simplefb", "simpledrm", "simple-framebuffer", "efidrm"];

pub(super) fn check(prepared: &Prepared, card: &Assessment) -> Check {
    let check = |seen: String| Check::ok("boot-framebuffer", Group::Cards, format!("{}, boot framebuffer", card.address.short()), seen);
    let Some(map) = prepared.facts.setup.files.text("/proc/iomem") else {
        return check(String::new()).unknown(&format!("{} (/proc/iomem)", prepared.facts.observed.reach.because())).minor();
    };
    let Some(name) = holder(map, card.address) else {
        return check("not on this card".into()).minor();
    };
    let check = check(format!("{name} occupies part of its memory region"));
    let why = "then vfio-pci cannot map the region (BAR 0: can't reserve), and the guest's screen stays black";
    let remedy = format!(
        "make another display primary in the firmware settings; or unbind the framebuffer before the guest starts, as root: {}; the parameter video=efifb:off has no effect on current kernels",
        "for d in simple-framebuffer efi-framebuffer; do [ ! -e /sys/bus/platform/drivers/$d/$d.0 ] || echo $d.0 > /sys/bus/platform/drivers/$d/unbind; done"
    );
    let on_vfio = prepared.facts.host.device(card.address).is_some_and(crate::model::PciDevice::on_vfio);
    if on_vfio { check.missing(Step::Firmware, why, remedy) } else { check.care(why, remedy) }
}

/// A line of `/proc/iomem`.
struct Region<'a> {
    depth: usize,
    start: u64,
    end: u64,
    name: &'a str,
}

fn region(line: &str) -> Option<Region<'_>> {
    let depth = line.len() - line.trim_start().len();
    let (range, name) = line.trim().split_once(" : ")?;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    Some(Region { depth, start: number(start)?, end: number(end)?, name })
}

/// The framebuffer inside one of a function's regions. Without root all addresses read as 0, but the
/// indentation shows the nesting.
fn holder(map: &str, function: PciAddress) -> Option<&str> {
    let name = function.to_string();
    let regions: Vec<Region> = map.lines().filter_map(region).collect();
    let is_boot = |region: &Region| {
        let lower = region.name.to_ascii_lowercase();
        NAMES.iter().any(|name| lower.starts_with(name))
    };
    regions.iter().enumerate().filter(|(_, own)| own.name == name).find_map(|(at, own)| {
        let inside = regions[at + 1..]
            .iter()
            .take_while(|other| other.depth > own.depth || (own.end > 0 && other.start >= own.start && other.end <= own.end));
        inside.into_iter().find(|other| is_boot(other)).map(|other| other.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAP: &str = "00000000-00000fff : Reserved\ne0000000-f1ffffff : PCI Bus 0000:00\n  e0000000-f1ffffff : PCI Bus 0000:01\n    e0000000-efffffff : 0000:01:00.0\n      e0000000-e07e8fff : BOOTFB\n    f0000000-f1ffffff : 0000:01:00.0\n  f2000000-f2003fff : 0000:02:00.0\n    f2000000-f2003fff : nvme\n";

    #[test]
    fn whose_region_it_is_in() {
        let zeros: String = MAP
            .lines()
            .map(|line| {
                let (range, name) = line.split_once(" : ").unwrap();
                format!("{}00000000-00000000 : {name}\n", &range[..range.len() - range.trim_start().len()])
            })
            .collect();
        for map in [MAP, &zeros] {
            assert_eq!(holder(map, "01:00.0".parse().unwrap()), Some("BOOTFB"), "{map}");
            assert_eq!(holder(map, "02:00.0".parse().unwrap()), None);
        }
        // The kernel indents no further than five levels.
        let deep = "e0000000-efffffff : 0000:01:00.0\ne0000000-e07e8fff : simple-framebuffer.0\nf0000000-f0000fff : BOOTFB\n";
        assert_eq!(holder(deep, "01:00.0".parse().unwrap()), Some("simple-framebuffer.0"));
    }

    proptest! {
        #[test]
        fn never_panics(map in "([ ]{0,4}[0-9a-f]{0,18}-[0-9a-f]{0,8} : (BOOTFB|0000:01:00.0|\\PC{0,8})\n){0,6}\\PC{0,20}") {
            let _ = holder(&map, "01:00.0".parse().unwrap());
        }
    }
}
