//! The devices of a domain as KubeVirt has them: passed functions, disks, networks and small ones.

use serde_json::{Map, Value, json};

use super::kubevirt::Beyond;
use crate::model::{PciAddress, PciId};
use crate::xml::Element;

/// A PCI function that a domain passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Where it is on this host; a cluster knows it by what it is.
    pub address: PciAddress,
    /// What it is; `None` where that is not known.
    pub id: Option<PciId>,
    /// Whether it is graphics.
    pub is_graphics: bool,
}

/// The name by which a cluster asks for what a function is.
fn resource(id: PciId, is_graphics: bool) -> String {
    let vendor = match id.vendor {
        0x10de => "nvidia.com",
        0x1002 => "amd.com",
        0x8086 => "intel.com",
        _ => "pci.example.com",
    };
    format!("{vendor}/{}-{:04x}-{:04x}", if is_graphics { "gpu" } else { "function" }, id.vendor, id.device)
}

/// `gpus`, `hostDevices`, and what the administrator must permit.
pub(super) fn passed(functions: &[Passed], beyond: &mut Beyond) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let (mut gpus, mut others, mut permitted): (Vec<Value>, Vec<Value>, Vec<Value>) = Default::default();
    for function in functions {
        let Some(id) = function.id else {
            beyond.name(&format!("the PCI function {}: what it is is not known here", function.address));
            continue;
        };
        let resource = resource(id, function.is_graphics);
        let list = if function.is_graphics { &mut gpus } else { &mut others };
        let name = format!("{}{}", if function.is_graphics { "gpu" } else { "function" }, list.len());
        list.push(json!({"name": name, "deviceName": resource}));
        let permit = json!({"pciVendorSelector": format!("{:04X}:{:04X}", id.vendor, id.device), "resourceName": resource});
        if !permitted.contains(&permit) {
            permitted.push(permit);
        }
    }
    if !functions.is_empty() {
        beyond.name("which card of its sort it is: a node gives any that fits");
    }
    (gpus, others, permitted)
}

/// `disks` and `volumes`, each a claim that is to be filled.
pub(super) fn disks(devices: Element<'_>, vm: &str, beyond: &mut Beyond) -> (Vec<Value>, Vec<Value>) {
    let (mut disks, mut volumes) = (Vec::new(), Vec::new());
    for disk in devices.children_named("disk") {
        let attribute =
            |child: &str, name: &str| disk.child(child).and_then(|child| child.attribute(name)).map(std::borrow::Cow::into_owned);
        let kind = disk.attribute("device").map_or_else(|| "disk".to_owned(), std::borrow::Cow::into_owned);
        let Some(source) = attribute("source", "file").or_else(|| attribute("source", "dev")) else {
            beyond.name(&format!("the {kind} {}: {}", attribute("target", "dev").unwrap_or_default(), behind(disk)));
            continue;
        };
        if kind == "floppy" {
            beyond.name(&format!("the floppy {source}"));
            continue;
        }
        let name = format!("disk{}", disks.len());
        let claim = format!("{vm}-{name}");
        let bus = match attribute("target", "bus").as_deref() {
            Some("virtio") if kind != "cdrom" => "virtio",
            Some("scsi") => "scsi",
            Some("usb") => "usb",
            _ => "sata",
        };
        let mut value = Map::new();
        value.insert("name".into(), name.clone().into());
        value.insert(
            if kind == "cdrom" {
                "cdrom"
            } else if kind == "lun" {
                "lun"
            } else {
                "disk"
            }
            .into(),
            json!({"bus": bus}),
        );
        if let Some(cache) = attribute("driver", "cache").filter(|cache| ["none", "writethrough", "writeback"].contains(&cache.as_str())) {
            value.insert("cache".into(), cache.into());
        }
        if let Some(io) = attribute("driver", "io").filter(|io| ["native", "threads"].contains(&io.as_str())) {
            value.insert("io".into(), io.into());
        }
        if let Some(serial) = disk.child("serial") {
            value.insert("serial".into(), serial.text().into());
        }
        if let Some(order) = attribute("boot", "order").and_then(|order| order.parse::<u32>().ok()) {
            value.insert("bootOrder".into(), order.into());
        }
        disks.push(Value::Object(value));
        volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": claim}}));
        beyond.note(format!("fill the claim {claim} with {source}: virtctl image-upload pvc {claim} --image-path={source}"));
    }
    (disks, volumes)
}

/// What is behind a disk that is no file and no block device.
fn behind(disk: Element<'_>) -> String {
    let source = disk.child("source");
    let attribute = |name: &str| source.and_then(|source| source.attribute(name)).map(std::borrow::Cow::into_owned).unwrap_or_default();
    match disk.attribute("type").as_deref() {
        Some("nvme") => "an NVMe device of the host; a cluster passes the whole device, under hostDevices".into(),
        Some("network") => {
            format!("{}:{}, which a claim of the cluster's own storage would have to lead to", attribute("protocol"), attribute("name"))
        }
        Some("volume") => {
            format!("the volume {} of libvirt's pool {}: vol-download it, and fill a claim", attribute("volume"), attribute("pool"))
        }
        Some(kind) if source.is_some() => format!("a source of the kind {kind}"),
        _ => "it is empty".into(),
    }
}

/// `interfaces` and `networks`: the pod's own network, for the first card.
pub(super) fn interfaces(devices: Element<'_>, beyond: &mut Beyond) -> (Vec<Value>, Vec<Value>) {
    let mut cards = devices.children_named("interface");
    let Some(card) = cards.next() else { return (Vec::new(), Vec::new()) };
    let model =
        card.child("model").and_then(|model| model.attribute("type")).map_or_else(|| "virtio".to_owned(), std::borrow::Cow::into_owned);
    let known = ["e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio"].contains(&model.as_str());
    let mut value = json!({"name": "default", "masquerade": {}});
    value["model"] = if known { model } else { "virtio".into() }.into();
    if let Some(mac) = card.child("mac").and_then(|mac| mac.attribute("address")) {
        value["macAddress"] = mac.into();
    }
    if card.attribute("type").as_deref() != Some("user") {
        beyond.name("the bridge or network that its card joins: it is on the pod's network");
    }
    if cards.next().is_some() {
        beyond.name("further network cards: each needs a NetworkAttachmentDefinition");
    }
    (vec![value], vec![json!({"name": "default", "pod": {}})])
}

/// The small devices, put in by name; what has no place is named.
pub(super) fn others(devices: Element<'_>, into: &mut Map<String, Value>, beyond: &mut Beyond) {
    let mut inputs = Vec::new();
    for device in devices.children() {
        let attribute = |name: &str| device.attribute(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
        match device.name() {
            "tpm" => {
                into.insert("tpm".into(), json!({"persistent": true}));
                beyond.name("what the TPM holds: the cluster's is a new one");
            }
            "rng" => drop(into.insert("rng".into(), json!({}))),
            "sound" => {
                let model = if attribute("model") == "ac97" { "ac97" } else { "ich9" };
                into.insert("sound".into(), json!({"name": "sound", "model": model}));
            }
            "watchdog" if attribute("model") == "i6300esb" => {
                into.insert("watchdog".into(), json!({"name": "watchdog", "i6300esb": {"action": "reset"}}));
            }
            "input" if attribute("type") == "tablet" => {
                let bus = if attribute("bus") == "virtio" { "virtio" } else { "usb" };
                inputs.push(json!({"name": format!("tablet{}", inputs.len()), "type": "tablet", "bus": bus}));
            }
            "input" if attribute("type") == "evdev" => beyond.name("the host's keyboard and mouse (evdev): there is nobody before a node"),
            "hostdev" if attribute("type") == "usb" => {
                beyond.name("USB devices of the host: an administrator may list them under permittedHostDevices.usb");
            }
            "hostdev" if attribute("type") == "mdev" => {
                beyond.name("the mediated device: an administrator may list its type under permittedHostDevices.mediatedDevices");
            }
            "shmem" => beyond.name("shared memory (Looking Glass)"),
            "filesystem" => beyond.name("shared folders: virtiofs needs a claim or a ConfigMap"),
            "redirdev" => beyond.name("USB redirection by SPICE"),
            "iommu" => beyond.name("an IOMMU in the guest"),
            "hostdev" if device.child("rom").is_some() => beyond.name("a ROM file for a card"),
            _ => {}
        }
    }
    if !inputs.is_empty() {
        into.insert("inputs".into(), inputs.into());
    }
    let has_graphics = devices.child("graphics").is_some()
        || devices.at("video/model").is_some_and(|model| model.attribute("type").is_some_and(|model| model != "none"));
    into.insert("autoattachGraphicsDevice".into(), has_graphics.into());
    let balloon = devices.child("memballoon").and_then(|balloon| balloon.attribute("model")).is_none_or(|model| model != "none");
    into.insert("autoattachMemBalloon".into(), balloon.into());
}
