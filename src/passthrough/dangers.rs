//! What a host loses when functions are passed through: one list for all commands (`prepare`, `define`, `attach`, `start`).

use std::collections::BTreeSet;

use super::group;
use crate::model::vendor::{AMD_PROCESSORS, INTEL};
use crate::model::{Card, CardKind, Host, PciAddress, PciDevice, Use, UsedFor, Uses, WithoutDisk};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DangerKind {
    /// The host has no display without it.
    OnlyDisplay,
    /// The host has other displays, but none of them has a driver.
    OnlyPicture,
    /// It is the console of a server's management controller.
    Console,
    /// It has virtual functions, which disappear with it.
    SharedOut,
    /// The firmware reserves memory for it, so the kernel refuses to give it to a guest.
    ReservedMemory,
    /// The host uses other devices of the group.
    BlockedGroup,
    DiskInUse,
    /// A file system is in use whose disk was not found, and it may be this one.
    DiskUseUnknown,
    DefaultRoute,
    LastKeyboard,
    /// It is a part of the chipset or the processor that no guest needs.
    HostFunction,
    /// The host's only display is bound to vfio-pci, before any guest has started.
    HostBlind,
    /// What the host uses could not be read.
    UsesUnknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Danger {
    pub kind: DangerKind,
    /// What would be lost, and by which function.
    pub message: String,
    pub remedy: String,
}

impl DangerKind {
    /// Its name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::OnlyDisplay | Self::OnlyPicture => "only-display",
            Self::Console => "bmc",
            Self::SharedOut => "has-virtual-functions",
            Self::ReservedMemory => "reserved-memory",
            Self::BlockedGroup => "blocked-group",
            Self::DiskInUse => "disk-in-use",
            Self::DiskUseUnknown => "disk-use-unknown",
            Self::DefaultRoute => "default-route",
            Self::LastKeyboard => "last-keyboard",
            Self::HostFunction => "host-function",
            Self::HostBlind => "host-blind",
            Self::UsesUnknown => "uses-unknown",
        }
    }
}

/// Functions of chipsets and processors that the host needs and no guest does: class, vendor, what it is.
const HOST_FUNCTIONS: [(u16, u16, &str); 11] = [
    (0x1080, AMD_PROCESSORS, "the platform security processor (firmware TPM, memory encryption)"),
    (0x1080, INTEL, "an encryption controller of the platform"),
    (0x0c05, AMD_PROCESSORS, "the SMBus (sensors, memory modules)"),
    (0x0c05, INTEL, "the SMBus (sensors, memory modules)"),
    (0x0780, INTEL, "the management engine's interface (HECI)"),
    (0x0806, AMD_PROCESSORS, "the IOMMU itself"),
    (0x0806, INTEL, "the IOMMU itself"),
    (0x0500, INTEL, "memory of the chipset"),
    (0x0580, INTEL, "the flash memory of the firmware"),
    (0x0c80, INTEL, "the flash memory of the firmware, or a serial bus of the chipset"),
    (0x1180, INTEL, "the thermal sensors"),
];

/// All that the host loses with these functions.
pub fn dangers(host: &Host, uses: &Uses, functions: &[PciAddress]) -> Vec<Danger> {
    if functions.is_empty() {
        return Vec::new();
    }
    let console = console(host, functions);
    let found = [
        // A server's console is not passed through, even if there is a second display.
        only_display(host, functions).filter(|_| console.is_none()),
        console,
        shared_out(host, functions),
        reserved_memory(host, functions),
        host_blind(host, functions),
        blocked_group(host, functions),
        disk_in_use(uses, functions).or_else(|| disk_use_unknown(host, uses, functions)),
        default_route(uses, functions),
        last_keyboard(uses, functions),
        host_functions(host, functions),
        uses_unknown(host, uses, functions),
    ];
    found.into_iter().flatten().collect()
}

fn danger(kind: DangerKind, message: impl Into<String>, remedy: impl Into<String>) -> Danger {
    Danger { kind, message: message.into(), remedy: remedy.into() }
}

/// Whether a function can show the host's picture: 3D controllers (0302) and virtual functions have no display outputs.
pub fn has_outlets(device: &PciDevice) -> bool {
    device.class.is_display() && device.class.code() != 0x0302 && !device.is_bridge() && device.physical_function.is_none()
}

/// Whether the last display that the host uses is among these functions.
pub fn is_only_display(host: &Host, functions: &[PciAddress]) -> bool {
    let goes = host.devices(functions).any(|device| has_outlets(device) && !device.on_vfio());
    goes && displays_that_stay(host, functions).next().is_none()
}

/// Whether the host still shows a picture when these functions are passed through.
pub fn keeps_display(host: &Host, functions: &[PciAddress]) -> bool {
    displays_that_stay(host, functions).next().is_some()
}

/// The displays that the host keeps when these functions are passed through. If a driver is bound to a display among these
/// functions, another one counts only if it shows a picture too: through a driver, or as the boot display.
pub(super) fn displays_that_stay<'a>(host: &'a Host, functions: &'a [PciAddress]) -> impl Iterator<Item = &'a PciDevice> {
    let is_driven = host.devices(functions).any(|device| has_outlets(device) && !device.on_vfio() && device.driver.is_some());
    staying(host, functions).filter(move |device| !is_driven || device.driver.is_some() || device.boot_vga == Some(true))
}

/// The displays that stay with the host, whether or not they show a picture.
fn staying<'a>(host: &'a Host, functions: &'a [PciAddress]) -> impl Iterator<Item = &'a PciDevice> {
    host.pci.iter().filter(|device| has_outlets(device) && !device.on_vfio() && !functions.contains(&device.address))
}

/// The displays that stay with the host but show no picture when these functions are passed through.
pub fn displays_without_driver(host: &Host, functions: &[PciAddress]) -> Vec<PciAddress> {
    if !is_only_display(host, functions) {
        return Vec::new();
    }
    staying(host, functions).map(|device| device.address).collect()
}

fn only_display(host: &Host, functions: &[PciAddress]) -> Option<Danger> {
    if !is_only_display(host, functions) {
        return None;
    }
    let is_passed = |card: &Card| card.functions.iter().any(|own| functions.contains(own));
    let cards = Card::all(host).into_iter().filter(is_passed).map(|card| card.address.short());
    let address = cards.collect::<Vec<_>>().join(" --gpu ");
    let message = format!("without {} the host has no display", PciAddress::list(functions));
    let hand_over =
        format!("leave it with the host until the guest starts: vgapt prepare --gpu {address} --bind start, then {}", handover(&address));
    let dark = displays_without_driver(host, functions);
    Some(if dark.is_empty() {
        danger(DangerKind::OnlyDisplay, message, hand_over)
    } else {
        let dark = PciAddress::list(&dark);
        danger(
            DangerKind::OnlyPicture,
            format!("{message}: {dark} has no driver"),
            format!(
                "load the driver of {dark} first (if a file prevents that, see which: vgapt check --gpu {address}; then reboot); or {hand_over}"
            ),
        )
    })
}

/// The remedy for the only display if it is left with the host until a guest starts.
pub fn only_display_remedy(host: &Host, functions: &[PciAddress]) -> String {
    let displays = host.devices(functions).filter(|device| has_outlets(device)).map(|device| device.address.short());
    handover(&displays.collect::<Vec<_>>().join(" --gpu "))
}

fn handover(addresses: &str) -> String {
    format!(
        "vgapt define NAME --gpu {addresses} --handover; or add a second display (integrated graphics count, if the firmware enables them), or use the host over ssh"
    )
}

/// A server's console is not a card for a guest, even if there are other displays.
fn console(host: &Host, functions: &[PciAddress]) -> Option<Danger> {
    let card = Card::all(host).into_iter().find(|card| card.kind == CardKind::Bmc && functions.contains(&card.address))?;
    let message = format!("{} is the server's management console (BMC), not a card for a guest", card.address.short());
    Some(danger(DangerKind::Console, message, "leave it to the host, and pass another card through"))
}

/// A function with virtual functions cannot be passed through itself.
fn shared_out(host: &Host, functions: &[PciAddress]) -> Option<Danger> {
    let named = host.virtual_functions_of(functions);
    let parent = host.device(*named.first()?)?.physical_function?;
    Some(danger(
        DangerKind::SharedOut,
        format!("{} has virtual functions ({}), which disappear with it", parent.short(), PciAddress::list(&named)),
        format!("pass one of these through, or remove them first: echo 0 > /sys/bus/pci/devices/{parent}/sriov_numvfs"),
    ))
}

/// What to do where the firmware reserves memory for a device.
pub(super) const RESERVED_MEMORY_REMEDY: &str = "update the firmware, or disable there what shares memory with the slot (HPE ProLiant: Shared Memory); otherwise use another slot or device";

/// The kernel refuses a group with such memory: "Device is ineligible for IOMMU domain attach due to platform RMRR requirement".
fn reserved_memory(host: &Host, functions: &[PciAddress]) -> Option<Danger> {
    let device = host.devices(functions).find(|device| !device.reserved_memory.is_empty())?;
    let ranges = device.reserved_memory.join(", ");
    let message = format!(
        "the firmware reserves memory for {} (RMRR, {ranges}), so the kernel refuses to give it to a guest",
        device.address.short()
    );
    Some(danger(DangerKind::ReservedMemory, message, RESERVED_MEMORY_REMEDY))
}

/// The displays of a host that are bound to vfio-pci, if no other one shows a picture: through a driver, or as the boot
/// display, on which the firmware's picture stays; otherwise empty.
pub fn displays_on_vfio(host: &Host) -> Vec<PciAddress> {
    let displays: Vec<&PciDevice> = host.pci.iter().filter(|device| has_outlets(device)).collect();
    let is_silent = |device: &PciDevice| device.driver.is_none() && device.boot_vga == Some(false);
    let is_dark = displays.iter().all(|device| device.on_vfio() || is_silent(device));
    displays.into_iter().filter(|device| is_dark && device.on_vfio()).map(|device| device.address).collect()
}

/// The host has no display now, because of these functions.
pub(super) fn host_blind(host: &Host, functions: &[PciAddress]) -> Option<Danger> {
    let dark = displays_on_vfio(host);
    let own = functions.iter().find(|function| dark.contains(function))?;
    Some(danger(
        DangerKind::HostBlind,
        format!("the host has no display: {} is bound to vfio-pci, and no other display has a host driver", own.short()),
        "use the host over ssh, or add a second display; to have a picture until the guest starts, remove what binds it (vgapt check shows it) and use vgapt prepare --bind start and vgapt define NAME --handover",
    ))
}

fn blocked_group(host: &Host, functions: &[PciAddress]) -> Option<Danger> {
    let blockers = host.blockers_of(functions);
    let siblings: Vec<PciAddress> =
        blockers.iter().copied().filter(|blocker| functions.iter().any(|function| function.same_slot(*blocker))).collect();
    let isolation = group::isolation_remedy(host, functions, &blockers);
    let remedy = if siblings.is_empty() {
        isolation
    } else {
        format!("pass {} through too, as they share the slot; otherwise {isolation}", PciAddress::list(&siblings))
    };
    (!blockers.is_empty()).then(|| {
        let message = format!("the host uses other devices of the same IOMMU group: {}", PciDevice::list(host.devices(&blockers)));
        danger(DangerKind::BlockedGroup, message, remedy)
    })
}

/// What the host uses that is behind one of these functions.
fn behind<'a>(uses: &'a Uses, functions: &'a [PciAddress]) -> impl Iterator<Item = (&'a UsedFor, PciAddress)> {
    uses.known.iter().filter_map(|used| Some((&used.what, *used.path.iter().find(|address| functions.contains(address))?)))
}

fn disk_in_use(uses: &Uses, functions: &[PciAddress]) -> Option<Danger> {
    let named: BTreeSet<String> = behind(uses, functions)
        .filter_map(|(what, function)| match what {
            UsedFor::Disk { name, place } if place == UsedFor::SWAP => Some(format!("{name} (swap) behind {}", function.short())),
            UsedFor::Disk { name, place } => Some(format!("{name} ({place}) behind {}", function.short())),
            _ => None,
        })
        .collect();
    let named = named.into_iter().collect::<Vec<_>>().join(", ");
    (!named.is_empty()).then(|| {
        let remedy = "unmount it and remove it from /etc/fstab first (umount, swapoff), or pass another device through";
        danger(DangerKind::DiskInUse, format!("the host uses the disk {named}"), remedy)
    })
}

/// A storage controller may have the disk of a file system whose disk was not found.
fn disk_use_unknown(host: &Host, uses: &Uses, functions: &[PciAddress]) -> Option<Danger> {
    let may_have =
        |device: &PciDevice, one: &WithoutDisk| device.class.base() == 0x01 && one.is_nvme.is_none_or(|is| is == device.class.is_nvme());
    let storage: Vec<&PciDevice> =
        host.devices(functions).filter(|device| uses.without_disk.iter().any(|one| may_have(device, one))).collect();
    (!storage.is_empty()).then(|| {
        let because = uses.without_disk.iter().filter(|one| storage.iter().any(|device| may_have(device, one)));
        let because: Vec<&str> = because.map(|one| one.because.as_str()).collect();
        let storage: Vec<PciAddress> = storage.iter().map(|device| device.address).collect();
        let message = format!("it is unknown whether the host uses a disk behind {}: {}", PciAddress::list(&storage), because.join("; "));
        let remedy = "make sure that no disk behind it is the host's (lsblk, zpool status), or pass another device through";
        danger(DangerKind::DiskUseUnknown, message, remedy)
    })
}

fn default_route(uses: &Uses, functions: &[PciAddress]) -> Option<Danger> {
    let (interface, function) = behind(uses, functions).find_map(|(what, function)| match what {
        UsedFor::DefaultRoute { interface } => Some((interface, function)),
        _ => None,
    })?;
    let message = format!("the host's default route uses {interface}, which is behind {}", function.short());
    Some(danger(DangerKind::DefaultRoute, message, "give the host another network connection first"))
}

fn last_keyboard(uses: &Uses, functions: &[PciAddress]) -> Option<Danger> {
    let keyboards: Vec<&Use> = keyboards(uses).collect();
    let going = |used: &&Use| used.path.iter().any(|address| functions.contains(address));
    let function = keyboards.first()?.path.iter().find(|address| functions.contains(address))?;
    keyboards.iter().all(going).then(|| {
        let message = format!("the host's last keyboard is behind {}", function.short());
        danger(DangerKind::LastKeyboard, message, "plug a keyboard into another controller")
    })
}

fn keyboards(uses: &Uses) -> impl Iterator<Item = &Use> {
    uses.known.iter().filter(|used| matches!(used.what, UsedFor::Keyboard { .. }))
}

/// Whether the host's last keyboard is one of the USB devices at these ports.
pub fn last_keyboard_at(uses: &Uses, ports: &[&str]) -> Option<Danger> {
    let at = |used: &Use| match &used.what {
        UsedFor::Keyboard { port: Some(port), .. } => ports.contains(&port.as_str()),
        _ => false,
    };
    let mut names = keyboards(uses).map(|used| match &used.what {
        UsedFor::Keyboard { name, .. } => name.as_str(),
        _ => "",
    });
    let name = names.next()?.to_owned();
    keyboards(uses).all(at).then(|| {
        danger(
            DangerKind::LastKeyboard,
            format!("{name} is the host's last keyboard, and only the guest could use it while it runs"),
            "share it instead: --evdev /dev/input/by-id/…-event-kbd lets both control keys switch it between host and guest; or plug in another keyboard",
        )
    })
}

fn host_functions(host: &Host, functions: &[PciAddress]) -> Option<Danger> {
    let what = |device: &PciDevice| {
        let known = HOST_FUNCTIONS.iter().find(|(class, vendor, _)| *class == device.class.code() && *vendor == device.id.vendor);
        known.map(|(_, _, what)| format!("{} is {what}", device.address.short()))
    };
    let named: Vec<String> = host.devices(functions).filter_map(what).collect();
    (!named.is_empty()).then(|| {
        danger(DangerKind::HostFunction, format!("{}: the host needs it, and no guest does", named.join(", ")), "leave it with the host")
    })
}

/// If what the host uses could not be read, only graphics and sound are certainly not in use.
fn uses_unknown(host: &Host, uses: &Uses, functions: &[PciAddress]) -> Option<Danger> {
    let may_be_used = |device: &PciDevice| matches!(device.class.code() >> 8, 0x01 | 0x02 | 0x0c);
    let matters = host.devices(functions).any(may_be_used);
    (matters && !uses.unknown.is_empty()).then(|| {
        let message =
            format!("it is unknown whether the host uses what is behind {}: {}", PciAddress::list(functions), uses.unknown.join("; "));
        danger(DangerKind::UsesUnknown, message, "run vgapt as root, on the host itself")
    })
}
