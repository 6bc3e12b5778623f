//! The listings of `vgapt list`: the cards of a host and the verdict on each, its devices, the cards of several hosts.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::document::{Answer, Failure};
use super::findings::finding;
use super::style::{BAD, FAINT, GOOD, STRONG, WARNING, paint};
use crate::model::{CardKind, Host, Iommu, IommuGroup, PciAddress, PciDevice, UsbDevice};
use crate::passthrough::{self, Assessment, Verdict};

/// All cards, one block each, and warnings about the host.
pub fn cards(host: &Host, cards: &[Assessment]) -> String {
    let mut text = format!("IOMMU: {}\n", iommu(host));
    for warning in passthrough::of_host(host) {
        text.push_str(&finding(&warning));
    }
    for unknown in &host.unknown {
        text.push_str(&format!("{}: {unknown}\n", paint(WARNING, "unknown")));
    }
    for card in cards {
        text.push_str(&block(host, card));
    }
    if cards.iter().all(|card| matches!(card.kind, CardKind::Bmc)) {
        text.push_str("\nThere is no graphics card to pass through.\n");
    }
    text
}

fn iommu(host: &Host) -> String {
    match host.platform.iommu {
        Iommu::On => format!("{}, {} groups", paint(GOOD, "on"), host.groups().len()),
        Iommu::Off => paint(BAD, "off in the kernel"),
        Iommu::FirmwareOff => paint(BAD, "off in the firmware, or missing"),
        Iommu::Guest => paint(BAD, "none: this is a virtual machine"),
        Iommu::Unknown => paint(WARNING, "unknown"),
    }
}

fn block(host: &Host, card: &Assessment) -> String {
    let name = card.name.clone().unwrap_or_else(|| "unknown graphics".into());
    let mut text = format!("\n{}  {} [{}]\n", paint(STRONG, card.address), paint(STRONG, name), card.id);
    let mut line = |key: &str, value: &str| text.push_str(&format!("  {} {value}\n", paint(FAINT, format_args!("{key:<9}"))));
    let kind = match card.kind {
        CardKind::Discrete => "discrete card",
        CardKind::Integrated => "integrated graphics",
        CardKind::Bmc => "management console (BMC)",
        CardKind::Virtual => "emulated graphics",
    };
    let boot = if card.boot_vga == Some(true) { ", the boot display" } else { "" };
    let virtual_function = card.physical_function.map(|parent| format!(", virtual function of {}", parent.short())).unwrap_or_default();
    line("kind", &format!("{kind}{virtual_function}{boot}"));
    let drivers_known = host.pci.iter().any(|device| device.driver.is_some());
    line("driver", card.driver.as_deref().unwrap_or(if drivers_known { "none" } else { "unknown" }));
    let functions: Vec<String> = host.devices(&card.functions).map(function).collect();
    line("functions", &functions.join(", "));
    let groups: Vec<String> = card.groups.iter().map(u32::to_string).collect();
    line("groups", &if groups.is_empty() { "none".to_owned() } else { groups.join(", ") });
    line("verdict", &verdict(card.verdict));
    for blocker in host.devices(&card.blockers) {
        let driver = blocker.driver.as_deref().unwrap_or_default();
        line("blocker", &format!("{} {} on {}, {}", blocker.address.short(), blocker.class.noun(), paint(BAD, driver), blocker.id));
    }
    if !card.virtual_functions.is_empty() {
        line("virtual", &PciAddress::list(&card.virtual_functions));
    }
    if !card.twins.is_empty() {
        line("twins", &PciAddress::list(&card.twins));
    }
    if let Some(remedy) = &card.remedy {
        line("remedy", remedy);
    }
    if let Some(next) = &card.next {
        line("next", &next.to_string());
    }
    for warning in &card.warnings {
        line("warning", &paint(WARNING, &warning.message));
        line("", &format!("remedy: {}", warning.remedy));
    }
    text
}

fn function(device: &PciDevice) -> String {
    let driver = device.driver.as_deref().map(|driver| format!(" on {driver}")).unwrap_or_default();
    format!("{} {}{driver}", device.address.short(), device.class.noun())
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Ready => paint(GOOD, "ready: all functions are on vfio-pci"),
        Verdict::Available => paint(GOOD, "available: can be passed through to a guest"),
        Verdict::OnlyDisplay => paint(WARNING, "only-display: can be passed through, but leaves the host without a display"),
        Verdict::Blocked => paint(BAD, "blocked: its group contains devices that the host uses"),
        Verdict::Reserved => paint(BAD, "reserved: the firmware reserves memory for it, so the kernel does not give it to a guest"),
        Verdict::Console => paint(BAD, "console: the server's management console; stays with the host"),
        Verdict::SharedOut => paint(WARNING, "shared-out: has virtual functions; pass one of these through instead"),
        Verdict::Unknown => paint(WARNING, "unknown: not in an IOMMU group"),
    }
}

/// The addresses of cards, for messages.
pub fn addresses<C: Borrow<Assessment>>(cards: impl IntoIterator<Item = C>) -> String {
    let addresses: Vec<String> = cards.into_iter().map(|card| card.borrow().address.short()).collect();
    if addresses.is_empty() { "none".into() } else { addresses.join(", ") }
}

impl Variables {
    pub fn of(card: &Assessment, host: &Host) -> Self {
        let mut variables = BTreeMap::from([("VGAPT_VGA_ID", card.id.to_string()), ("VGAPT_VGA_BUS", card.address.short())]);
        if let Some(audio) = host.devices(&card.functions).find(|device| device.class.code() == 0x0403) {
            variables.insert("VGAPT_VGA_AUDIO_ID", audio.id.to_string());
            variables.insert("VGAPT_VGA_AUDIO_BUS", audio.address.short());
        }
        Self { variables }
    }
}

/// The guide's variables for a card, as shell assignments.
pub fn env(Variables { variables }: &Variables) -> String {
    let order = ["VGAPT_VGA_ID", "VGAPT_VGA_AUDIO_ID", "VGAPT_VGA_BUS", "VGAPT_VGA_AUDIO_BUS"];
    let line = |name: &str| {
        let value = variables.get(name)?;
        Some(if name.ends_with("_ID") { format!("{name}='{value}'\n") } else { format!("{name}={value}\n") })
    };
    order.into_iter().filter_map(line).collect()
}

/// All IOMMU groups with their members, and the functions without a group.
pub fn groups(host: &Host) -> String {
    let mut text = String::new();
    for group in host.groups() {
        text.push_str(&format!("{}\n", paint(STRONG, format_args!("IOMMU group {}", group.number))));
        text.extend(host.devices(&group.devices).map(function_line));
    }
    let without: Vec<&PciDevice> = host.pci.iter().filter(|device| device.group.is_none()).collect();
    if !without.is_empty() {
        text.push_str(&format!("{}\n", paint(STRONG, "Not in an IOMMU group")));
        text.extend(without.into_iter().map(function_line));
    }
    text
}

pub fn functions(host: &Host) -> String {
    host.pci.iter().map(function_line).collect()
}

/// One function as `lspci -nnk` shows it, on one line.
fn function_line(device: &PciDevice) -> String {
    let name = device.name.as_deref().unwrap_or("unknown");
    let driver = match device.driver.as_deref() {
        None => String::new(),
        Some(driver) if device.on_vfio() => format!("  {}", paint(GOOD, driver)),
        Some(driver) if device.blocks_its_group() => format!("  {}", paint(BAD, driver)),
        Some(driver) => format!("  {}", paint(FAINT, driver)),
    };
    format!("  {} {} [{}]: {name} [{}]{driver}\n", device.address.short(), device.class.noun(), device.class, device.id)
}

/// All USB devices except root hubs.
pub fn usb(host: &Host) -> String {
    if host.usb.is_empty() {
        return "No USB devices are plugged in, or none could be read.\n".into();
    }
    let line = |device: &UsbDevice| {
        let name = device.name.as_deref().unwrap_or("unknown");
        let drivers = if device.drivers.is_empty() { String::new() } else { format!("  {}", paint(FAINT, device.drivers.join(" "))) };
        format!("  {}  bus {:03} device {:03} port {}: {name}{drivers}\n", device.id, device.bus, device.device, device.port)
    };
    host.usb.iter().map(line).collect()
}

/// One line a card.
pub fn hosts(hosts: &[(&str, &[Assessment])]) -> String {
    let row = |host: &str, card: &Assessment| {
        let name = card.name.clone().unwrap_or_else(|| "unknown graphics".into());
        [host.to_owned(), card.address.short(), format!("{name} [{}]", card.id), card.verdict.to_string()]
    };
    let none = |host: &str| [host.to_owned(), "-".to_owned(), "no graphics card".to_owned(), "-".to_owned()];
    let mut rows: Vec<[String; 4]> = Vec::new();
    for (host, cards) in hosts {
        rows.extend(cards.iter().map(|card| row(host, card)));
        rows.extend(cards.is_empty().then(|| none(host)));
    }
    let titles = ["HOST", "CARD", "NAME", "VERDICT"].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&titles]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}  {}", cells.join("  "), row[3])
    };
    let mut text = format!("{}\n", paint(STRONG, line(&titles)));
    text.extend(rows.iter().map(|row| line(row) + "\n"));
    text
}

/// What `vgapt list` answers: the verdicts on the cards, and all that was read of the host.
#[derive(Serialize, JsonSchema)]
pub struct Listing {
    iommu: Iommu,
    gpus: Vec<Assessment>,
    groups: Vec<IommuGroup>,
    #[serde(flatten)]
    host: Host,
}

impl Listing {
    pub fn answer(host: Host, gpus: Vec<Assessment>) -> Answer {
        let warnings = passthrough::of_host(&host);
        Answer::done(Self { iommu: host.platform.iommu, gpus, groups: host.groups(), host }).finding(warnings)
    }
}

/// What `vgapt list` answers with several --connect.
#[derive(Serialize, JsonSchema)]
pub struct Hosts {
    pub hosts: Vec<CardsOfHost>,
}

/// The cards of one of several hosts, or why they are not known.
#[derive(Serialize, JsonSchema)]
pub struct CardsOfHost {
    /// The URI of its libvirt.
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Vec<Assessment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// What `vgapt list --env` answers.
#[derive(Serialize, JsonSchema)]
pub struct Variables {
    /// The guide's variables for a card.
    pub variables: BTreeMap<&'static str, String>,
}
