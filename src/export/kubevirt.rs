//! The VirtualMachine manifest, and what the administrator of a cluster must permit.

use serde_json::{Map, Value, json};

use super::account::Account;
use super::{Passed, devices, disks, features, machine, small};
use crate::xml::{Document, Element};

/// A domain for a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The VirtualMachine.
    pub manifest: Value,
    /// What must be added to the KubeVirt resource; `None` if no function is passed.
    pub permitted: Option<Value>,
    /// What a cluster cannot express.
    pub unsupported: Vec<String>,
    /// What remains to be done.
    pub notes: Vec<String>,
}

/// A domain for a cluster; `starts_by_itself`: libvirt starts it with the host (autostart).
///
/// # Errors
/// If a cluster cannot run it: a container, or an architecture that KubeVirt does not support.
pub fn kubevirt(domain: &Document, name: &str, passed: &[Passed], starts_by_itself: bool) -> Result<Exported, String> {
    let root = domain.root();
    let mut account = Account::default();
    let (architecture, machine) = sort(root, &mut account)?;
    let name = label(root, name, &mut account);
    let mut own = Map::new();
    let (mut volumes, mut networks, mut permitted) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(all) = root.child("devices") {
        let functions = devices::passed(all, passed, &mut account);
        permitted = functions.permitted;
        let (drives, claims) = disks::disks(all, &name, &mut account);
        let (interfaces, pod) = devices::interfaces(all, &mut account);
        (volumes, networks) = (claims, pod);
        own.insert("autoattachPodInterface".into(), (!interfaces.is_empty()).into());
        for (key, list) in [("disks", drives), ("interfaces", interfaces), ("gpus", functions.gpus), ("hostDevices", functions.others)] {
            if !list.is_empty() {
                own.insert(key.into(), list.into());
            }
        }
        small::others(all, &mut own, &mut account);
    }
    let mut spec = json!({
        "machine": {"type": machine},
        "cpu": machine::cpu(root, &mut account),
        "features": features::features(root, &mut account),
        "clock": features::clock(root, &mut account),
        "devices": own,
    });
    if let Some(memory) = machine::memory(root, &mut account) {
        spec["memory"] = memory;
    }
    if let Some(firmware) = machine::firmware(root, &mut account) {
        spec["firmware"] = firmware;
    }
    whole(root, &mut account);
    account.close(root);
    let mut guest = json!({"architecture": architecture, "domain": spec});
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
    Ok(Exported {
        manifest,
        permitted: (!permitted.is_empty()).then(|| resource(&permitted)),
        unsupported: account.named,
        notes: account.notes,
    })
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

/// The cluster's names for the architecture and the machine.
fn sort(root: Element<'_>, account: &mut Account) -> Result<(&'static str, &'static str), String> {
    if root.attribute("type").as_deref() == Some("qemu") {
        account.unsupported_attribute(root, "type", "it is emulated here; a cluster uses KVM, unless useEmulation is set");
    } else if account.one_of(root, "type", &["kvm"]).is_none() {
        account.unsupported_attribute(root, "type", "a cluster uses KVM");
    }
    let Some(kind) = root.at("os/type") else {
        return Err("it does not state its type (<os><type>)".into());
    };
    account.covered(kind);
    let sort = account.text(kind);
    if sort != "hvm" {
        return Err(format!("its type is '{sort}' (<os><type>), and KubeVirt runs full virtual machines only (hvm)"));
    }
    let (architecture, machine) = match account.attribute(kind, "arch").as_deref() {
        Some("x86_64") | None => ("amd64", "q35"),
        Some("aarch64") => ("arm64", "virt"),
        Some("s390x") => ("s390x", "s390-ccw-virtio"),
        Some(other) => return Err(format!("its architecture is {other}; KubeVirt runs x86_64, aarch64 and s390x")),
    };
    if kind.attribute("machine").is_some() && account.one_of(kind, "machine", &[machine]).is_none() {
        account.unsupported_attribute(kind, "machine", format!("the manifest has the cluster's own version of {machine}"));
    }
    Ok((architecture, machine))
}

/// Elements outside of `<devices>` that the manifest cannot express.
fn whole(root: Element<'_>, account: &mut Account) {
    let named = [
        ("qemu:commandline", "QEMU's own options"),
        ("qemu:override", "QEMU's own properties"),
        ("sysinfo", "the board's identity (SMBIOS)"),
        ("iothreads", "I/O threads by number: set ioThreadsPolicy"),
    ];
    for (element, because) in named {
        for element in root.children_named(element) {
            account.unsupported(element, because);
        }
    }
}

/// A name that Kubernetes accepts: lower-case letters, digits, inner hyphens.
fn label(root: Element<'_>, name: &str, account: &mut Account) -> String {
    let plain: String = name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    let plain = plain.trim_matches('-');
    let plain = if plain.is_empty() { "guest" } else { plain };
    if let Some(element) = root.child("name") {
        if account.text(element) == plain {
            account.covered(element);
        } else {
            account.unsupported(element, &format!("its name, which Kubernetes accepts only as {plain}"));
        }
    }
    plain.to_owned()
}
