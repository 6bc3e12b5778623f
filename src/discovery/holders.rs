//! Who has a device's nodes open. Taking a device from a process that holds it hangs the kernel.

use crate::model::{Holder, PciAddress};
use crate::root::Root;

/// The processes that have nodes of these functions open; of other users' processes only root sees it.
pub fn holders(root: &Root, functions: &[PciAddress]) -> Vec<Holder> {
    let nodes: Vec<String> = functions.iter().flat_map(|function| nodes(root, *function)).collect();
    if nodes.is_empty() {
        return Vec::new();
    }
    let pids = root.names("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    pids.filter_map(|pid| holder(root, pid, &nodes)).collect()
}

fn holder(root: &Root, pid: u32, nodes: &[String]) -> Option<Holder> {
    let descriptors = format!("/proc/{pid}/fd");
    let mut open: Vec<String> = root
        .names(&descriptors)
        .iter()
        .filter_map(|fd| root.link(&format!("{descriptors}/{fd}")))
        .filter(|target| nodes.contains(target))
        .collect();
    open.sort_unstable();
    open.dedup();
    let name = || root.attribute(&format!("/proc/{pid}/comm")).unwrap_or_else(|| "unknown".into());
    (!open.is_empty()).then(|| Holder { pid, name: name(), nodes: open })
}

/// The nodes in `/dev` that lead to a function: graphics, sound, and NVIDIA's own.
fn nodes(root: &Root, function: PciAddress) -> Vec<String> {
    let home = format!("/sys/bus/pci/devices/{function}");
    let mut nodes: Vec<String> = root.names(&format!("{home}/drm")).iter().map(|name| format!("/dev/dri/{name}")).collect();
    for card in root.names(&format!("{home}/sound")) {
        for entry in root.names(&format!("{home}/sound/{card}")) {
            // `controlC1`, `pcmC1D3p`, `hwC1D0`, …
            if ["control", "pcm", "hw", "midi"].iter().any(|prefix| entry.starts_with(prefix)) {
                nodes.push(format!("/dev/snd/{entry}"));
            }
        }
    }
    if let Ok(information) = root.text(&format!("/proc/driver/nvidia/gpus/{function}/information")) {
        let minor = information.lines().find_map(|line| line.strip_prefix("Device Minor:"));
        nodes.extend(minor.map(|minor| format!("/dev/nvidia{}", minor.trim())));
        // These serve all cards of the driver; with one card they hold it.
        if root.names("/proc/driver/nvidia/gpus").len() == 1 {
            nodes.extend(["/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidiactl"].map(str::to_owned));
        }
    }
    nodes
}
