//! Passed functions and networks in KubeVirt's terms.

use serde_json::{Value, json};

use super::account::Account;
use crate::domain_xml::{HostDevice, host_device};
use crate::model::{PciAddress, PciId};
use crate::xml::Element;

/// A PCI function that a domain passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Its address on this host; a cluster identifies it by its id.
    pub address: PciAddress,
    /// Its id; `None` if it is not known.
    pub id: Option<PciId>,
    /// Whether it is graphics; `None` if that is not known.
    pub is_graphics: Option<bool>,
}

/// The resource name by which a cluster requests such a function.
fn resource(id: PciId, is_graphics: bool) -> String {
    let vendor = match id.vendor {
        0x10de => "nvidia.com",
        0x1002 => "amd.com",
        0x8086 => "intel.com",
        _ => "pci.example.com",
    };
    format!("{vendor}/{}-{:04x}-{:04x}", if is_graphics { "gpu" } else { "function" }, id.vendor, id.device)
}

/// The passed PCI functions.
#[derive(Debug, Default)]
pub(super) struct Functions {
    pub(super) gpus: Vec<Value>,
    pub(super) others: Vec<Value>,
    /// What the administrator must permit.
    pub(super) permitted: Vec<Value>,
}

pub(super) fn passed(devices: Element<'_>, passed: &[Passed], account: &mut Account) -> Functions {
    let mut functions = Functions::default();
    for hostdev in devices.children_named("hostdev").filter(|hostdev| hostdev.attribute("type").as_deref() == Some("pci")) {
        let known = host_device(hostdev).and_then(|is| passed.iter().find(|passed| HostDevice::Function(passed.address) == is));
        let Some((function, id)) = known.and_then(|function| Some((function, function.id?))) else {
            account.unsupported(
                hostdev,
                &format!("the PCI function {}: its id is not known here", known.map_or_else(String::new, |it| it.address.to_string())),
            );
            continue;
        };
        account.covered(hostdev);
        account.one_of(hostdev, "mode", &["subsystem"]);
        account.attribute(hostdev, "type");
        if let Some(source) = hostdev.child("source") {
            account.all_covered(source);
            account.name(format!("which card it is, {}: a node assigns any card with the same id", function.address));
        }
        if let Some(rom) = hostdev.child("rom") {
            account.unsupported(rom, "a ROM file for a card");
        }
        let is_graphics = function.is_graphics.unwrap_or_default();
        if function.is_graphics.is_none() {
            account.name(format!("whether {} is graphics is not known here: the manifest has it under hostDevices", function.address));
        }
        let resource = resource(id, is_graphics);
        let list = if is_graphics { &mut functions.gpus } else { &mut functions.others };
        let name = format!("{}{}", if is_graphics { "gpu" } else { "function" }, list.len());
        list.push(json!({"name": name, "deviceName": resource}));
        let permit = json!({"pciVendorSelector": format!("{:04X}:{:04X}", id.vendor, id.device), "resourceName": resource});
        if !functions.permitted.contains(&permit) {
            functions.permitted.push(permit);
        }
    }
    functions
}

/// A device's position in the boot order.
pub(super) fn boot_order(device: Element<'_>, account: &mut Account) -> Option<u32> {
    let boot = device.child("boot")?;
    let order = account.number(boot, "order")?;
    account.covered(boot);
    Some(order)
}

/// `interfaces` and `networks`: the pod's own network, for the first card.
pub(super) fn interfaces(devices: Element<'_>, account: &mut Account) -> (Vec<Value>, Vec<Value>) {
    let mut first = None;
    for card in devices.children_named("interface") {
        if card.attribute("type").as_deref() == Some("hostdev") {
            account.unsupported(
                card,
                "a network function of the host (SR-IOV): it needs a NetworkAttachmentDefinition, and an interface with sriov",
            );
        } else if first.is_none() {
            first = Some(card);
        } else {
            account.unsupported(card, "an additional network card: each needs a NetworkAttachmentDefinition");
        }
    }
    let Some(card) = first else { return (Vec::new(), Vec::new()) };
    account.covered(card);
    let mut value = json!({"name": "default", "masquerade": {}, "model": "virtio"});
    if let Some(model) = card.child("model").filter(|model| model.attribute("type").is_some()) {
        account.covered(model);
        match account.one_of(model, "type", &["e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio"]) {
            Some(model) => value["model"] = model.into(),
            None => account.unsupported_attribute(model, "type", "the model of the network card; the manifest has virtio"),
        }
    } else {
        account.name("its network card has no model, and gets QEMU's default; the manifest has virtio");
    }
    if let Some(mac) = card.child("mac") {
        account.covered(mac);
        if let Some(address) = account.attribute(mac, "address") {
            value["macAddress"] = address.into();
        }
    }
    if let Some(link) = card.child("link")
        && let Some(state) = account.one_of(link, "state", &["up", "down"])
    {
        account.covered(link);
        value["state"] = state.into();
    }
    if let Some(acpi) = card.child("acpi")
        && let Some(index) = account.number::<u32>(acpi, "index")
    {
        account.covered(acpi);
        value["acpiIndex"] = index.into();
    }
    if let Some(order) = boot_order(card, account) {
        value["bootOrder"] = order.into();
    }
    let kind = account.attribute(card, "type").unwrap_or_default();
    if kind != "user" {
        let because = format!("the bridge or network that its card joins ({kind}): the manifest has the pod's network");
        match card.child("source") {
            Some(source) => account.unsupported(source, &because),
            None => account.name(because),
        }
    }
    (vec![value], vec![json!({"name": "default", "pod": {}})])
}
