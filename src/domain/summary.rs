//! What a domain is for its user: system, memory, processors, card, picture, input, disks, networks, and what its installer will
//! need; from its XML, whoever wrote it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::alias;
use super::record::Record;
use crate::domain_xml::{
    self, HostDevice, alias_of, are_pinned, devices_named, disks, drives, functions_of_commandline, host_device, interfaces, memory,
    options_of, osinfo, pci_hostdevs, vcpus, video_model,
};
use crate::model::{Card, Host, KVMFR_NODE, PciAddress, Size};
use crate::passthrough::{has_outlets, keeps_display};
use crate::xml::{Document, Element};

/// What a domain is for its user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Summary {
    pub name: String,
    pub title: Option<String>,
    /// The guest system, if the domain says it: `Windows 11`.
    pub system: Option<String>,
    pub memory: Option<Size>,
    pub hugepages: bool,
    /// The number of virtual processors.
    pub processors: Option<u32>,
    pub pinned: bool,
    /// The graphics cards.
    pub cards: Vec<PassedCard>,
    /// The other PCI functions.
    pub functions: Vec<PassedFunction>,
    /// The mediated devices, by their UUIDs.
    pub mediated: Vec<String>,
    /// Where the guest's picture will be; empty: nowhere.
    pub picture: Vec<Picture>,
    /// Where the guest's keyboard and mouse are; empty: it has none.
    pub input: Vec<Input>,
    /// The disks that the guest writes to, by their files, devices or volumes.
    pub disks: Vec<String>,
    /// The images in its CD drives.
    pub cds: Vec<String>,
    pub networks: Vec<Network>,
    /// What an installer will need.
    pub installer: Option<Installer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PassedCard {
    pub address: PciAddress,
    pub name: Option<String>,
    /// Whether a monitor can be plugged into it; `None` if the host does not show the card.
    pub outputs: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PassedFunction {
    pub address: PciAddress,
    pub name: Option<String>,
}

/// Where the guest's picture will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "on", rename_all = "kebab-case")]
pub enum Picture {
    /// On a monitor that is plugged into this card.
    Monitor { card: PciAddress },
    /// On the host's own monitor, which is handed over with this card.
    HostMonitor { card: PciAddress },
    /// In the window of Looking Glass.
    LookingGlass,
    /// In a window: `spice`, `vnc`, …
    Window {
        protocol: String,
        /// Whether only another machine can show it, because this host has no picture while the guest runs.
        elsewhere: bool,
    },
}

/// Where keyboard and mouse are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Input {
    /// Devices of the host that are switched between host and guest by these keys.
    Evdev { devices: Vec<String>, toggle: Option<String> },
    /// USB devices of the host, which the guest has alone.
    Usb { devices: Vec<String> },
    /// What is plugged into a USB controller that the guest has alone.
    UsbController { address: PciAddress },
    /// The window: `spice`, `vnc`, …
    Window { protocol: String },
}

/// A network of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Network {
    /// libvirt's name of its kind: `user`, `network`, `bridge`, `direct`, …
    pub kind: String,
    /// The network, bridge or interface of the host.
    pub source: Option<String>,
}

/// The installer of Windows has no driver for a virtio disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Installer {
    /// The driver that it asks for, by its folder on the CD.
    pub driver: String,
    /// Whether the domain has a CD with that driver.
    pub cd: bool,
}

impl Summary {
    /// The summary of a domain; the host is needed for names and for what the devices are.
    pub fn of(domain: &Document, record: Option<&Record>, host: &Host) -> Self {
        let root = domain.root();
        let text = |name: &str| root.child(name).map(|element| element.text().to_owned()).filter(|text| !text.is_empty());
        let (cards, functions) = passed(domain, host);
        let windows = windows(root);
        let disks = written(domain);
        let system = system(root, record);
        Self {
            name: text("name").unwrap_or_default(),
            title: text("title"),
            memory: memory(root),
            hugepages: root.at("memoryBacking/hugepages").is_some(),
            processors: vcpus(root),
            pinned: are_pinned(root),
            picture: pictures(root, is_handed_over(domain, record, host), &cards, &windows, is_dark(domain, record, host)),
            input: inputs(root, &functions, host, windows),
            functions: functions.iter().map(|address| PassedFunction { address: *address, name: name(*address, host) }).collect(),
            mediated: mediated(root),
            networks: interfaces(root).map(|interface| Network { kind: interface.kind, source: interface.source }).collect(),
            cds: cds(root).map(|(_, path)| path).collect(),
            installer: installer(root, system.as_deref()),
            system,
            cards,
            disks,
        }
    }

    /// Whether a card is passed that a monitor may be plugged into, a share of one, or a display of another kind.
    pub(crate) fn has_graphics(&self) -> bool {
        !self.picture.is_empty() || !self.cards.is_empty() || !self.mediated.is_empty()
    }
}

fn name(address: PciAddress, host: &Host) -> Option<String> {
    host.device(address).map(crate::model::PciDevice::label)
}

/// The graphics cards and the other functions that are passed. A card that the host does not show is known by vgapt's alias.
fn passed(domain: &Document, host: &Host) -> (Vec<PassedCard>, Vec<PciAddress>) {
    let root = domain.root();
    let by_elements =
        pci_hostdevs(root).map(|(hostdev, address)| (address, alias_of(hostdev).is_some_and(|name| name.starts_with(alias::GPU))));
    let by_options = functions_of_commandline(domain).into_iter().map(|address| (address, false));
    let (mut cards, mut others): (Vec<PassedCard>, Vec<PciAddress>) = (Vec::new(), Vec::new());
    for (function, is_card) in by_elements.chain(by_options) {
        let known = Card::with(host, function);
        let is_new =
            |address: PciAddress| !cards.iter().any(|card| card.address == address || (known.is_none() && card.address.same_slot(address)));
        match &known {
            Some(card) => {
                if is_new(card.address) {
                    let outputs = card.functions.iter().filter_map(|function| host.device(*function)).any(has_outlets);
                    cards.push(PassedCard { address: card.address, name: name(card.address, host), outputs: Some(outputs) });
                }
            }
            None if is_card => {
                if is_new(function) {
                    cards.push(PassedCard { address: function, name: None, outputs: None });
                }
            }
            None => others.push(function),
        }
    }
    (cards, others)
}

fn mediated(root: Element<'_>) -> Vec<String> {
    let uuid = |hostdev| match host_device(hostdev) {
        Some(HostDevice::Mediated(uuid)) => Some(uuid),
        _ => None,
    };
    devices_named(root, "hostdev").filter_map(uuid).collect()
}

/// The windows that show the guest, by their protocols. Without an emulated adapter they show nothing.
fn windows(root: Element<'_>) -> Vec<String> {
    let kinds: BTreeSet<String> =
        devices_named(root, "graphics").filter_map(|graphics| Some(graphics.attribute("type")?.into_owned())).collect();
    kinds.into_iter().collect()
}

/// Whether the host shows no picture while the guest runs.
fn is_dark(domain: &Document, record: Option<&Record>, host: &Host) -> bool {
    let functions = all_functions(domain);
    // Of a host whose devices are unknown, this is unknown too.
    let is_known = !host.pci.is_empty() && !functions.is_empty();
    record.is_some_and(|record| record.request.handover) || (is_known && !keeps_display(host, &functions))
}

/// Whether the guest gets the host's display: asked to be handed over, and no other one stays with the host.
fn is_handed_over(domain: &Document, record: Option<&Record>, host: &Host) -> bool {
    record.is_some_and(|record| record.request.handover) && !keeps_display(host, &all_functions(domain))
}

fn all_functions(domain: &Document) -> Vec<PciAddress> {
    pci_hostdevs(domain.root()).map(|(_, address)| address).chain(functions_of_commandline(domain)).collect()
}

fn pictures(root: Element<'_>, handover: bool, cards: &[PassedCard], windows: &[String], elsewhere: bool) -> Vec<Picture> {
    let on_card =
        |card: &PassedCard| if handover { Picture::HostMonitor { card: card.address } } else { Picture::Monitor { card: card.address } };
    let cards = cards.iter().filter(|card| card.outputs != Some(false)).map(on_card);
    let is_looking_glass = |shmem: Element<'_>| shmem.attribute("name").as_deref() == Some("looking-glass");
    let looking_glass = (devices_named(root, "shmem").any(is_looking_glass) || options_of(root, KVMFR_NODE).next().is_some())
        .then_some(Picture::LookingGlass);
    // libvirt adds an adapter where a window has none.
    let videos: Vec<String> = devices_named(root, "video").filter_map(video_model).collect();
    let is_shown = videos.is_empty() || videos.iter().any(|model| model != "none");
    let windows = windows.iter().filter(|_| is_shown).map(|protocol| Picture::Window { protocol: protocol.clone(), elsewhere });
    cards.chain(looking_glass).chain(windows).collect()
}

fn inputs(root: Element<'_>, functions: &[PciAddress], host: &Host, windows: Vec<String>) -> Vec<Input> {
    let mut inputs = Vec::new();
    let evdev: Vec<Element<'_>> = devices_named(root, "input").filter_map(|input| input.child("source")).collect();
    let path = |source: &Element<'_>| source.attribute("dev").or_else(|| source.attribute("evdev")).map(std::borrow::Cow::into_owned);
    let devices: Vec<String> = evdev.iter().filter_map(path).collect();
    if !devices.is_empty() {
        let is_leader = |source: &&Element<'_>| source.attribute("grab").is_some();
        let toggle = evdev.iter().find(is_leader).map(|source| source.attribute("grabToggle").unwrap_or("ctrl-ctrl".into()).into_owned());
        inputs.push(Input::Evdev { devices, toggle });
    }
    let usb = |hostdev| match host_device(hostdev)? {
        HostDevice::Usb(id) => {
            let found = host.usb.iter().find(|device| device.id == id).and_then(|device| device.name.clone());
            Some(found.map_or_else(|| id.to_string(), |name| format!("{id} {name}")))
        }
        HostDevice::UsbAt { bus, device } => {
            let number = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
            Some(format!("bus {} device {}", number(bus), number(device)))
        }
        _ => None,
    };
    let devices: Vec<String> = devices_named(root, "hostdev").filter_map(usb).collect();
    if !devices.is_empty() {
        inputs.push(Input::Usb { devices });
    }
    let controllers = functions.iter().copied().filter(|address| host.device(*address).is_none_or(|device| device.class.code() == 0x0c03));
    inputs.extend(controllers.map(|address| Input::UsbController { address }));
    inputs.extend(windows.into_iter().map(|protocol| Input::Window { protocol }));
    inputs
}

/// The disks that the guest writes to.
fn written(domain: &Document) -> Vec<String> {
    let of_elements = disks(domain.root()).filter(|disk| matches!(disk.kind.as_str(), "disk" | "lun")).map(|disk| match &disk.source {
        Some(source) => source.to_string(),
        None => disk.target.clone().unwrap_or_default(),
    });
    let of_options = drives(domain).images.into_iter().filter(|drive| !drive.read_only).map(|drive| drive.file);
    of_elements.chain(of_options).collect()
}

/// The CDs: vgapt's alias, if any, and the image.
fn cds(root: Element<'_>) -> impl Iterator<Item = (Option<String>, String)> {
    disks(root).filter(domain_xml::Disk::is_cdrom).filter_map(|disk| Some((alias_of(disk.element), disk.source.as_ref()?.to_string())))
}

/// The guest system: the one of vgapt's template, else the one that other programs have noted (libosinfo). A Windows that was
/// not named has the notes of Windows 10.
fn system(root: Element<'_>, record: Option<&Record>) -> Option<String> {
    let capital = |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>();
    match record.and_then(|record| record.template.as_deref()) {
        Some(name @ ("windows" | "linux")) => return Some(capital(name)),
        Some(name) if osinfo(root).is_none() => return Some(name.to_owned()),
        _ => {}
    }
    // http://microsoft.com/win/11, http://debian.org/debian/12
    let id = osinfo(root)?;
    let mut words = id.rsplit('/').take(2);
    let (version, name) = (words.next()?, words.next()?);
    let name = if name == "win" { "Windows".to_owned() } else { capital(name) };
    Some(format!("{name} {version}"))
}

/// The drivers are those of the virtio CD: <https://github.com/virtio-win/virtio-win-pkg-scripts>.
fn installer(root: Element<'_>, system: Option<&str>) -> Option<Installer> {
    let is_virtio = |name: Option<&str>, path: &str| {
        let file = path.rsplit('/').next().unwrap_or(path).to_lowercase();
        name.is_some_and(|name| name.ends_with("-virtio")) || file.contains("virtio")
    };
    let (drivers, installers): (Vec<_>, Vec<_>) = cds(root).partition(|(name, path)| is_virtio(name.as_deref(), path));
    if installers.is_empty() || !system.is_some_and(|system| system.starts_with("Windows") || system.starts_with("win")) {
        return None;
    }
    let driver = disks(root).filter(|disk| matches!(disk.kind.as_str(), "disk" | "lun")).find_map(|disk| match disk.bus.as_deref()? {
        "virtio" => Some("viostor"),
        "scsi" => Some("vioscsi"),
        _ => None,
    })?;
    Some(Installer { driver: driver.to_owned(), cd: !drivers.is_empty() })
}
