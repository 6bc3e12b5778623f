//! The listings of `vgapt list`: the cards of a host and the verdict on each, its devices, the cards of several hosts.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::document::{Answer, Failure};
use super::findings::finding;
use super::style::{BAD, FAINT, GOOD, STRONG, Style, WARNING, paint, shown};
use super::table::{self, table};
use crate::model::{CardKind, Host, Iommu, IommuGroup, PciAddress, PciDevice, UsbDevice};
use crate::passthrough::{self, Assessment, SharedOut, Verdict};

/// All cards, one line each, what their verdicts mean, and warnings about the host.
pub fn cards(host: &Host, cards: &[Assessment]) -> String {
    let mut text = head(host);
    let cards = in_order(cards);
    if !cards.is_empty() {
        let rows: Vec<[String; 4]> = cards.iter().map(|card| row(card)).collect();
        text.push_str(&format!("\n{}\n", table(["CARD", "VERDICT", "KIND", "NAME"], &rows)));
        text.push_str(&meanings(host, &cards));
    }
    text.push_str(&none(host, &cards));
    if let Some(first) = cards.first() {
        let warnings = match cards.iter().map(|card| card.warnings.len()).sum() {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            more => format!(", {more} warnings"),
        };
        let address = first.address.short();
        text.push_str(&format!("\nDetails{warnings}: vgapt list --verbose; of one card: vgapt list --gpu {address}\n"));
    }
    text
}

/// All cards, one block each with everything about it, and warnings about the host.
pub fn card_details(host: &Host, cards: &[Assessment]) -> String {
    let cards = in_order(cards);
    let blocks: String = cards.iter().map(|card| block(host, card)).collect();
    head(host) + &blocks + &none(host, &cards)
}

/// Discrete cards first: most people mean one of these.
fn in_order(cards: &[Assessment]) -> Vec<&Assessment> {
    let mut cards: Vec<&Assessment> = cards.iter().collect();
    cards.sort_by_key(|card| (kind(card.kind).0, card.address));
    cards
}

fn kind(kind: CardKind) -> (usize, &'static str, &'static str) {
    match kind {
        CardKind::Discrete => (0, "discrete", "discrete card"),
        CardKind::Integrated => (1, "integrated", "integrated graphics"),
        CardKind::Virtual => (2, "emulated", "emulated graphics"),
        CardKind::Bmc => (3, "BMC", "management console (BMC)"),
    }
}

/// The IOMMU, and what is wrong or unknown about the host.
fn head(host: &Host) -> String {
    let warnings: String = passthrough::of_host(host).iter().map(finding).collect();
    let unknown: String = host.unknown.iter().map(|unknown| format!("{}: {unknown}\n", paint(WARNING, "unknown"))).collect();
    format!("IOMMU: {}\n{warnings}{unknown}", iommu(host))
}

fn none(host: &Host, cards: &[&Assessment]) -> String {
    if host.pci_is_unknown().is_some() {
        return "\nWhich graphics cards there are is unknown.\n".to_owned();
    }
    let is_none = cards.iter().all(|card| matches!(card.kind, CardKind::Bmc));
    if is_none { "\nNo graphics card was found that could be passed through.\n".to_owned() } else { String::new() }
}

fn iommu(host: &Host) -> String {
    match host.platform.iommu {
        Iommu::On => format!("{}, {} groups", paint(GOOD, "on"), host.groups().len()),
        Iommu::Off => paint(BAD, "off in the kernel"),
        Iommu::FirmwareOff => paint(BAD, "off in the firmware, or missing"),
        Iommu::Guest => paint(BAD, "none: this is a virtual machine"),
        Iommu::Xen => paint(BAD, "none: Xen has it"),
        Iommu::Unknown => paint(WARNING, "unknown"),
    }
}

fn row(card: &Assessment) -> [String; 4] {
    let boot = if card.boot_vga == Some(true) { ", the boot display" } else { "" };
    let virtual_function = card.physical_function.map(|parent| format!(", virtual function of {}", parent.short())).unwrap_or_default();
    let name = format!("{}{virtual_function}{boot}", shown(&card_name(card)));
    [card.address.short(), paint(style(card.verdict), card.verdict), kind(card.kind).1.to_owned(), name]
}

/// A card's name with the maker's usual name; the one of pci.ids takes half a line.
pub fn card_name(card: &Assessment) -> String {
    const MAKERS: [(&str, &str); 4] = [
        ("NVIDIA Corporation ", "NVIDIA "),
        ("Advanced Micro Devices, Inc. [AMD/ATI] ", "AMD "),
        ("Intel Corporation ", "Intel "),
        // Its cards have its name in theirs.
        ("ASPEED Technology, Inc. ", ""),
    ];
    let Some(name) = &card.name else { return format!("unknown graphics [{}]", card.id) };
    if let Some((_, maker)) = MAKERS.iter().find(|(long, _)| name == long.trim_end()) {
        return format!("{maker}[{}]", card.id);
    }
    let short = MAKERS.iter().find_map(|(long, short)| Some(format!("{short}{}", name.strip_prefix(long)?)));
    short.unwrap_or_else(|| name.clone())
}

/// What each verdict means, once; and what blocks the cards that are blocked.
fn meanings(host: &Host, cards: &[&Assessment]) -> String {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for card in cards {
        if !verdicts.contains(&card.verdict) {
            verdicts.push(card.verdict);
        }
    }
    let blocker = |device: &PciDevice| format!("{} {}", device.address.short(), device.class.noun());
    let blockers = |card: &&&Assessment| {
        let blockers: Vec<String> = host.devices(&card.blockers).map(blocker).collect();
        format!("; that of {} has {}", card.address.short(), blockers.join(", "))
    };
    let line = |verdict: Verdict| {
        let blocked: String =
            cards.iter().filter(|card| card.verdict == verdict && !card.blockers.is_empty()).map(|card| blockers(&card)).collect();
        let is_blind = cards.iter().any(|card| card.verdict == verdict && card.warnings.iter().any(|warning| warning.code == "host-blind"));
        let blind = if is_blind { "; the host has no display" } else { "" };
        format!("{}: {}{blocked}{blind}\n", paint(style(verdict), verdict), meaning(verdict))
    };
    verdicts.into_iter().map(line).collect()
}

fn block(host: &Host, card: &Assessment) -> String {
    let name = card.name.clone().unwrap_or_else(|| "unknown graphics".into());
    let mut text = format!("\n{}  {} [{}]\n", paint(STRONG, card.address), paint(STRONG, name), card.id);
    let mut line = |key: &str, value: &str| text.push_str(&table::row(key, 9, value));
    let boot = if card.boot_vga == Some(true) { ", the boot display" } else { "" };
    let virtual_function = card.physical_function.map(|parent| format!(", virtual function of {}", parent.short())).unwrap_or_default();
    line("kind", &format!("{}{virtual_function}{boot}", kind(card.kind).2));
    let drivers_known = host.pci.iter().any(|device| device.driver.is_some());
    line("driver", card.driver.as_deref().unwrap_or(if drivers_known { "none" } else { "unknown" }));
    let functions: Vec<String> = host.devices(&card.functions).map(function).collect();
    line("functions", &functions.join(", "));
    let groups: Vec<String> = card.groups.iter().map(u32::to_string).collect();
    line("groups", &if groups.is_empty() { "none".to_owned() } else { groups.join(", ") });
    line("verdict", &paint(style(card.verdict), format_args!("{}: {}", card.verdict, meaning(card.verdict))));
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

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ready | Verdict::Available => GOOD,
        Verdict::OnlyDisplay | Verdict::SharedOut | Verdict::Unknown => WARNING,
        Verdict::Blocked | Verdict::Reserved | Verdict::Console => BAD,
    }
}

fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ready => "all functions are on vfio-pci",
        Verdict::Available => "can be passed through to a guest",
        Verdict::OnlyDisplay => "can be passed through, but leaves the host without a display",
        Verdict::Blocked => "its group contains devices that the host uses",
        Verdict::Reserved => "the firmware reserves memory for it, so the kernel does not give it to a guest",
        Verdict::Console => "the server's management console; stays with the host",
        Verdict::SharedOut => "has virtual functions; pass one of these through instead",
        Verdict::Unknown => "not in an IOMMU group",
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

/// The virtual functions (SR-IOV) of each physical function, and who has them; empty where there are none.
pub fn shared_out(parents: &[SharedOut]) -> String {
    let mut text = String::new();
    for SharedOut { parent, name, driver, total, functions } in parents {
        let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
        let driver = driver.as_deref().unwrap_or("no driver");
        let head = format!("Virtual functions of {}", parent.short());
        text.push_str(&format!("\n{} ({name}, on {driver}): {}{of}\n", paint(STRONG, head), functions.len()));
        for function in functions {
            let domains = match function.domains.as_deref() {
                None => "unknown whether a domain has it".to_owned(),
                Some([]) => "no domain".to_owned(),
                Some(names) => format!("domain {}", names.join(", ")),
            };
            text.push_str(&format!("  {}  {}, {domains}\n", function.address.short(), function.driver.as_deref().unwrap_or("no driver")));
        }
    }
    text
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
    let cells = |host: &str, card: &Assessment| {
        let [address, verdict, _, name] = row(card);
        [host.to_owned(), address, verdict, name]
    };
    let none = |host: &str| [host, "-", "-", "no graphics card"].map(str::to_owned);
    let mut rows: Vec<[String; 4]> = Vec::new();
    for (host, cards) in hosts {
        rows.extend(in_order(cards).into_iter().map(|card| cells(host, card)));
        rows.extend(cards.is_empty().then(|| none(host)));
    }
    table(["HOST", "CARD", "VERDICT", "NAME"], &rows)
}

/// What `vgapt list` answers: the verdicts on the cards, and all that was read of the host.
#[derive(Serialize, JsonSchema)]
pub struct Listing {
    iommu: Iommu,
    gpus: Vec<Assessment>,
    groups: Vec<IommuGroup>,
    /// The virtual functions (SR-IOV), and who has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    virtual_functions: Vec<SharedOut>,
    #[serde(flatten)]
    host: Host,
}

impl Listing {
    pub fn answer(host: Host, gpus: Vec<Assessment>, virtual_functions: Vec<SharedOut>) -> Answer {
        let warnings = passthrough::of_host(&host);
        Answer::done(Self { iommu: host.platform.iommu, gpus, groups: host.groups(), virtual_functions, host }).finding(warnings)
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
