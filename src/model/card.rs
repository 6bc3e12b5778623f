//! A graphics card: the PCI functions that belong together.

use schemars::JsonSchema;
use serde::Serialize;

use super::vendor::{AMD_GRAPHICS, AMD_PROCESSORS, INTEL};
use super::{Host, PciAddress, PciDevice, PciId};

/// Bridge ids of the switch on Intel's own cards: upstream ports of Alchemist and Battlemage.
/// Needed only if the bus hierarchy was not recorded.
const ARC_UPSTREAM: [u16; 2] = [0x4fa0, 0xe2ff];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CardKind {
    Discrete,
    /// Part of the processor or the chipset.
    Integrated,
    /// The console of a server's management controller.
    Bmc,
    Virtual,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Card {
    pub address: PciAddress,
    pub kind: CardKind,
    /// The functions that must be passed together, sorted.
    pub functions: Vec<PciAddress>,
}

impl Card {
    /// All graphics cards of a host, in order of address.
    pub fn all(host: &Host) -> Vec<Card> {
        let mut cards: Vec<Card> = Vec::new();
        for device in host.pci.iter().filter(|device| device.class.is_display() && !device.is_bridge()) {
            if cards.iter().any(|card| card.functions.contains(&device.address)) {
                continue;
            }
            cards.push(Card::around(host, device));
        }
        cards
    }

    /// The functions of all graphics cards.
    pub fn functions_of_all(host: &Host) -> Vec<PciAddress> {
        Self::all(host).into_iter().flat_map(|card| card.functions).collect()
    }

    pub fn with(host: &Host, function: PciAddress) -> Option<Card> {
        Self::all(host).into_iter().find(|card| card.functions.contains(&function))
    }

    fn around(host: &Host, display: &PciDevice) -> Card {
        let kind = kind_of(host, display);
        let mut functions: Vec<PciAddress> = if display.physical_function.is_some() {
            vec![display.address]
        } else {
            siblings(host, display).filter(|other| belongs(display, other, kind)).map(|other| other.address).collect()
        };
        functions.extend(audio_behind_own_switch(host, display));
        functions.sort_unstable();
        functions.dedup();
        // The VGA function (0300) identifies the card, no matter which function number it has.
        let vga = host.devices(&functions).find(|device| device.class.code() == 0x0300);
        Card { address: vga.map_or(display.address, |device| device.address), kind, functions }
    }
}

/// The functions of the same slot, including the given one.
fn siblings<'a>(host: &'a Host, display: &'a PciDevice) -> impl Iterator<Item = &'a PciDevice> {
    let first = host.pci.partition_point(|other| other.address < PciAddress { function: 0, ..display.address });
    host.pci[first..].iter().take_while(|other| other.address.same_slot(display.address))
}

/// Functions of the same slot and vendor belong to the card; other functions of an APU or a management controller do not.
/// The functions of an emulated card may have any vendor.
fn belongs(display: &PciDevice, other: &PciDevice, kind: CardKind) -> bool {
    let same_maker = other.id.vendor == display.id.vendor || kind == CardKind::Virtual;
    same_maker && !other.is_bridge() && other.physical_function.is_none()
}

fn kind_of(host: &Host, display: &PciDevice) -> CardKind {
    if is_emulated(display.id) {
        CardKind::Virtual
    } else if is_bmc(display.id) {
        CardKind::Bmc
    } else if is_integrated(host, display) {
        CardKind::Integrated
    } else {
        CardKind::Discrete
    }
}

/// Intel's integrated graphics is at 00:02.0; AMD's shares its slot with other parts of the processor or, before
/// 2015, is at 00:01.0.
fn is_integrated(host: &Host, display: &PciDevice) -> bool {
    let at = |device: u8| display.address.bus == 0 && display.address.device == device;
    match display.id.vendor {
        INTEL => at(2),
        AMD_GRAPHICS => at(1) || siblings(host, display).any(|other| other.id.vendor == AMD_PROCESSORS),
        _ => false,
    }
}

/// Graphics that hypervisors emulate (vendor ids from pci.ids).
fn is_emulated(id: PciId) -> bool {
    matches!(
        (id.vendor, id.device),
        (0x1234 | 0x15ad | 0x80ee | 0x1ab8 | 0x5853, _) // QEMU std, VMware, VirtualBox, Parallels, Xen
            | (0x1b36, 0x0100)                          // QXL
            | (0x1af4, 0x1050)                          // virtio-gpu
            | (0x1414, 0x5353)                          // Hyper-V
            | (0x1013, 0x00b8)                          // Cirrus, as QEMU emulates it
            | (0x1d0f, 0x1111) // Amazon EC2
    )
}

/// Graphics of management controllers (ids from pci.ids).
fn is_bmc(id: PciId) -> bool {
    matches!(
        (id.vendor, id.device),
        (0x1a03 | 0x19e5, _)                     // ASPEED, Huawei iBMC
            | (0x102b, 0x0522 | 0x0524 | 0x0530..=0x053f) // Matrox G200e and its family
            | (0x1002, 0x515e | 0x5969)          // ES1000
            | (0x18ca, 0x0020 | 0x0021)          // XGI Volari Z7, Z9
            | (0x126f, 0x0750) // Silicon Motion SM750
    )
}

/// Intel's discrete cards contain a PCIe switch, and their audio function is behind another port of it.
fn audio_behind_own_switch(host: &Host, display: &PciDevice) -> Vec<PciAddress> {
    if display.id.vendor != INTEL || display.address.bus == 0 {
        return Vec::new();
    }
    let Some(switch) = switch_above(host, display) else { return Vec::new() };
    host.pci
        .iter()
        .filter(|other| other.id.vendor == INTEL && other.class.code() == 0x0403 && other.address.bus != 0)
        .filter(|other| switch_above(host, other) == Some(switch))
        .map(|other| other.address)
        .collect()
}

/// The upstream port of the switch above a function: its grandparent. If no hierarchy was recorded, the nearest
/// upstream port of an Intel card on a lower bus (buses are numbered depth first).
fn switch_above(host: &Host, device: &PciDevice) -> Option<PciAddress> {
    if let [.., upstream, _downstream] = device.ancestors[..] {
        return host.device(upstream).filter(|port| port.id.vendor == INTEL && upstream.bus != 0).map(|port| port.address);
    }
    host.pci
        .iter()
        .filter(|port| port.id.vendor == INTEL && ARC_UPSTREAM.contains(&port.id.device))
        .filter(|port| port.address.domain == device.address.domain)
        // Upstream port, downstream ports, then the two functions: at most three buses below.
        .filter(|port| (1..=3).contains(&device.address.bus.saturating_sub(port.address.bus)))
        .map(|port| port.address)
        .next_back()
}
