//! The VirtualMachine manifest, and what the administrator of a cluster must permit.

use serde_json::{Map, Value, json};

use super::{Passed, devices, machine, unsaid};
use crate::xml::{Document, Element};

/// A domain for a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The VirtualMachine.
    pub manifest: Value,
    /// What is to be added to the KubeVirt resource; `None` where nothing is passed.
    pub permitted: Option<Value>,
    /// What a cluster cannot express.
    pub beyond: Vec<String>,
    /// What is to be done beside.
    pub notes: Vec<String>,
}

/// What cannot be expressed, and what is to be done, as it is found.
#[derive(Debug, Default)]
pub(super) struct Beyond {
    named: Vec<String>,
    notes: Vec<String>,
}

impl Beyond {
    pub(super) fn name(&mut self, what: &str) {
        if !self.named.iter().any(|known| known == what) {
            self.named.push(what.to_owned());
        }
    }

    pub(super) fn note(&mut self, what: String) {
        self.notes.push(what);
    }
}

/// A domain for a cluster; `starts_by_itself`: libvirt starts it with the host (autostart).
pub fn kubevirt(domain: &Document, name: &str, passed: &[Passed], starts_by_itself: bool) -> Exported {
    let root = domain.root();
    let name = label(name);
    let mut beyond = Beyond::default();
    let (gpus, host_devices, permitted) = devices::passed(passed, &mut beyond);
    let mut own = Map::new();
    let mut volumes = Vec::new();
    let mut networks = Vec::new();
    if let Some(all) = root.child("devices") {
        let (disks, claims) = devices::disks(all, &name, &mut beyond);
        let (interfaces, pod) = devices::interfaces(all, &mut beyond);
        (volumes, networks) = (claims, pod);
        own.insert("autoattachPodInterface".into(), (!interfaces.is_empty()).into());
        for (key, list) in [("disks", disks), ("interfaces", interfaces), ("gpus", gpus), ("hostDevices", host_devices)] {
            if !list.is_empty() {
                own.insert(key.into(), list.into());
            }
        }
        devices::others(all, &mut own, &mut beyond);
    }
    let machine = root.at("os/type").and_then(|kind| kind.attribute("machine"));
    if machine.as_deref().is_some_and(|machine| !machine.contains("q35")) {
        beyond.name("a machine without PCI Express: the cluster's is q35");
    }
    let mut spec = json!({
        "machine": {"type": "q35"},
        "memory": machine::memory(root, &mut beyond),
        "cpu": machine::cpu(root, &mut beyond),
        "features": machine::features(root),
        "clock": machine::clock(root, &mut beyond),
        "devices": own,
    });
    whole(root, &mut beyond);
    unsaid::name(root, &mut beyond);
    if let Some(firmware) = machine::firmware(root, &mut beyond) {
        spec["firmware"] = firmware;
    }
    let mut guest = json!({"domain": spec});
    if !volumes.is_empty() {
        guest["volumes"] = volumes.into();
    }
    if !networks.is_empty() {
        guest["networks"] = networks.into();
    }
    let manifest = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {"runStrategy": if starts_by_itself { "Always" } else { "Halted" }, "template": {"metadata": {"labels": {"kubevirt.io/domain": name}}, "spec": guest}},
    });
    Exported { manifest, permitted: (!permitted.is_empty()).then(|| resource(&permitted)), beyond: beyond.named, notes: beyond.notes }
}

/// The part of the KubeVirt resource that permits devices.
fn resource(permitted: &[Value]) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
        "spec": {"configuration": {"permittedHostDevices": {"pciHostDevices": permitted}}},
    })
}

/// What stands beside the devices and has no place.
fn whole(root: Element<'_>, beyond: &mut Beyond) {
    let named = [
        ("qemu:commandline", "QEMU's own options (qemu:commandline)"),
        ("qemu:override", "QEMU's own properties (qemu:override)"),
        ("sysinfo", "what the board says it is (SMBIOS)"),
        ("iothreads", "I/O threads by number: set ioThreadsPolicy"),
    ];
    for (element, what) in named {
        if root.child(element).is_some() {
            beyond.name(what);
        }
    }
    if root.at("memoryBacking/nosharepages").is_some() {
        beyond.name("memory that is not merged: the nodes' administrator decides (KSM)");
    }
}

/// A name that Kubernetes takes: small letters, digits, hyphens inside.
fn label(name: &str) -> String {
    let plain: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "guest".into() } else { plain.to_owned() }
}
