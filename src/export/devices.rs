//! The devices of a domain as KubeVirt has them: passed functions, disks, networks and small ones.

use serde_json::{Map, Value, json};

use super::account::Account;
use crate::model::{PciAddress, PciId};
use crate::xml::Element;

/// A PCI function that a domain passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Where it is on this host; a cluster knows it by what it is.
    pub address: PciAddress,
    /// What it is; `None` where that is not known.
    pub id: Option<PciId>,
    /// Whether it is graphics; `None` where that is not known.
    pub is_graphics: Option<bool>,
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
        let address = hostdev.at("source/address");
        let known = address.and_then(host_address).and_then(|at| passed.iter().find(|passed| passed.address == at));
        let Some((function, id)) = known.and_then(|function| Some((function, function.id?))) else {
            account.lost(
                hostdev,
                &format!("the PCI function {}: what it is is not known here", known.map_or_else(String::new, |it| it.address.to_string())),
            );
            continue;
        };
        account.said(hostdev);
        account.one_of(hostdev, "mode", &["subsystem"]);
        account.attribute(hostdev, "type");
        if let Some(source) = hostdev.child("source") {
            account.all_said(source);
            account.name(format!("which card of its sort it is, {}: a node gives any that fits", function.address));
        }
        if let Some(rom) = hostdev.child("rom") {
            account.lost(rom, "a ROM of a card's own");
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

/// Where a function is on this host.
fn host_address(address: Element<'_>) -> Option<PciAddress> {
    let number = |name: &str| {
        let value = address.attribute(name)?;
        match value.strip_prefix("0x") {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
            None => value.parse().ok(),
        }
    };
    let narrow = |name: &str| u8::try_from(number(name)?).ok();
    let domain = if address.attribute("domain").is_some() { number("domain")? } else { 0 };
    Some(PciAddress { domain, bus: narrow("bus")?, device: narrow("slot")?, function: narrow("function")? })
}

/// `disks` and `volumes`, each a claim that is to be filled.
pub(super) fn disks(devices: Element<'_>, vm: &str, account: &mut Account) -> (Vec<Value>, Vec<Value>) {
    let (mut disks, mut volumes) = (Vec::new(), Vec::new());
    for disk in devices.children_named("disk") {
        let kind = disk.attribute("device").map_or_else(|| "disk".to_owned(), std::borrow::Cow::into_owned);
        let target = disk.child("target");
        let name = target.and_then(|target| target.attribute("dev")).unwrap_or_default();
        let source = match no_claim(disk, &kind) {
            Ok(source) => source,
            Err(because) => {
                account.lost(disk, &format!("the {kind} {name}: {because}"));
                continue;
            }
        };
        account.said(disk);
        account.attribute(disk, "type");
        account.attribute(disk, "device");
        let name = format!("disk{}", disks.len());
        let mut value = one_disk(disk, &kind, account);
        value.insert("name".into(), name.clone().into());
        let claim = format!("{vm}-{name}");
        volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": claim}}));
        disks.push(Value::Object(value));
        account.note(if kind == "lun" {
            format!("the claim {claim} has to lead to the SCSI device {source} itself, by the cluster's own storage")
        } else {
            let path = quoted(&source);
            format!("fill the claim {claim} (SIZE: what the guest sees, as qemu-img info tells): virtctl image-upload pvc {claim} --size=SIZE --image-path={path}")
        });
        if let Some(element) = disk.child("source") {
            account.said(element);
            account.attribute(element, "file");
            account.attribute(element, "dev");
        }
    }
    (disks, volumes)
}

/// The file or block device of a disk, whose bytes are what the guest sees; else why there is no claim to fill.
fn no_claim(disk: Element<'_>, kind: &str) -> Result<String, String> {
    if !["disk", "cdrom", "lun"].contains(&kind) {
        return Err("KubeVirt has no drive of this sort".into());
    }
    let source = disk.child("source");
    let attribute = |name: &str| source.and_then(|source| source.attribute(name)).map(std::borrow::Cow::into_owned).unwrap_or_default();
    let path = match disk.attribute("type").as_deref() {
        Some("file") | None => attribute("file"),
        Some("block") => attribute("dev"),
        Some("nvme") => return Err("an NVMe device of the host; a cluster passes the whole device, under hostDevices".into()),
        Some("network") => {
            let (protocol, name) = (attribute("protocol"), attribute("name"));
            return Err(format!("{protocol}:{name}, which a claim of the cluster's own storage would have to lead to"));
        }
        Some("volume") => {
            let (volume, pool) = (attribute("volume"), attribute("pool"));
            return Err(format!("the volume {volume} of libvirt's pool {pool}: vol-download it, and fill a claim"));
        }
        Some(kind) => return Err(format!("a source of the kind {kind}")),
    };
    if path.is_empty() {
        return Err("it is empty".into());
    }
    let has = |element: Option<Element<'_>>, name: &str| element.is_some_and(|element| element.child(name).is_some());
    if has(Some(disk), "encryption") || has(source, "encryption") {
        return Err("it is encrypted: decrypt it into a new image, and fill a claim with that".into());
    }
    if has(source, "slices") {
        return Err("it is a part of a file: copy the part out, and fill a claim with that".into());
    }
    if disk.child("backingStore").is_some_and(|backing| backing.children().next().is_some()) {
        return Err("it lies on another image: make one image of the chain (qemu-img convert), and fill a claim with that".into());
    }
    Ok(path)
}

/// A path as a word for a shell.
fn quoted(path: &str) -> String {
    let is_plain = path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-+:@%=,".contains(letter));
    if is_plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

fn one_disk(disk: Element<'_>, kind: &str, account: &mut Account) -> Map<String, Value> {
    let mut value = Map::new();
    let mut target = Map::new();
    if let Some(ours) = disk.child("target") {
        account.said(ours);
        let name = ours.attribute("dev").unwrap_or_default();
        let buses: &[&str] = if kind == "cdrom" { &["sata", "scsi", "usb"] } else { &["virtio", "sata", "scsi", "usb"] };
        let bus = account.one_of(ours, "bus", buses);
        if ours.attribute("bus").is_none() {
            account.name(format!("the bus of {name}, which is not said: the manifest has sata"));
        } else if bus.is_none() {
            account.lost_attribute(ours, "bus", "the manifest has sata");
        }
        target.insert("bus".into(), bus.unwrap_or_else(|| "sata".into()).into());
        if kind == "cdrom" {
            if let Some(tray) = account.one_of(ours, "tray", &["open", "closed"]) {
                target.insert("tray".into(), tray.into());
            }
        }
    }
    if let Some(readonly) = disk.child("readonly") {
        account.said(readonly);
        // With a CD it goes without saying.
        if kind != "cdrom" {
            target.insert("readonly".into(), true.into());
        }
    }
    value.insert(kind.into(), Value::Object(target));
    if let Some(driver) = disk.child("driver") {
        for (name, theirs, values) in [
            ("cache", "cache", &["none", "writethrough", "writeback"][..]),
            ("io", "io", &["native", "threads"]),
            ("error_policy", "errorPolicy", &["stop", "ignore", "report", "enospace"]),
        ] {
            if let Some(said) = account.one_of(driver, name, values) {
                value.insert(theirs.into(), said.into());
            }
        }
    }
    if let Some(shareable) = disk.child("shareable") {
        account.said(shareable);
        value.insert("shareable".into(), true.into());
    }
    if let Some(serial) = disk.child("serial") {
        account.said(serial);
        value.insert("serial".into(), account.text(serial).into());
    }
    if let Some(backing) = disk.child("backingStore") {
        account.said(backing);
    }
    if let Some(order) = boot_order(disk, account) {
        value.insert("bootOrder".into(), order.into());
    }
    value
}

/// The place of a device in the order in which the firmware tries them.
fn boot_order(device: Element<'_>, account: &mut Account) -> Option<u32> {
    let boot = device.child("boot")?;
    let order = account.number(boot, "order")?;
    account.said(boot);
    Some(order)
}

/// `interfaces` and `networks`: the pod's own network, for the first card.
pub(super) fn interfaces(devices: Element<'_>, account: &mut Account) -> (Vec<Value>, Vec<Value>) {
    let mut first = None;
    for card in devices.children_named("interface") {
        if card.attribute("type").as_deref() == Some("hostdev") {
            account
                .lost(card, "a network function of the host (SR-IOV): it needs a NetworkAttachmentDefinition, and an interface with sriov");
        } else if first.is_none() {
            first = Some(card);
        } else {
            account.lost(card, "a further network card: each needs a NetworkAttachmentDefinition");
        }
    }
    let Some(card) = first else { return (Vec::new(), Vec::new()) };
    account.said(card);
    let mut value = json!({"name": "default", "masquerade": {}, "model": "virtio"});
    if let Some(model) = card.child("model").filter(|model| model.attribute("type").is_some()) {
        account.said(model);
        match account.one_of(model, "type", &["e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio"]) {
            Some(model) => value["model"] = model.into(),
            None => account.lost_attribute(model, "type", "the network card; the manifest has virtio"),
        }
    } else {
        account.name("its network card is of no model that it names, and gets QEMU's own; the manifest has virtio");
    }
    if let Some(mac) = card.child("mac") {
        account.said(mac);
        if let Some(address) = account.attribute(mac, "address") {
            value["macAddress"] = address.into();
        }
    }
    if let Some(link) = card.child("link") {
        if let Some(state) = account.one_of(link, "state", &["up", "down"]) {
            account.said(link);
            value["state"] = state.into();
        }
    }
    if let Some(acpi) = card.child("acpi") {
        if let Some(index) = account.number::<u32>(acpi, "index") {
            account.said(acpi);
            value["acpiIndex"] = index.into();
        }
    }
    if let Some(order) = boot_order(card, account) {
        value["bootOrder"] = order.into();
    }
    let kind = account.attribute(card, "type").unwrap_or_default();
    if kind != "user" {
        let because = format!("the bridge or network that its card joins ({kind}): it is on the pod's network");
        match card.child("source") {
            Some(source) => account.lost(source, &because),
            None => account.name(because),
        }
    }
    (vec![value], vec![json!({"name": "default", "pod": {}})])
}

/// The small devices, put in by name; those that are not met here are named by the account.
pub(super) fn others(devices: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let mut inputs = Vec::new();
    for device in devices.children() {
        let attribute = |name: &str| device.attribute(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
        match device.name() {
            "tpm" if !into.contains_key("tpm") => tpm(device, into, account),
            "rng" if attribute("model") == "virtio" && !into.contains_key("rng") => rng(device, into, account),
            "sound" if !into.contains_key("sound") => sound(device, into, account),
            "audio" if attribute("type") == "none" => {
                account.said(device);
                account.attribute(device, "type");
            }
            "watchdog" => watchdog(device, into, account),
            "input" => input(device, &mut inputs, account),
            "hostdev" => match attribute("type").as_str() {
                "usb" => account.lost(device, "USB devices of the host: an administrator may list them under permittedHostDevices.usb"),
                "mdev" => account
                    .lost(device, "the mediated device: an administrator may list its type under permittedHostDevices.mediatedDevices"),
                _ => {}
            },
            "shmem" => account.lost(device, "shared memory (Looking Glass)"),
            "filesystem" => account.lost(device, "shared folders: virtiofs needs a claim or a ConfigMap"),
            "redirdev" => account.lost(device, "USB redirection by SPICE"),
            "channel" if attribute("type") == "spicevmc" => account.lost(device, "the channel of SPICE's agent: a cluster has VNC only"),
            "channel" => agent(device, account),
            "iommu" => account.lost(device, "an IOMMU in the guest"),
            _ => {}
        }
    }
    if !inputs.is_empty() {
        into.insert("inputs".into(), inputs.into());
    }
    screen(devices, into, account);
    into.insert("autoattachSerialConsole".into(), serial(devices, account).into());
    let balloon = devices.child("memballoon");
    let is_there = balloon.is_none_or(|balloon| balloon.attribute("model").is_none_or(|model| model != "none"));
    if let Some(balloon) = balloon {
        account.said(balloon);
        account.one_of(balloon, "model", &["none", "virtio"]);
    }
    into.insert("autoattachMemBalloon".into(), is_there.into());
}

/// KubeVirt has emulated ones of version 2.0; where they keep their state, with the interface CRB.
fn tpm(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let Some(backend) = device.child("backend") else { return };
    let is = |name: &str, value: &str| backend.attribute(name).is_some_and(|own| own == value);
    if !is("type", "emulator") {
        return account.lost(device, "a TPM that is not emulated: a cluster has emulated ones only");
    }
    if backend.attribute("version").is_some() && !is("version", "2.0") {
        return account.lost(device, "a TPM of another version: a cluster has 2.0 only");
    }
    into.insert("tpm".into(), json!({"persistent": true}));
    account.said(device);
    account.said(backend);
    account.attribute(backend, "type");
    account.attribute(backend, "version");
    account.one_of(backend, "persistent_state", &["yes"]);
    if device.attribute("model").is_none() {
        account.name("the interface of the TPM, which is not said: a cluster's is tpm-crb");
    } else if account.one_of(device, "model", &["tpm-crb"]).is_none() {
        account.lost_attribute(device, "model", "the interface of the TPM; a cluster's is tpm-crb");
    }
    account.name("what the TPM holds: the cluster's is a new one");
}

/// KubeVirt's takes the node's random bytes.
fn rng(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    into.insert("rng".into(), json!({}));
    account.said(device);
    account.attribute(device, "model");
    let Some(backend) = device.child("backend") else { return };
    let is_kernel = matches!(backend.text(), "" | "/dev/random" | "/dev/urandom");
    if is_kernel && account.one_of(backend, "model", &["random", "builtin"]).is_some() {
        account.said(backend);
        account.text(backend);
    } else {
        account.lost(backend, "where its random bytes are from: the manifest has the node's kernel");
    }
}

fn sound(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let model = match device.attribute("model").as_deref() {
        Some("ac97") => "ac97",
        Some("ich9") => "ich9",
        Some("ich6") => {
            account.lost_attribute(device, "model", "the manifest has ich9");
            "ich9"
        }
        _ => return,
    };
    account.said(device);
    account.one_of(device, "model", &[model]);
    into.insert("sound".into(), json!({"name": "sound", "model": model}));
}

fn watchdog(device: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let action = device.attribute("action").map_or_else(|| "reset".to_owned(), std::borrow::Cow::into_owned);
    match device.attribute("model").as_deref() {
        Some("i6300esb") if !into.contains_key("watchdog") && ["reset", "poweroff", "shutdown"].contains(&action.as_str()) => {
            into.insert("watchdog".into(), json!({"name": "watchdog", "i6300esb": {"action": action}}));
        }
        // A part of the machine q35, there too.
        Some("itco") if action == "reset" => {}
        _ => return account.lost(device, "the watchdog"),
    }
    account.said(device);
    account.attribute(device, "model");
    account.attribute(device, "action");
}

fn input(device: Element<'_>, inputs: &mut Vec<Value>, account: &mut Account) {
    let attribute = |name: &str| device.attribute(name).map(std::borrow::Cow::into_owned).unwrap_or_default();
    match (attribute("type").as_str(), attribute("bus").as_str()) {
        ("tablet", bus @ ("usb" | "virtio")) => {
            inputs.push(json!({"name": format!("tablet{}", inputs.len()), "type": "tablet", "bus": bus}));
        }
        // Parts of the machine, there too.
        ("keyboard" | "mouse", "ps2") => {}
        ("evdev", _) => return account.lost(device, "the host's keyboard and mouse (evdev): there is nobody before a node"),
        _ => return account.lost(device, "KubeVirt has no input device of this sort"),
    }
    account.said(device);
    account.attribute(device, "type");
    account.attribute(device, "bus");
}

/// A cluster gives each guest a channel to its agent.
fn agent(device: Element<'_>, account: &mut Account) {
    let Some(target) = device.child("target") else { return };
    let is_agent = target.attribute("name").as_deref() == Some("org.qemu.guest_agent.0");
    if is_agent && account.one_of(device, "type", &["unix"]).is_some() && account.one_of(target, "type", &["virtio"]).is_some() {
        account.said(device);
        account.said(target);
        account.attribute(target, "name");
        account.attribute(target, "state");
    }
}

/// Whether it has a screen, which a cluster shows by VNC.
fn screen(devices: Element<'_>, into: &mut Map<String, Value>, account: &mut Account) {
    let mut models = devices.children_named("video").filter_map(|video| video.child("model")).peekable();
    let is_screen = |model: Element<'_>| model.attribute("type").is_none_or(|kind| kind != "none");
    let has_screen = if models.peek().is_some() { models.any(is_screen) } else { devices.child("graphics").is_some() };
    for (index, video) in devices.children_named("video").enumerate() {
        let Some(model) = video.child("model") else { continue };
        if index > 0 {
            account.lost(video, "a further screen");
            continue;
        }
        account.said(video);
        if has_screen {
            account.lost(model, "the model of its screen: the cluster's own choice (devices.video.type where VideoConfig is on)");
        } else {
            account.said(model);
            account.attribute(model, "type");
            account.one_of(model, "primary", &["yes"]);
        }
    }
    let mut has_vnc = false;
    for graphics in devices.children_named("graphics") {
        if !has_screen {
            account.lost(graphics, "how its screen is shown: it has none in the manifest");
        } else if !has_vnc && account.one_of(graphics, "type", &["vnc"]).is_some() {
            account.said(graphics);
            has_vnc = true;
        } else {
            account.lost(graphics, "how its screen is shown: a cluster has VNC only");
        }
    }
    into.insert("autoattachGraphicsDevice".into(), has_screen.into());
}

/// Whether it has the first serial port, which a cluster shows as its console. libvirt tells it twice, as
/// `<serial>` and as `<console>`.
fn serial(devices: Element<'_>, account: &mut Account) -> bool {
    let is_first = |device: &Element<'_>| {
        let target = device.child("target");
        let has = |name: &str, values: &[&str]| {
            target.and_then(|target| target.attribute(name)).is_none_or(|value| values.contains(&value.as_ref()))
        };
        device.attribute("type").as_deref() == Some("pty") && has("port", &["0"]) && has("type", &["serial", "isa-serial"])
    };
    let mut is_there = false;
    for name in ["serial", "console"] {
        let Some(device) = devices.children_named(name).find(is_first) else { continue };
        account.said(device);
        account.attribute(device, "type");
        is_there = true;
    }
    is_there
}
