//! What the reset of a card depends on: who uses its functions, which bridges reset what is behind them, whether the host can
//! suspend; and whether a function answers, by its configuration space.

use super::observed::{holders_of, nodes};
use crate::model::{Holders, Host, PciAddress, ResetFunction};
use crate::root::Root;

const DEVICES: &str = "/sys/bus/pci/devices";

/// The offsets of the class code and of the first base address register in the configuration space.
const CLASS: usize = 0x09;
const FIRST_BAR: usize = 0x10;
/// The part of the configuration space that every user can read.
const HEADER: usize = 64;
const BARS: usize = 6;
/// Flags of a resource (ioport.h of the kernel): in I/O ports, in memory, of 64 bits, without an address.
const IORESOURCE_IO: u64 = 0x100;
const IORESOURCE_MEM: u64 = 0x200;
const IORESOURCE_MEM_64: u64 = 0x0010_0000;
const IORESOURCE_UNSET: u64 = 0x2000_0000;

/// The processes that have functions open, also those that have them as guests' (vfio).
pub fn function_holders(root: &Root, functions: &[PciAddress]) -> Holders {
    let vfio = |function: &PciAddress| {
        let home = format!("{DEVICES}/{function}");
        let group = root.link_name(&format!("{home}/iommu_group")).map(|number| format!("/dev/vfio/{number}"));
        let devices = root.names(&format!("{home}/vfio-dev")).into_iter().map(|name| format!("/dev/vfio/devices/{name}"));
        group.into_iter().chain(devices).collect::<Vec<_>>()
    };
    let nodes: Vec<String> = functions.iter().flat_map(|function| nodes(root, *function).into_iter().chain(vfio(function))).collect();
    holders_of(root, &nodes)
}

/// The bridges that can reset all that is behind them (`reset_subordinate`: Linux 6.13, and older ones that have it from there,
/// commit 2fa046449a82).
pub fn resetting_bridges(root: &Root, host: &Host) -> Vec<PciAddress> {
    let can = |bridge: &PciAddress| root.exists(&format!("{DEVICES}/{bridge}/reset_subordinate"));
    host.pci.iter().filter(|device| device.is_bridge()).map(|device| device.address).filter(can).collect()
}

/// Why the host cannot suspend to RAM and wake up by itself; `None` if it can.
pub fn no_suspend(root: &Root) -> Option<String> {
    let has = |path: &str, word: &str| {
        let text = root.reading(path).known()?;
        Some(text.split_ascii_whitespace().any(|state| state.trim_matches(['[', ']']) == word))
    };
    match (has("/sys/power/state", "mem"), has("/sys/power/mem_sleep", "deep")) {
        (Some(true), Some(true)) => {}
        (Some(_), Some(false) | None) => {
            return Some("this host's suspend leaves its slots powered (/sys/power/mem_sleep does not have deep)".to_owned());
        }
        (Some(false), _) => return Some("this host cannot suspend to RAM (/sys/power/state does not have mem)".to_owned()),
        (None, _) => return Some("whether this host can suspend to RAM is unknown: /sys/power/state cannot be read".to_owned()),
    }
    let clock = root.exists("/sys/class/rtc/rtc0/wakealarm");
    (!clock).then(|| "no clock can wake this host up (/sys/class/rtc/rtc0/wakealarm does not exist)".to_owned())
}

/// Whether a function answers as the one that it was; else what is wrong.
///
/// # Errors
/// In words: it is gone, another one is there, or its configuration space is not as the kernel set it.
pub fn answers(root: &Root, function: &ResetFunction) -> Result<(), String> {
    let (at, home) = (function.address.short(), format!("{DEVICES}/{}", function.address));
    if root.status(&home).is_none() {
        return Err(format!("{at} is gone from the bus"));
    }
    let config = root.first_bytes(&format!("{home}/config"), HEADER).map_err(|error| format!("cannot read {home}/config: {error}"))?;
    if config.len() < HEADER {
        return Err(format!("{at} has a configuration space of {} bytes", config.len()));
    }
    if config.iter().all(|byte| *byte == 0xff) {
        return Err(format!("{at} does not answer: its configuration space reads as ones"));
    }
    let (vendor, device) = (word(&config, 0), word(&config, 2));
    if (vendor, device) != (function.id.vendor, function.id.device) {
        return Err(format!("{at} is {vendor:04x}:{device:04x} now, and was {}", function.id));
    }
    // The kernel keeps the class that it read when it found the function.
    let class = root.attribute(&format!("{home}/class")).and_then(|text| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok());
    let now = u32::from_le_bytes([config[CLASS], config[CLASS + 1], config[CLASS + 2], 0]);
    if let Some(class) = class.filter(|class| *class != now) {
        return Err(format!("{at} has the class {now:06x} now, and had {class:06x}"));
    }
    let resource = root.reading(&format!("{home}/resource")).into_result()?.unwrap_or_default();
    match lost_bar(&config, &resource) {
        Some(bar) => Err(format!("{at} has lost the address of its memory region {bar}")),
        None => Ok(()),
    }
}

fn word(config: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([config[at], config[at + 1]])
}

/// The first base address register that does not have the address that the kernel gave the region.
fn lost_bar(config: &[u8], resource: &str) -> Option<usize> {
    let register = |index: usize| {
        let at = FIRST_BAR + 4 * index;
        u64::from(u32::from_le_bytes([config[at], config[at + 1], config[at + 2], config[at + 3]]))
    };
    let differs = |(index, line): &(usize, &str)| {
        let mut numbers = line.split_ascii_whitespace().map(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
        let (Some(Some(start)), Some(_), Some(Some(flags))) = (numbers.next(), numbers.next(), numbers.next()) else { return false };
        if start == 0 || flags & IORESOURCE_UNSET != 0 {
            return false;
        }
        let found = match flags {
            _ if flags & IORESOURCE_IO != 0 => register(*index) & !0x3,
            _ if flags & IORESOURCE_MEM == 0 => return false,
            _ if flags & IORESOURCE_MEM_64 != 0 && index + 1 < BARS => register(*index) & !0xf | register(index + 1) << 32,
            _ => register(*index) & !0xf,
        };
        found != start
    };
    resource.lines().take(BARS).enumerate().find(differs).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two regions, the first of 64 bits, and I/O ports.
    const RESOURCE: &str = "0x0000000800000000 0x000000080fffffff 0x000000000014220c\n0x0 0x0 0x0\n0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n0x000000000000e000 0x000000000000e07f 0x0000000000040101\n";

    fn config(bars: [u32; 4]) -> Vec<u8> {
        let mut config = vec![0; HEADER];
        for (index, bar) in bars.into_iter().enumerate() {
            config[FIRST_BAR + 4 * index..][..4].copy_from_slice(&bar.to_le_bytes());
        }
        config
    }

    #[test]
    fn a_region_without_its_address() {
        assert_eq!(lost_bar(&config([0xc, 8, 0xf600_0000, 0xe001]), RESOURCE), None);
        assert_eq!(lost_bar(&config([0xc, 0, 0xf600_0000, 0xe001]), RESOURCE), Some(0));
        assert_eq!(lost_bar(&config([0xc, 8, 0, 0xe001]), RESOURCE), Some(2));
        assert_eq!(lost_bar(&config([0xc, 8, 0xf600_0000, 1]), RESOURCE), Some(3));
        let unset = RESOURCE.replace("0x000000000014220c", "0x000000002014220c");
        assert_eq!(lost_bar(&config([0xc, 0, 0xf600_0000, 0xe001]), &unset), None);
    }
}
