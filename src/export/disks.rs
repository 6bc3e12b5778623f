//! Disks in KubeVirt's terms: claims, and the images to fill them with.

use serde_json::{Map, Value, json};

use super::account::Account;
use super::devices::boot_order;
use crate::domain_xml::{Disk, Source};
use crate::model::shell_word;
use crate::xml::Element;

/// `disks` and `volumes`, each a claim to fill.
pub(super) fn disks(devices: Element<'_>, vm: &str, account: &mut Account) -> (Vec<Value>, Vec<Value>) {
    let (mut disks, mut volumes) = (Vec::new(), Vec::new());
    for disk in devices.children_named("disk") {
        let Disk { kind, target, source, .. } = Disk::of(disk);
        let name = target.unwrap_or_default();
        let source = match claimed(disk, &kind, source) {
            Ok(source) => source,
            Err(because) => {
                account.unsupported(disk, &format!("the {kind} {name}: {because}"));
                continue;
            }
        };
        account.covered_with(disk, &["type", "device"]);
        let name = format!("disk{}", disks.len());
        let mut value = one_disk(disk, &kind, account);
        value.insert("name".into(), name.clone().into());
        let claim = format!("{vm}-{name}");
        volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": claim}}));
        disks.push(Value::Object(value));
        account.note(if kind == "lun" {
            format!("the claim {claim} must provide the SCSI device {source} itself, through the cluster's own storage")
        } else {
            let path = shell_word(&source);
            format!("fill the claim {claim} (SIZE: the virtual size that qemu-img info prints): virtctl image-upload pvc {claim} --size=SIZE --image-path={path}")
        });
        if let Some(element) = disk.child("source") {
            account.covered_with(element, &["file", "dev"]);
        }
    }
    (disks, volumes)
}

/// The file or block device of a disk, if its bytes are what the guest sees; else why no claim can be filled with it.
fn claimed(disk: Element<'_>, kind: &str, source: Option<Source>) -> Result<String, String> {
    if !["disk", "cdrom", "lun"].contains(&kind) {
        return Err("KubeVirt has no such drive".into());
    }
    let path = match (source, disk.attribute("type").as_deref()) {
        (Some(Source::Path(path)), Some("file" | "block") | None) => path,
        (None, Some("file" | "block") | None) => String::new(),
        (Some(Source::Nvme(_)), _) => return Err("an NVMe device of the host; a cluster passes the whole device, under hostDevices".into()),
        (Some(Source::Remote { protocol, name }), _) => {
            return Err(format!("{protocol}:{name}, which a claim of the cluster's own storage would have to provide"));
        }
        (Some(Source::Volume { pool, volume }), _) => {
            return Err(format!("the volume {volume} of libvirt's pool {pool}: virsh vol-download it, and fill a claim"));
        }
        (_, Some(kind)) => return Err(format!("a source of type {kind}")),
    };
    if path.is_empty() {
        return Err("it is empty".into());
    }
    let has = |element: Option<Element<'_>>, name: &str| element.is_some_and(|element| element.child(name).is_some());
    if has(Some(disk), "encryption") || has(disk.child("source"), "encryption") {
        return Err("it is encrypted: decrypt it into a new image, and fill a claim with that".into());
    }
    if has(disk.child("source"), "slices") {
        return Err("it is a slice of a file: copy the slice into a new image, and fill a claim with that".into());
    }
    if disk.child("backingStore").is_some_and(|backing| backing.children().next().is_some()) {
        return Err("it has a backing file: make one image of the chain (qemu-img convert), and fill a claim with that".into());
    }
    Ok(path)
}

fn one_disk(disk: Element<'_>, kind: &str, account: &mut Account) -> Map<String, Value> {
    let mut value = Map::new();
    let mut target = Map::new();
    if let Some(ours) = disk.child("target") {
        account.covered(ours);
        let name = ours.attribute("dev").unwrap_or_default();
        let buses: &[&str] = if kind == "cdrom" { &["sata", "scsi", "usb"] } else { &["virtio", "sata", "scsi", "usb"] };
        let bus = account.one_of(ours, "bus", buses);
        if ours.attribute("bus").is_none() {
            account.name(format!("the bus of {name}, which is not set: the manifest has sata"));
        } else if bus.is_none() {
            account.unsupported_attribute(ours, "bus", "the manifest has sata");
        }
        target.insert("bus".into(), bus.unwrap_or_else(|| "sata".into()).into());
        if kind == "cdrom"
            && let Some(tray) = account.one_of(ours, "tray", &["open", "closed"])
        {
            target.insert("tray".into(), tray.into());
        }
    }
    if let Some(readonly) = disk.child("readonly") {
        account.covered(readonly);
        // A CD is always read-only.
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
        account.covered(shareable);
        value.insert("shareable".into(), true.into());
    }
    if let Some(serial) = disk.child("serial") {
        account.covered(serial);
        value.insert("serial".into(), account.text(serial).into());
    }
    if let Some(backing) = disk.child("backingStore") {
        account.covered(backing);
    }
    if let Some(order) = boot_order(disk, account) {
        value.insert("bootOrder".into(), order.into());
    }
    value
}
